// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KIVI (Liu et al., arXiv 2402.02750): keys by channel over some tokens, values by token over some channels, 2 or 4
// bits, each group with an f16 scale and an f16 minimum. Codes are packed as the authors pack them, the lowest bits
// first.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

namespace detail {
/// round((x - least) / scale), halves to even, clamped to the codes of B bits.
template <int B>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD unsigned kivi_code(float x, float least, float inverse) {
  constexpr float top = static_cast<float>((1 << B) - 1);
  float const c = (finite(x) - least) * inverse;
  if (!(c > 0)) return 0;
  if (c >= top) return (1u << B) - 1;
  int const whole = static_cast<int>(c);
  float const rest = c - static_cast<float>(whole);
  return static_cast<unsigned>(whole + (rest > 0.5f || (rest == 0.5f && whole % 2 == 1) ? 1 : 0));
}
}  // namespace detail

/// Keys: a tile holds G tokens; each channel of them is a group, x ~ minimum + scale * code, scale = range / (2^B - 1).
/// Word w of a channel holds tokens 32 / B * w to 32 / B * (w + 1) - 1; words of the same number lie one behind
/// another, channel after channel, then come the scales of all channels and their minima. B + 32 / G bits a number.
/// Error at most half a scale, and what rounding to f16 moves. Tokens that do not fill a tile belong into a dense part
/// (store::windows).
template <int B, int G = 32>
struct kivi_keys {
  static_assert((B == 2 || B == 4) && G % (32 / B) == 0, "kvsieve::encode::kivi_keys: 2 or 4 bits, whole words");
  static constexpr char const* name = B == 2 ? (G == 32   ? "kivi2k32"
                                                : G == 64 ? "kivi2k64"
                                                          : "kivi2k")
                                             : (G == 32   ? "kivi4k32"
                                                : G == 64 ? "kivi4k64"
                                                          : "kivi4k");  ///< bits, G
  static constexpr int tile_tokens = G;                                 ///< tokens that share scales
  static constexpr int words = G * B / 32;                              ///< of a channel
  static constexpr int per_word = 32 / B;                               ///< codes in one
  static constexpr bool fits(int D) { return D % 16 == 0; }             ///< any channels that attention takes
  template <int D>
  static constexpr int tile_bytes = D * (4 * words + 4);  ///< bytes of a tile

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* tile, int token, int channel) {
    unsigned const word = load_u32(tile + 4 * (token / per_word * D + channel));
    unsigned const code = word >> B * (token % per_word) & ((1u << B) - 1);
    byte const* const s = tile + 4 * words * D + 2 * channel;
    return static_cast<float>(code) * load_f16(s) + load_f16(s + 2 * D);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* tile, int token, int channel) {
    byte const* const s = tile + 4 * words * D + 2 * channel;
    Fragment const code =
        Fragment::template of_words<B>(tile + 4 * (token / per_word * D + channel), B * (token % per_word));
    return code * Fragment::of_f16s(s) + Fragment::of_f16s(s + 2 * D);
  }
  /// A tile, from rows [G, D].
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* tile) {
    for (int c = 0; c < D; ++c) {
      value_range const r = range_of<G>(x + c, D);
      float const scale = (r.most - r.least) / static_cast<float>((1 << B) - 1), inverse = inverse_of(scale);
      store_f16(tile + 4 * words * D + 2 * c, scale);
      store_f16(tile + 4 * words * D + 2 * (D + c), r.least);
      for (int w = 0; w < words; ++w) {
        unsigned word = 0;
        for (int j = 0; j < per_word; ++j)
          word |= detail::kivi_code<B>(x[(w * per_word + j) * D + c], r.least, inverse) << B * j;
        __builtin_memcpy(tile + 4 * (w * D + c), &word, 4);
      }
    }
  }
};

/// Values: G channels of a token are a group. A row is the codes of its channels, then the scales of its groups, then
/// their minima. B + 32 / G bits a number.
template <int B, int G = 32>
struct kivi_values {
  static_assert((B == 2 || B == 4) && G % 16 == 0, "kvsieve::encode::kivi_values: 2 or 4 bits, groups of 16 channels");
  static constexpr char const* name = B == 2 ? (G == 32   ? "kivi2v32"
                                                : G == 64 ? "kivi2v64"
                                                          : "kivi2v")
                                             : (G == 32   ? "kivi4v32"
                                                : G == 64 ? "kivi4v64"
                                                          : "kivi4v");  ///< bits, G
  static constexpr int tile_tokens = 1;                                 ///< a row stands by itself
  static constexpr bool fits(int D) { return D % G == 0; }              ///< whole groups
  template <int D>
  static constexpr int tile_bytes = D * B / 8 + D / G * 4;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    unsigned const code = static_cast<unsigned>(row[channel * B / 8]) >> channel * B % 8 & ((1u << B) - 1);
    byte const* const s = row + D * B / 8 + 2 * (channel / G);
    return static_cast<float>(code) * load_f16(s) + load_f16(s + D / G * 2);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    byte const* const s = row + D * B / 8 + 2 * (channel / G);
    return Fragment::template of_codes<B>(row + channel * B / 8) * Fragment::of_f16(s) +
           Fragment::of_f16(s + D / G * 2);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    for (int i = 0; i < D * B / 8; ++i) row[i] = 0;
    for (int g = 0; g < D / G; ++g) {
      value_range const r = range_of<G>(x + g * G);
      float const scale = (r.most - r.least) / static_cast<float>((1 << B) - 1), inverse = inverse_of(scale);
      store_f16(row + D * B / 8 + 2 * g, scale);
      store_f16(row + D * B / 8 + 2 * (D / G + g), r.least);
      for (int c = g * G; c < (g + 1) * G; ++c)
        row[c * B / 8] = static_cast<byte>(row[c * B / 8] | detail::kivi_code<B>(x[c], r.least, inverse) << c * B % 8);
    }
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
