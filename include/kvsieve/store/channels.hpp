// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which channels of the keys of each head are held: from queries and keys (ThinK), or from learned importances (LeanK).
// The masks are those of encode/kept_channels.hpp.
#pragma once
#include <algorithm>
#include <span>

#include <cuda/std/bit>

#include <kvsieve/core/check.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/channel_energy.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// Words of the mask of a head.
[[nodiscard]] KVSIEVE_HD constexpr index mask_words(int head_dim) { return (head_dim + 63) / 64; }
/// Channels that a head keeps, counted in the words `mask` of a head of `head_dim` channels.
[[nodiscard]] constexpr int mask_count(cs::uint64_t const* mask, int head_dim) {
  int count = 0;
  for (index i = 0; i < mask_words(head_dim); ++i) count += cs::popcount(mask[i]);
  return count;
}
/// True when channel a counts more than channel b: by importance, of equal ones the lower; NaN is the least.
template <class Number>
[[nodiscard]] KVSIEVE_HD constexpr bool counts_more(Number const* importance, int a, int b) {
  Number const x = importance[a], y = importance[b];
  bool const number = x == x, other = y == y;
  if (number != other) return number;
  return number && x != y ? y < x : a < b;
}
namespace detail {
/// The mask of the `keep` channels of largest importance, of equal ones the lower; NaN is the least.
template <class Number>
void mask_of_largest(Number const* importance, int head_dim, int keep, cs::uint64_t* mask) {
  short order[512];
  for (int d = 0; d < head_dim; ++d) order[d] = static_cast<short>(d);
  std::nth_element(order, order + keep, order + head_dim,
                   [&](short a, short b) { return counts_more(importance, a, b); });
  for (index i = 0; i < mask_words(head_dim); ++i) mask[i] = 0;
  for (int i = 0; i < keep; ++i) mask[order[i] / 64] |= cs::uint64_t{1} << order[i] % 64;
}
}  // namespace detail

