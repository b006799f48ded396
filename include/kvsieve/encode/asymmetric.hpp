// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Groups of 32 channels in 2 bits a code, an f16 scale and an f16 minimum: 3 bits a number, for what matters least.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>
#include <kvsieve/encode/scales.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// x ~ minimum + scale * code, scale = range / 3, code = round((x - minimum) / scale). Behind scale and minimum come
/// the lower and the upper bits of the codes, a plane of 32 each. Error at most half a scale, and what rounding to f16
/// moves.
struct asymmetric {
  static constexpr char const* name = "a2";                  ///< two bits, asymmetric
  static constexpr int tile_tokens = 1;                      ///< a row stands by itself
  static constexpr int block = 32;                           ///< channels of a block
  static constexpr int block_bytes = 12;                     ///< bytes of a block
  static constexpr bool fits(int D) { return D % 32 == 0; }  ///< blocks do not cross rows
  template <int D>
  static constexpr int tile_bytes = D / block * block_bytes;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    unsigned const code = (load_u32(b + 4) >> i & 1u) | (load_u32(b + 8) >> i & 1u) << 1;
    return static_cast<float>(code) * load_f16(b) + load_f16(b + 2);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    Fragment x(0.0f);
    x = Fragment::add_where(x, load_u32(b + 4) >> i, 1.0f);
    x = Fragment::add_where(x, load_u32(b + 8) >> i, 2.0f);
    return x * Fragment::of_f16(b) + Fragment::of_f16(b + 2);
  }
  /// Codes of 32 channels.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE static auto codes(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    return Fragment::codes::zeros().template with<0>(b + 4).template with<1>(b + 8);
  }
  template <int>
  static constexpr int channels_of_scale = block;  ///< that share one
  /// The scale of a group.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static f16 scale(byte const* row, int, int of) {
    return f16_at(row + of * block_bytes);
  }
  /// The minimum of a group.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static f16 least(byte const* row, int, int of) {
    return f16_at(row + of * block_bytes + 2);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    encode_one<asymmetric, D>(x, row);
  }
  /// Some rows at once, see core/encoded.hpp.
  template <int D, int N, class Ahead>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[N], byte* const (&row)[N], Ahead const& ahead) {
    float room[N * D];
    auto const s = block_scales<N, D / block, block>::of_ranges(x, room, 3);
    s.template each<block_bytes>(x, row, ahead, [&](int b, float const* from, byte* to) {
      s.store_scale(to, b);
      s.store_least(to + 2, b);
      byte code[block];
      codes_above(from, s.least(b), s.inverse(b), code);
      KVSIEVE_UNROLL for (int p = 0; p < 2; ++p) {
        unsigned const plane = host::plane_of(code, p);
        __builtin_memcpy(to + 4 + 4 * p, &plane, 4);
      }
    });
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
