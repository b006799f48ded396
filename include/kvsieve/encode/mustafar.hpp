// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mustafar's pruned rows and bitmap tiles (arXiv 2505.22913), to exchange with its kernels; of one head. Sizes vary
// with what is kept, so these are functions and no format of rows: encode/bitmap.hpp is that.
#pragma once
#include <kvsieve/encode/block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Zeroes what Mustafar prunes of a row [D]: k = max(1, int(sparsity D)), the threshold is the k-th smallest magnitude,
/// and what reaches it stays, D - k + 1 channels or more on ties. NaN counts as 0.
/// @param sparsity  in [0, 1)
/// @return channels that stay
KVSIEVE_HD inline int mustafar_prune(float* x, int D, double sparsity) {
  // The bits of magnitudes order as the magnitudes do.
  auto const size = [&](int d) { return cs::bit_cast<unsigned>(x[d]) & 0x7fffffffu; };
  int const asked = static_cast<int>(sparsity * D), k = asked < 1 ? 1 : asked;
  for (int d = 0; d < D; ++d) x[d] = finite(x[d]);
  unsigned threshold = 0;  // the largest that fewer than k lie below, from its highest bit on
  for (int b = 30; b >= 0; --b) {
    unsigned const wanted = threshold | 1u << b;
    int below = 0;
    for (int d = 0; d < D; ++d) below += size(d) < wanted ? 1 : 0;
    threshold = below < k ? wanted : threshold;
  }
  int kept = 0;
  for (int d = 0; d < D; ++d) {
    bool const stays = size(d) >= threshold;
    x[d] = stays ? x[d] : 0.0f;
    kept += stays ? 1 : 0;
  }
  return kept;
}

/// How tiles of 64 elements lie in a head: those of keys are 64 tokens of a channel, those of values 64 channels of a
/// token.
enum class mustafar_side : unsigned char { keys, values };

/// The tile and the place in it of an element of a head [tokens, D].
struct mustafar_place {
  index tile;   ///< which tile
  int element;  ///< 0 to 63
};
/// Where an element is; D and the tokens of a head are multiples of 64.
[[nodiscard]] KVSIEVE_HD constexpr mustafar_place mustafar_place_of(mustafar_side side, index token, int channel,
                                                                    int D) {
  if (side == mustafar_side::keys) return {token / 64 * D + channel, static_cast<int>(token % 64)};
  return {token / 64 * D + index{channel / 64} * 64 + token % 64, channel % 64};
}
/// Room for the values of a head, in f16s: every tile full, and the 8 that the kernels read past the last one.
[[nodiscard]] constexpr index mustafar_room(index tokens, int D) { return tokens * D + 8; }

/// Writes one head. Elements that are not 0 are kept; tiles are padded with zeros to 8 values, and 8 zeros follow.
/// @param rows     [tokens, D], pruned; both multiples of 64
/// @param bitmaps  [tokens D / 64], element j of a tile at bit 63 - j
/// @param offsets  [tokens D / 64 + 1], where a tile's values begin, in units of 4 bytes
/// @param values   [mustafar_room(tokens, D)], in the order of tiles and elements
/// @return values written, without the 8 at the end
inline index mustafar_write(mustafar_side side, float const* rows, index tokens, int D, cs::uint64_t* bitmaps,
                            cs::int32_t* offsets, f16* values) {
  index const tiles = tokens * D / 64;
  index at = 0;
  for (index tile = 0; tile < tiles; ++tile) {
    cs::uint64_t bits = 0;
    offsets[tile] = static_cast<cs::int32_t>(at / 2);
    index const span = tile / D * 64, within = tile % D;  // of 64 tokens; which of its tiles
    for (int j = 0; j < 64; ++j) {
      bool const keys = side == mustafar_side::keys;
      index const token = span + (keys ? j : within % 64), channel = keys ? within : within / 64 * 64 + j;
      float const x = finite(rows[token * D + channel]);
      // Zeros are written too, and the next number over them: which are zeros nothing can foresee.
      bool const kept = x != 0.0f;
      bits = bits << 1 | (kept ? 1u : 0u);
      values[at] = from_float<f16>(x);
      at += kept ? 1 : 0;
    }
    bitmaps[tile] = bits;
    for (; at % 8 != 0; ++at) values[at] = f16{};
  }
  offsets[tiles] = static_cast<cs::int32_t>(at / 2);
  for (int i = 0; i < 8; ++i) values[at + i] = f16{};
  return at;
}

/// One number of a head that mustafar_write has written.
[[nodiscard]] KVSIEVE_HD inline float mustafar_read(mustafar_side side, index token, int channel, int D,
                                                    cs::uint64_t const* bitmaps, cs::int32_t const* offsets,
                                                    f16 const* values) {
  mustafar_place const p = mustafar_place_of(side, token, channel, D);
  cs::uint64_t const bits = bitmaps[p.tile];
  if ((bits >> (63 - p.element) & 1) == 0) return 0.0f;
  index at = 2 * index{offsets[p.tile]};
  for (cs::uint64_t above = p.element == 0 ? 0 : bits >> (64 - p.element); above != 0; above &= above - 1) ++at;
  return to_float(values[at]);
}
}  // namespace encode
}  // namespace kvsieve::inline v0
