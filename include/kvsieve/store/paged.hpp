// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Paged storage: kept rows in pages of a pool, of one table for all heads of a layer or of one for each.
#pragma once
#include <kvsieve/core/paged.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// Pages of P tokens with one table for all heads (make_paged, layout_paged), keys and values in the same pages or
/// under the same ids. Holds counts per layer: up to class U2.
template <int P>
struct paged : policy_base<stages::store> {
  static constexpr int page = P;                         ///< tokens of a page
  static constexpr uniformity accepts = uniformity::U2;  ///< the least alike kept lists it can hold

  /// Pages of `tokens` tokens.
  [[nodiscard]] static constexpr index pages(index tokens) { return (tokens + P - 1) / P; }
  /// Bytes of the pages of the keys and values of one layer with `heads` KV heads and `tokens` tokens, and of its
  /// table. `row_bytes` are those of one row: channels times bytes of an element, or row_bytes<View>() of a format.
  [[nodiscard]] static constexpr unsigned long long bytes(int heads, int tokens, int row_bytes) {
    return static_cast<unsigned long long>(pages(tokens)) *
           (2ull * P * static_cast<unsigned>(heads) * static_cast<unsigned>(row_bytes) + sizeof(int));
  }
};

/// Pages of P tokens of one head, with a table for each head (make_ragged_paged, layout_ragged_paged). Holds any
/// counts.
template <int P>
struct ragged_paged : policy_base<stages::store> {
  static constexpr int page = P;                        ///< tokens of a page
  static constexpr uniformity accepts = uniformity::F;  ///< the least alike kept lists it can hold

  /// Pages of all heads of a view together.
  [[nodiscard]] static constexpr index pages(token_plan const& plan, int view = 0) {
    index sum = 0;
    for (int h = 0; h < plan.heads; ++h) sum += (index{plan.count(view, h)} + P - 1) / P;
    return sum;
  }
  /// Bytes of the pages of the keys and values of one layer whose heads have `pages` pages together, and of their
  /// tables, offsets and lengths.
  [[nodiscard]] static constexpr unsigned long long bytes(int heads, index pages, int row_bytes) {
    return static_cast<unsigned long long>(pages) * (2ull * P * static_cast<unsigned>(row_bytes) + sizeof(int)) +
           (2ull * static_cast<unsigned>(heads) + 1ull) * sizeof(int);
  }
};

/// Pages behind the first `rows` rows of a view: of no more use once these are all that is left. Reads nothing but the
/// table.
template <row_view V>
  requires(paged_rows<V> && !ragged_rows<V>)
[[nodiscard]] constexpr cs::span<int const> pages_behind(V const& view, index rows) {
  auto const& m = view.mapping();
  index const from = m.pages(rows < view.extent(1) ? rows : view.extent(1)), to = m.pages(view.extent(1));
  return {m.table + from, static_cast<cs::size_t>(to - from)};
}
/// The same of one head.
template <row_view V>
  requires(paged_rows<V> && ragged_rows<V>)
[[nodiscard]] constexpr cs::span<int const> pages_behind(V const& view, index head, index rows) {
  auto const& m = view.mapping();
  index const from = m.pages(rows < m.tokens(head) ? rows : m.tokens(head)), to = m.pages(m.tokens(head));
  return {m.table(head) + from, static_cast<cs::size_t>(to - from)};
}
/// Pages that a plan frees once it was applied in place to a view of one table: to be given back, and to be taken out
/// of the table.
template <row_view V>
  requires(paged_rows<V> && !ragged_rows<V>)
[[nodiscard]] constexpr cs::span<int const> free_pages(token_plan const& plan, V const& rows, int view = 0) {
  return pages_behind(rows, plan.count(view));
}
/// The same of one head, where each has its table.
template <row_view V>
  requires(paged_rows<V> && ragged_rows<V>)
[[nodiscard]] constexpr cs::span<int const> free_pages(token_plan const& plan, V const& rows, int view, int head) {
  return pages_behind(rows, head, plan.count(view, head));
}
}  // namespace store
}  // namespace kvsieve::inline v0