/// ThinK (arXiv 2407.21018): a channel counts as much as its products in the logits of the last queries, importance =
/// mean of q_d^2 over these and the query heads of the group, times mean of k_d^2 over all keys.
struct think {
  int keep = 0;     ///< channels that each head keeps
  int window = 32;  ///< queries, the last ones; fewer where a view has fewer
};
/// What think_channels refuses; readable(rows, name, view) looks at views.
template <class Layer, row_view Queries, class Readable>
[[nodiscard]] status check_think(cs::span<Layer const> layers, cs::span<Queries const> queries, think const& p,
                                 cs::size_t words, Readable const& readable) {
  constexpr int D = Layer::head_dim;
  static_assert(head_dim_of<Queries> == D, "kvsieve::store::think_channels: queries and keys have one head dimension");
  static_assert(D % 16 == 0 && D <= 512, "kvsieve: the head dimension must be a multiple of 16, up to 512");
  auto const at = [](auto x) { return static_cast<double>(x); };
  if (layers.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
  if (status const s = check::one_each("queries", queries.size(), layers.size()); !s) return s;
  if (status const s =
          range::all(range::within("think.keep", p.keep, 0, D), range::at_least("think.window", p.window, 1));
      !s)
    return s;
  int const heads = layers[0].heads();
  for (cs::size_t v = 0; v < layers.size(); ++v) {
    int const w = static_cast<int>(v);
    auto const& q = queries[v];
    if (status const s = check::layer(layers[v], heads, w); !s) return s;
    if (status const s = readable(layers[v].keys, "keys", w); !s) return s;
    if (q.extent(0) < heads || q.extent(0) % heads != 0)
      return fail(errc::bad_shape, "queries.heads", at(q.extent(0)), "must be a multiple of the KV heads,", heads, w);
    if (q.extent(1) < 1) return fail(errc::bad_shape, "queries.tokens", at(q.extent(1)), "must be at least", 1, w);
    if (status const s = readable(q, "queries", w); !s) return s;
  }
  index const wanted = static_cast<index>(layers.size()) * heads * mask_words(D);
  if (static_cast<index>(words) != wanted) return range::entries("masks", at(words), at(wanted));
  return {};
}
/// Chooses the channels of every head of every view. NaN and infinities go as far as the sums take them; a NaN counts
/// as the least.
/// @param on       where to run
/// @param layers   views of the keys that stay, ragged or not; values are not read
/// @param queries  for each view [Hq, W, D], the queries of its last W positions after RoPE
/// @param p        the numbers
/// @param[out] masks  [views, Hkv, mask_words(D)]
/// @returns ok, or what was refused, and then nothing was written
template <host::executor Exec, class Layer, row_view Queries>
[[nodiscard]] status think_channels(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
                                    think const& p, cs::span<cs::uint64_t> masks) noexcept {
  constexpr int D = Layer::head_dim;
  auto const readable = [](auto const& rows, char const* name, int v) { return check::readable(rows, name, v); };
  if (status const s = check_think(layers, queries, p, masks.size(), readable); !s) return s;
  int const heads = layers[0].heads();
  on.for_each(static_cast<index>(layers.size()) * heads, [&](index i, int) {
    auto const& keys = layers[static_cast<cs::size_t>(i / heads)].keys;
    auto const& q = queries[static_cast<cs::size_t>(i / heads)];
    index const head = i % heads, group = q.extent(0) / heads, all = q.extent(1), tokens = tokens_of(keys, head);
    index const window = p.window < all ? p.window : all;
    double importance[D] = {}, squares[D] = {};
    for (index g = 0; g < group; ++g) host::add_squares(q, head * group + g, all - window, all, importance);
    host::add_squares(keys, head, 0, tokens, squares);
    // Means, but for factors that are the same for all channels.
    for (int d = 0; d < D; ++d) importance[d] *= squares[d];
    detail::mask_of_largest(importance, D, p.keep, masks.data() + i * mask_words(D));
  });
  return {};
}
/// The same for one view.
template <host::executor Exec, class Layer, row_view Queries>
[[nodiscard]] status think_channels(Exec const& on, Layer const& layer, Queries const& queries, think const& p,
                                    cs::span<cs::uint64_t> masks) noexcept {
  return think_channels(on, cs::span<Layer const>(&layer, 1), cs::span<Queries const>(&queries, 1), p, masks);
}

/// LeanK: static masks from an importance of every channel of every head of all layers, learned or measured. A head
/// keeps as many channels as it has above the quantile `ratio` of all importances, rounded to the nearest multiple of
/// `align`, halves up; these are its largest. Heads may keep none.
struct lean_k {
  double ratio = 0.7;  ///< of the channels that go, before rounding
  int align = 32;      ///< widths of heads are multiples of it
};
/// Bytes of workspace that lean_k_channels needs; aligned to 64 bytes.
[[nodiscard]] inline std::size_t lean_k_workspace_bytes(std::size_t importances) noexcept {
  arena counting;
  counting.take<float>(importances);
  return counting.used();
}
/// Makes masks of importances.
/// @param importance  [layers, Hkv, D], finite
/// @param head_dim    D, a multiple of p.align, up to 512
/// @param p           the numbers
/// @param workspace   at least lean_k_workspace_bytes(importance.size()) bytes, aligned to 64
/// @param[out] masks  [layers, Hkv, mask_words(D)]
/// @returns ok, or what was refused, and then nothing was written
[[nodiscard]] inline status lean_k_channels(cs::span<float const> importance, int head_dim, lean_k const& p,
                                            std::span<std::byte> workspace, cs::span<cs::uint64_t> masks) noexcept {
  auto const at = [](auto x) { return static_cast<double>(x); };
  if (status const s =
          range::all(range::within("head_dim", head_dim, 1, 512), range::within("lean_k.ratio", p.ratio, 0, 1),
                     range::within("lean_k.align", p.align, 1, head_dim));
      !s)
    return s;
  if (head_dim % p.align != 0)
    return fail(errc::bad_params, "lean_k.align", p.align, "must divide the head dimension,", head_dim);
  auto const count = static_cast<index>(importance.size());
  if (count == 0 || count % head_dim != 0)
    return fail(errc::bad_shape, "importance", at(count),
                "entries; it must have some, a multiple of the head dimension,", head_dim);
  if (index const wanted = count / head_dim * mask_words(head_dim); static_cast<index>(masks.size()) != wanted)
    return range::entries("masks", at(masks.size()), at(wanted));
  for (float const a : importance)
    if (!finite(a))
      return fail(errc::bad_params, "importance", at(a), "must be finite, less than", __builtin_huge_val());
  if (status const s = check::workspace(workspace, lean_k_workspace_bytes(importance.size())); !s) return s;

  arena a(workspace);
  float* const sorted = a.take<float>(importance.size());
  std::copy(importance.begin(), importance.end(), sorted);
  double const place = p.ratio * at(count - 1);
  auto const below = static_cast<index>(place);
  std::nth_element(sorted, sorted + below, sorted + count);
  double const low = at(sorted[below]);
  double const high = below + 1 < count ? at(*std::min_element(sorted + below + 1, sorted + count)) : low;
  double const least = low + (place - at(below)) * (high - low);
  for (index row = 0; row < count / head_dim; ++row) {
    float const* const of = importance.data() + row * head_dim;
    int above = 0;
    for (int d = 0; d < head_dim; ++d) above += at(of[d]) >= least ? 1 : 0;
    int const keep = (above + p.align / 2) / p.align * p.align;  // at most head_dim, a multiple
    detail::mask_of_largest(of, head_dim, keep, masks.data() + row * mask_words(head_dim));
  }
  return {};
}
}  // namespace store
}  // namespace kvsieve::inline v0
