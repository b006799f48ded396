// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KIVI (Liu et al., arXiv 2402.02750): keys by channel over some tokens, values by token over some channels, 2 or 4
// bits, each group with an f16 scale and an f16 minimum. Codes are packed as the authors pack them, the lowest bits
// first.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>
#include <kvsieve/encode/scales.hpp>

namespace kvsieve::inline v0 {
namespace encode {

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
    byte const* const s = channel_scales<D>(tile) + 2 * channel;
    return number<Fragment, D>(tile, token, channel) * Fragment::of_f16s(s) + Fragment::of_f16s(s + 2 * D);
  }
  /// Their codes.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment number(byte const* tile, int token, int channel) {
    return Fragment::template of_words<B>(tile + 4 * (token / per_word * D + channel), B * (token % per_word));
  }
  /// Where the scales of all channels lie, and behind them the minima.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static byte const* channel_scales(byte const* tile) {
    return tile + 4 * words * D;
  }
  /// A tile, from rows [G, D].
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* tile) {
    encode_tile<D>([&](int t) { return x + t * D; }, tile, [](int) {});
  }
  /// The same of rows that lie anywhere.
  template <int D, class Ahead>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[G], byte* const (&tile)[1], Ahead const& ahead) {
    int asked = 0;
    encode_tile<D>([&](int t) { return x[t]; }, tile[0],
                   [&](int done) {
                     for (; asked * D < done * G; ++asked)
                       for (int c = 0; c < D; c += 32) ahead(asked, c);
                   });
  }

 private:
  /// Calls row(t) for row t of the tile, and done(channels) whenever so many channels of all are.
  template <int D, class Row, class Done>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_tile(Row const& row, byte* tile, Done const& done) {
    constexpr int lanes = host::fragment::lanes;
    for (int c = 0; c < D; c += lanes) {
      byte *const codes = tile + 4 * c, *const scales = tile + 4 * words * D + 2 * c;
      auto const plain = [&](int t) { return host::load(row(t) + c); };
      auto const within = [&](int t) { return host::within_f16(plain(t)); };
      host::lane_range const r = range(plain);
      if (r.wild())
        encode_channels<D>(range(within), codes, scales, within);
      else
        encode_channels<D>(r, codes, scales, plain);
      done(c + lanes);
    }
  }
  /// The range of as many channels as a fragment has lanes; `read` gives those of a token.
  template <class Read>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static host::lane_range range(Read const& read) {
    host::lane_range r(read(0));
    for (int t = 1; t < G; ++t) r.see(read(t));
    return r;
  }
  /// Writes as many channels.
  template <int D, class Read>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_channels(host::lane_range const& r, byte* codes, byte* scales,
                                                        Read const& read) {
    using host::fragment;
    constexpr float top = (1 << B) - 1;
    fragment const scale = (r.most - r.least) / fragment(top);
    fragment const inverse = where(fragment(0x1p-126f) < scale, fragment(1.0f) / scale, fragment(0.0f));
    host::store_f16s(scales, scale);
    host::store_f16s(scales + 2 * D, r.least);
    for (int w = 0; w < words; ++w) {
      fragment half[2];  // of a word; sums of codes that do not overlap are exact, joined or not
      for (int h = 0; h < 2; ++h) {
        half[h] = fragment(0.0f);
        KVSIEVE_UNROLL for (int j = 0; j < per_word / 2; ++j) {
          fragment const v = host::rounded(read(w * per_word + h * (per_word / 2) + j));
          fragment const code = host::nearest_even((v - r.least) * inverse);
          half[h] = fma(code, fragment(static_cast<float>(1 << B * j)), half[h]);
        }
      }
      host::store_words(codes + 4 * w * D, half[0], half[1]);
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
  /// Codes of 32 channels.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE static auto codes(byte const* row, int, int channel) {
    if constexpr (B == 2)
      return Fragment::codes::of_twos(row + channel / 4);
    else
      return Fragment::codes::of_fours(row + channel / 2);
  }
  template <int>
  static constexpr int channels_of_scale = G;  ///< that share one
  /// The scale of a group.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static f16 scale(byte const* row, int, int of) {
    return f16_at(row + D * B / 8 + 2 * of);
  }
  /// The minimum of a group.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static f16 least(byte const* row, int, int of) {
    return f16_at(row + D * B / 8 + 2 * (D / G + of));
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    encode_one<kivi_values, D>(x, row);
  }
  /// Some rows at once, see core/encoded.hpp.
  template <int D, int N, class Ahead>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[N], byte* const (&row)[N], Ahead const& ahead) {
    float room[N * D];
    auto const s = block_scales<N, D / G, G>::of_ranges(x, room, (1 << B) - 1);
    s.template each<G * B / 8>(x, row, ahead, [&](int b, float const* from, byte* to) {
      int const g = b % (D / G);
      byte* const scales = to - g * (G * B / 8) + D * B / 8 + 2 * g;
      s.store_scale(scales, b);
      s.store_least(scales + D / G * 2, b);
      byte code[(G + 31) / 32 * 32];
      in_blocks<G>(from, code, [&](float const* p, byte* c) { codes_above_even(p, s.least(b), s.inverse(b), c); });
      for (int i = 0; i < G / 32; ++i) host::store_codes<B>(to + 4 * B * i, code + 32 * i);
      if constexpr (G % 32 != 0) {
        byte last[4 * B];
        host::store_codes<B>(last, code + G / 32 * 32);
        __builtin_memcpy(to + G / 32 * 4 * B, last, 2 * B);
      }
    });
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
