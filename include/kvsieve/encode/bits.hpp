// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Groups of 32 channels in 2 to 8 bits a code and an f16 scale: the formats of levels of precision. B + 1/2 bits a
// number.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>
#include <kvsieve/encode/scales.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// How the scale of a group is found.
enum class scale_by : unsigned char {
  extreme,  ///< the number of largest magnitude has the lowest code
  search    ///< of some scales around that, the one with the least squared error: for 2 to 4 bits, on rotated rows
};

/// x ~ scale * (code - 2^(B - 1)), code = round(x / scale) up at halves, clamped. Behind the scale come, where B is at
/// least 4, nibbles as in q4_0, and then the further bits of all codes, a plane of 32 for each, the lower first. Error
/// at most half a scale, and a whole one at the end opposite to the largest number.
template <int B, scale_by By = scale_by::extreme>
struct bits {
  static_assert(B >= 2 && B <= 8, "kvsieve::encode::bits: 2 to 8 bits");
  static constexpr char name_of_bits[3] = {'b', '0' + B, 0};  ///< the characters of the name
  static constexpr char const* name = name_of_bits;           ///< "b2" to "b8"
  static constexpr int tile_tokens = 1;                       ///< a row stands by itself
  static constexpr int block = 32;                            ///< channels of a block
  static constexpr int block_bytes = 2 + 4 * B;               ///< bytes of a block
  static constexpr int planes = B < 4 ? B : B - 4;            ///< planes of single bits
  static constexpr int low = B < 4 ? 0 : 16;                  ///< bytes of nibbles
  static constexpr bool fits(int D) { return D % 32 == 0; }   ///< blocks do not cross rows
  template <int D>
  static constexpr int tile_bytes = D / block * block_bytes;  ///< bytes of a row
  static constexpr int half = 1 << (B - 1);                   ///< the code of 0
  static constexpr int levels = (1 << B) - 1;                 ///< the largest code

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    int code = 0;
    if constexpr (low > 0) code = b[2 + i % 16] >> (i < 16 ? 0 : 4) & 15;
    for (int p = 0; p < planes; ++p)
      code |= static_cast<int>(load_u32(b + 2 + low + 4 * p) >> i & 1u) << (B - planes + p);
    return static_cast<float>(code - half) * load_f16(b);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    Fragment x(static_cast<float>(-half));
    if constexpr (low > 0) x = x + Fragment::of_nibbles(b + 2 + i % 16, i < 16 ? 0 : 4);
    KVSIEVE_UNROLL for (int p = 0; p < planes; ++p) x =
        Fragment::add_where(x, load_u32(b + 2 + low + 4 * p) >> i, static_cast<float>(1 << (B - planes + p)));
    return x * Fragment::of_f16(b);
  }
  /// Codes of 32 channels, less that of 0.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE static auto codes(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    auto code = Fragment::codes::zeros();
    if constexpr (low > 0) code = Fragment::codes::of_halves(b + 2);
    if constexpr (planes > 0) code = code.template with<B - planes>(b + 2 + low);
    if constexpr (planes > 1) code = code.template with<B - planes + 1>(b + 2 + low + 4);
    if constexpr (planes > 2) code = code.template with<B - planes + 2>(b + 2 + low + 8);
    if constexpr (planes > 3) code = code.template with<B - planes + 3>(b + 2 + low + 12);
    return code.less(half);
  }
  template <int>
  static constexpr int channels_of_scale = block;  ///< that share one
  /// The scale of a group.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static f16 scale(byte const* row, int, int of) {
    return f16_at(row + of * block_bytes);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    encode_one<bits, D>(x, row);
  }
  /// Some rows at once, see core/encoded.hpp.
  template <int D, int N, class Ahead>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[N], byte* const (&row)[N], Ahead const& ahead) {
    float room[N * D];
    auto const s = block_scales<N, D / block, block>::of_extremes(x, room, -half);
    s.template each<block_bytes>(x, row, ahead, [&](int b, float const* from, byte* to) {
      byte code[block];
      if constexpr (By == scale_by::search) {
        float const scale = searched(from, s.scale(b));
        host::store_f16(to, scale);
        codes_within(from, inverse_of(scale), half, code);
      } else {
        s.store_scale(to, b);
        codes_around(from, s.inverse(b), half, code);
      }
      if constexpr (low > 0) host::store_nibbles<(B > 4)>(to + 2, code);
      KVSIEVE_UNROLL for (int p = 0; p < planes; ++p) {
        unsigned const plane = host::plane_of(code, B - planes + p);
        __builtin_memcpy(to + 2 + low + 4 * p, &plane, 4);
      }
    });
  }

 private:
  /// Of scales around `whole` the one with the least squared error, the first of equal ones. Both signs: which end of
  /// the range has one code more matters at few bits.
  KVSIEVE_INLINE KVSIEVE_HD static float searched(float const* x, float whole) {
    constexpr int tried = 26, lanes = host::fragment::lanes;
    float scale[32] = {}, inverse[32] = {}, error[32];
    for (int k = 0; k < tried; ++k) {
      auto const factor = static_cast<float>(static_cast<double>(1.05f) - static_cast<double>(0.04f) * (k / 2));
      scale[k] = to_float(from_float<f16>((k % 2 == 0 ? whole : -whole) * factor));
      inverse[k] = inverse_of(scale[k]);
    }
    host::fragment const zero(static_cast<float>(half)), least(0.0f);
    for (int k = 0; k < tried; k += lanes) {
      host::fragment const of = host::load(scale + k), by = host::load(inverse + k);
      host::fragment sum(0.0f);
      for (int i = 0; i < block; ++i) {
        host::fragment const v(x[i]), c = max(least, host::whole(around(v, by, half))) - zero;
        host::fragment const e = c * of - v;  // the product is exact
        sum = sum + host::rounded(e * e);
      }
      host::store(error + k, sum);
    }
    int best = 0;
    for (int k = 1; k < tried; ++k) best = error[k] < error[best] ? k : best;
    return scale[best];
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
