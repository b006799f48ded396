// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whether what is to be written fits together; asked before the first byte is.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>

#include <kvsieve/core/range.hpp>
#include <kvsieve/io/describe.hpp>

namespace kvsieve::inline v0 {
namespace io {

/// Entries of a part, of all heads; its rows must be at least 0.
[[nodiscard]] constexpr std::uint64_t entries(part_source const& p) noexcept {
  std::uint64_t sum = 0;
  for (int const n : p.rows) sum += static_cast<std::uint64_t>(n);
  return sum;
}
/// Bytes of the keys or values of a part; false when the number does not fit.
template <class Rows>
[[nodiscard]] constexpr bool row_bytes(row_format const& format, std::uint64_t heads, Rows const& rows,
                                       std::uint64_t& to) noexcept {
  std::uint64_t sum = 0;
  for (std::uint64_t h = 0; h < heads; ++h)
    if (std::uint64_t one = 0; !format.bytes(rows(h), one) || !add(sum, one, sum)) return false;
  to = sum;
  return true;
}

namespace check {
/// The first channel from `head_dim` on that word `i` of a mask has; -1: none.
[[nodiscard]] constexpr int channel_beyond(std::uint64_t word, std::uint64_t i, int head_dim) noexcept {
  std::uint64_t const first = 64 * i, dim = static_cast<std::uint64_t>(head_dim);
  std::uint64_t const beyond = first + 64 <= dim ? 0 : word >> (dim - first) << (dim - first);
  return beyond == 0 ? -1 : static_cast<int>(first) + std::countr_zero(beyond);
}

/// A format against the bounds of a file.
[[nodiscard]] constexpr status format(row_format const& f, errc code, char const* argument, int layer) noexcept {
  if (f.name.empty())
    return fail(code, argument, 0, "characters in the name of a format; there must be at least", 1, layer);
  if (f.tile_tokens < 1 || f.tile_tokens > most_tile_tokens)
    return fail(code, argument, f.tile_tokens, "tokens in a tile, which must be at least 1 and at most",
                static_cast<double>(most_tile_tokens), layer);
  if (f.tile_bytes < 1) return fail(code, argument, f.tile_bytes, "bytes in a tile, which must be at least", 1, layer);
  return {};
}

/// The lists of a part: [sum of rows], ascending per head.
[[nodiscard]] constexpr status lists(part_source const& p, int tokens, int layer) noexcept {
  std::size_t i = 0;
  for (int const n : p.rows) {
    int before = -1;
    for (int k = 0; k < n; ++k) {
      int const t = p.positions[i++];
      if (t <= before)
        return fail(errc::bad_params, "part.positions", t, "must be greater than the index before it,", before, layer);
      if (t >= tokens)
        return fail(errc::bad_params, "part.positions", t, "must be less than the tokens,", tokens, layer);
      before = t;
    }
  }
  return {};
}

/// Masks of channels: those of all heads, and none beyond the head dimension.
[[nodiscard]] constexpr status channels(std::span<std::uint64_t const> masks, int heads, int head_dim,
                                        int layer) noexcept {
  if (masks.empty()) return {};
  std::uint64_t const words = channel_words(static_cast<std::uint64_t>(head_dim));
  if (masks.size() != static_cast<std::uint64_t>(heads) * words)
    return fail(errc::bad_shape, "part.channels", static_cast<double>(masks.size()),
                "words; the heads of the model have", static_cast<double>(static_cast<std::uint64_t>(heads) * words),
                layer);
  for (std::size_t i = 0; i < masks.size(); ++i)
    if (int const beyond = channel_beyond(masks[i], i % words, head_dim); beyond >= 0)
      return fail(errc::bad_params, "part.channels", beyond, "is a channel of a mask, which must be less than",
                  head_dim, layer);
  return {};
}

/// One side of a part, keys or values.
[[nodiscard]] constexpr status side(part_source const& p, row_format const& f, pieces bytes, char const* argument,
                                    int layer) noexcept {
  if (status const s = format(f, errc::bad_params, argument, layer); !s) return s;
  std::uint64_t wanted = 0, given = 0;
  auto const rows = [&](std::uint64_t h) { return static_cast<std::uint64_t>(p.rows[h]); };
  bool fits = row_bytes(f, p.rows.size(), rows, wanted);
  for (auto const& piece : bytes) fits = fits && add(given, piece.size(), given);
  if (!fits || given != wanted)
    return fail(errc::bad_shape, argument, static_cast<double>(given), "bytes; its rows are, in this format,",
                static_cast<double>(wanted), layer);
  return {};
}

[[nodiscard]] constexpr status part(part_source const& p, cache_source const& all, int layer) noexcept {
  auto const at = [](auto x) { return static_cast<double>(x); };
  if (p.rows.size() != static_cast<std::size_t>(all.kv_heads))
    return fail(errc::bad_shape, "part.rows", at(p.rows.size()), "heads; the model has", all.kv_heads, layer);
  for (int const n : p.rows)
    if (n < 0) return fail(errc::bad_shape, "part.rows", n, "must be at least", 0, layer);
  auto const sum = entries(p);
  auto const whole = [&](std::size_t given, char const* argument) {
    return given == 0 || given == sum
               ? status{}
               : fail(errc::bad_shape, argument, at(given), "entries; the rows are", at(sum), layer);
  };
  status s = whole(p.positions.size(), "part.positions");
  if (s) s = whole(p.bias.size(), "part.bias");
  if (s) s = whole(p.scores.size(), "part.scores");
  if (s && !p.positions.empty()) s = lists(p, all.tokens, layer);
  if (s) s = channels(p.channels, all.kv_heads, all.head_dim, layer);
  if (s) s = side(p, p.key_format, p.keys, "part.keys", layer);
  if (s) s = side(p, p.value_format, p.values, "part.values", layer);
  return s;
}

/// Everything of a cache that is to be written.
[[nodiscard]] constexpr status source(cache_source const& c) noexcept {
  auto const upto = [](std::uint64_t x) { return static_cast<double>(x); };
  status s = range::all(range::within("kv_heads", c.kv_heads, 1, upto(most_heads)),
                        range::within("query_heads", c.query_heads, 1, upto(most_heads)),
                        range::within("head_dim", c.head_dim, 1, upto(most_channels)),
                        range::within("num_layers", c.num_layers, 1, upto(most_layers)),
                        range::at_least("tokens", c.tokens, 0),
                        range::at_most("metadata", static_cast<double>(c.metadata.size()), INT32_MAX),
                        range::at_most("layers", static_cast<double>(c.layers.size()), c.num_layers));
  if (s && c.first_position > INT64_MAX - INT32_MAX)
    s = fail(errc::bad_params, "first_position", static_cast<double>(c.first_position), "must be at most",
             static_cast<double>(INT64_MAX - INT32_MAX));
  if (s && c.query_heads % c.kv_heads != 0)
    s = fail(errc::bad_shape, "query_heads", c.query_heads, "must be a multiple of the KV heads,", c.kv_heads);
  int before = -1;
  std::uint64_t parts = 0;
  for (auto const& l : c.layers) {
    if (!s) return s;
    if (l.layer <= before)
      return fail(errc::bad_params, "layers.layer", l.layer, "must be greater than the layer before it,", before);
    if (l.layer >= c.num_layers)
      return fail(errc::bad_params, "layers.layer", l.layer, "must be less than the layers of the model,",
                  c.num_layers);
    before = l.layer;
    parts += l.parts.size();
    for (auto const& p : l.parts)
      if (s) s = part(p, c, l.layer);
  }
  if (s && parts > most_parts) s = fail(errc::bad_params, "parts", upto(parts), "must be at most", upto(most_parts));
  return s;
}
}  // namespace check
}  // namespace io
}  // namespace kvsieve::inline v0
