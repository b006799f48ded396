// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Eviction of whole pages: the table loses entries and no row moves.
#pragma once
#include <span>

#include <kvsieve/core/plan.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// What became of a table of pages.
struct dropped_pages {
  status state{};     ///< ok, or why the table is as it was
  index kept = 0;     ///< its first entries, in order
  index dropped = 0;  ///< entries of `freed`
};

namespace detail {
/// Whether a list is made of whole pages of P of `tokens` tokens; the last page may be a partial one.
template <int P>
[[nodiscard]] status check_whole_pages(cs::span<int const> kept, int tokens, int view) {
  int const n = static_cast<int>(kept.size());
  for (int i = 0; i < n;) {
    int const first = kept[static_cast<cs::size_t>(i)], left = tokens - first, rows = left < P ? left : P;
    if (first % P != 0)
      return fail(errc::bad_plan, "plan.kept", first, "begins a page, and must be a multiple of the tokens of a page,",
                  P, view);
    if (rows < 1 || n - i < rows || kept[static_cast<cs::size_t>(i + rows - 1)] != first + rows - 1)
      return fail(errc::bad_plan, "plan.kept", first, "begins a page of which all tokens must be kept,", rows, view);
    i += rows;
  }
  return {};
}
/// Moves the entries of kept pages to the front, the others to `freed`.
template <int P>
[[nodiscard]] dropped_pages drop_pages(cs::span<int const> kept, int tokens, std::span<int> table, std::span<int> freed,
                                       int view) {
  index const pages = (index{tokens} + P - 1) / P, stay = (static_cast<index>(kept.size()) + P - 1) / P;
  if (static_cast<index>(table.size()) < pages)
    return {fail(errc::bad_shape, "table", static_cast<double>(table.size()), "entries; it must have at least",
                 static_cast<double>(pages), view)};
  if (static_cast<index>(freed.size()) < pages - stay)
    return {fail(errc::bad_shape, "freed", static_cast<double>(freed.size()), "entries; it must have at least",
                 static_cast<double>(pages - stay), view)};
  dropped_pages result;
  for (index p = 0, i = 0; p < pages; ++p) {
    bool const stays = i < static_cast<index>(kept.size()) && kept[static_cast<cs::size_t>(i)] / P == p;
    int const page = table[static_cast<std::size_t>(p)];
    if (stays) {
      i += P;
      table[static_cast<std::size_t>(result.kept++)] = page;
    } else {
      freed[static_cast<std::size_t>(result.dropped++)] = page;
    }
  }
  return result;
}
}  // namespace detail

/// Drops pages of P tokens that a plan keeps nothing of from the table of a view, for plans whose heads all keep the
/// same whole pages (select::pages with aggregate::heads_mean). The kept entries move to the front of the table, which
/// then has plan.count(view) tokens; no row is read or written, and pages may be shared.
/// @param plan   a plan in host memory
/// @param view   which of its views
/// @param table  [at least the pages of plan.tokens(view)]
/// @param freed  [at least the pages dropped] their ids, to be given back
template <int P>
[[nodiscard]] dropped_pages drop_pages(token_plan const& plan, int view, std::span<int> table,
                                       std::span<int> freed) noexcept {
  if (!plan) return {plan.state};
  if (view < 0 || view >= plan.views)
    return {
        fail(errc::bad_params, "view", view, "must be at least 0 and less than the views of the plan,", plan.views)};
  auto const kept = plan.kept(view, 0);
  if (status const s = detail::check_whole_pages<P>(kept, plan.tokens(view), view); !s) return {s};
  for (int h = 1; h < plan.heads; ++h) {
    auto const other = plan.kept(view, h);
    if (other.size() != kept.size())
      return {fail(errc::bad_plan, "plan.count", static_cast<double>(other.size()),
                   "must be, with one table for all heads, that of the first,", static_cast<double>(kept.size()),
                   view)};
    for (cs::size_t i = 0; i < kept.size(); ++i)
      if (other[i] != kept[i])
        return {fail(errc::bad_plan, "plan.kept", other[i],
                     "must be, with one table for all heads, what the first one keeps,", kept[i], view)};
  }
  return detail::drop_pages<P>(kept, plan.tokens(view), table, freed, view);
}
/// The same for the table of one head of `tokens` tokens, where each has its own.
template <int P>
[[nodiscard]] dropped_pages drop_pages(token_plan const& plan, int view, int head, int tokens, std::span<int> table,
                                       std::span<int> freed) noexcept {
  if (!plan) return {plan.state};
  if (view < 0 || view >= plan.views)
    return {
        fail(errc::bad_params, "view", view, "must be at least 0 and less than the views of the plan,", plan.views)};
  if (head < 0 || head >= plan.heads)
    return {fail(errc::bad_params, "head", head, "must be at least 0 and less than the heads of the plan,", plan.heads,
                 view)};
  auto const kept = plan.kept(view, head);
  if (status const s = detail::check_whole_pages<P>(kept, tokens, view); !s) return {s};
  return detail::drop_pages<P>(kept, tokens, table, freed, view);
}
}  // namespace store
}  // namespace kvsieve::inline v0
