// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Groups of 32 channels in 2 to 8 bits a code and an f16 scale: the formats of levels of precision. B + 1/2 bits a
// number.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>

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
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    for (int first = 0; first < D; first += block, row += block_bytes) {
      float const scale = scale_of(x + first), inverse = inverse_of(scale);
      store_f16(row, scale);
      for (int i = 2; i < block_bytes; ++i) row[i] = 0;
      for (int i = 0; i < block; ++i) {
        unsigned const code = static_cast<unsigned>(code_of(x[first + i], inverse));
        if constexpr (low > 0) row[2 + i % 16] = static_cast<byte>(row[2 + i % 16] | (code & 15u) << (i < 16 ? 0 : 4));
        for (int p = 0; p < planes; ++p) {
          byte& of = row[2 + low + 4 * p + i / 8];
          of = static_cast<byte>(of | (code >> (B - planes + p) & 1u) << i % 8);
        }
      }
    }
  }

 private:
  KVSIEVE_INLINE KVSIEVE_HD static int code_of(float x, float inverse) {
    float const c = finite(x) * inverse + (static_cast<float>(half) + 0.5f);
    return c < 0.0f ? 0 : c < static_cast<float>(levels) ? static_cast<int>(c) : levels;
  }
  KVSIEVE_INLINE KVSIEVE_HD static float scale_of(float const* x) {
    float const whole = extreme<block>(x) / static_cast<float>(-half);
    if constexpr (By == scale_by::extreme) return whole;
    // Both signs: which end of the range has one code more matters at few bits.
    float best = whole, least = __builtin_inff();
    for (int k = 0; k < 26; ++k) {
      float const factor = 1.05f - 0.04f * static_cast<float>(k / 2), wanted = (k % 2 == 0 ? whole : -whole) * factor;
      float const scale = to_float(from_float<f16>(finite(wanted))), inverse = inverse_of(scale);
      float error = 0.0f;
      for (int i = 0; i < block; ++i) {
        float const e = static_cast<float>(code_of(x[i], inverse) - half) * scale - finite(x[i]);
        error += e * e;
      }
      if (error < least) {
        least = error;
        best = scale;
      }
    }
    return best;
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
