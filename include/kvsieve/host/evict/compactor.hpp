// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Applies a plan on the host: kept rows move together, in dense storage or to ragged storage.
#pragma once
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/move_rows.hpp>
#include <kvsieve/host/row/store_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Lists of a plan against heads that have numbers of tokens of their own.
template <class View>
[[nodiscard]] status check_within([[maybe_unused]] View const& rows, char const* name, token_plan const& plan,
                                  int view) {
  if constexpr (ragged_rows<View>)
    for (int h = 0; h < plan.heads; ++h)
      if (int const n = plan.count(view, h);
          n > 0 && plan.kept(view, h)[static_cast<cs::size_t>(n - 1)] >= tokens_of(rows, h))
        return fail(errc::bad_plan, name, static_cast<double>(tokens_of(rows, h)),
                    "must be, of each head, greater than the last token kept,",
                    plan.kept(view, h)[static_cast<cs::size_t>(n - 1)], view);
  return {};
}

/// A plan against the views it is applied to.
template <class Layer>
[[nodiscard]] status check_plan(token_plan const& plan, cs::span<Layer const> layers) {
  if (!plan) return plan.state;
  if (static_cast<std::size_t>(plan.views) != layers.size())
    return fail(errc::bad_plan, "plan.views", plan.views, "must equal the number of views given,",
                static_cast<double>(layers.size()));
  for (int v = 0; v < plan.views; ++v) {
    auto const& l = layers[static_cast<std::size_t>(v)];
    if (status const s = check::layer(l, plan.heads, v); !s) return s;
    if (plan.tokens(v) != l.tokens())
      return fail(errc::bad_plan, "plan.tokens", plan.tokens(v), "must equal the tokens of the view,", l.tokens(), v);
    if (status const s = check::readable(l.keys, "keys", v); !s) return s;
    if (status const s = check::readable(l.values, "values", v); !s) return s;
    if (status const s = check_within(l.keys, "keys.tokens", plan, v); !s) return s;
    if (status const s = check_within(l.values, "values.tokens", plan, v); !s) return s;
  }
  return {};
}

/// Formats that hold several tokens together take whole tiles: what is left over belongs into a part of its own.
template <class View>
[[nodiscard]] status check_tiles(View const&, token_plan const& plan, int view) {
  if constexpr (is_encoded<View>)
    for (int h = 0; h < plan.heads; ++h)
      if (plan.count(view, h) % codec_of<View>::tile_tokens != 0)
        return fail(errc::bad_plan, "plan.count", plan.count(view, h),
                    "must be, for this format, a multiple of the tokens of a tile,", codec_of<View>::tile_tokens, view);
  return {};
}

/// Rows of a result: those kept, as compaction has them.
struct rows_kept {
  [[nodiscard]] int operator()(token_plan const& plan, int view, int head) const { return plan.count(view, head); }
};
/// The most of them in a head of a view.
template <class Rows>
[[nodiscard]] int most_rows(Rows const& rows, token_plan const& plan, int view) {
  int most = 0;
  for (int h = 0; h < plan.heads; ++h) most = most < rows(plan, view, h) ? rows(plan, view, h) : most;
  return most;
}

/// A view that is to receive what a plan keeps of a view.
template <class View, class Rows = rows_kept>
[[nodiscard]] status check_target(View const& to, char const* name, char const* heads_name, char const* tokens_name,
                                  token_plan const& plan, int view, Rows const& rows = {}) {
  if (to.extent(0) != plan.heads)
    return fail(errc::bad_shape, heads_name, static_cast<double>(to.extent(0)), "must equal the heads of the cache,",
                plan.heads, view);
  if (status const s = check::table(to, name, view); !s) return s;
  for (int h = 0; h < plan.heads; ++h)
    if (index const room = tokens_of(to, h); room < rows(plan, view, h))
      return fail(errc::bad_shape, tokens_name, static_cast<double>(room), "must be at least the tokens kept,",
                  rows(plan, view, h), view);
  if (status const s = check_tiles(to, plan, view); !s) return s;
  if (most_rows(rows, plan, view) == 0) return {};
  if (status const s = check::readable(to, name, view); !s) return s;
  return check::writable(
      to, name, view, [](index) { return index{0}; },
      [&](index h) { return index{rows(plan, view, static_cast<int>(h))}; });
}
/// A view that is compacted in place: rows before the first that moves are not written.
template <class View>
[[nodiscard]] status check_moved(View const& rows, char const* name, token_plan const& plan, int view) {
  if (status const s = check_tiles(rows, plan, view); !s) return s;
  auto const count = [&](index h) { return index{plan.count(view, static_cast<int>(h))}; };
  return check::writable(
      rows, name, view,
      [&](index h) {
        if constexpr (tile_tokens_of<View>() > 1) return index{0};  // tiles are encoded anew
        int const* const kept = plan.kept(view, static_cast<int>(h)).data();
        index first = 0, last = count(h);
        while (first < last) {  // kept[i] - i never falls
          index const middle = (first + last) / 2;
          if (kept[middle] == middle)
            first = middle + 1;
          else
            last = middle;
        }
        return first;
      },
      count);
}

/// Rows that are written against others that must not be the same memory; `rule` says what these are.
template <class To, class Other>
[[nodiscard]] status check_apart(To const& to, int rows, Other const& other, index other_rows, char const* name,
                                 char const* rule, int view) {
  if (!check::rows_meet(to, rows, other, other_rows)) return {};
  return fail(errc::overlap, name, static_cast<double>(check::memory(to).from), rule,
              static_cast<double>(check::memory(other).to), view);
}

/// The targets of a call against its caches and against each other. Pairs of views are looked at, so that a call over
/// some hundred views takes microseconds.
template <class Layer, class Target, class Rows = rows_kept>
[[nodiscard]] status check_targets_apart(token_plan const& plan, cs::span<Layer const> from, cs::span<Target const> to,
                                         Rows const& kept = {}) {
  constexpr char const* cache = "is an address inside the cache, which ends at";
  constexpr char const* target = "is an address inside another target, which ends at";
  for (int v = 0; v < plan.views; ++v) {
    auto const& t = to[static_cast<std::size_t>(v)];
    int const rows = most_rows(kept, plan, v);
    for (int u = 0; u < plan.views; ++u) {
      auto const& f = from[static_cast<std::size_t>(u)];
      auto const& o = to[static_cast<std::size_t>(u)];
      status const found[] = {
          check_apart(t.keys, rows, f.keys, f.tokens(), "to.keys", cache, v),
          check_apart(t.keys, rows, f.values, f.tokens(), "to.keys", cache, v),
          check_apart(t.values, rows, f.keys, f.tokens(), "to.values", cache, v),
          check_apart(t.values, rows, f.values, f.tokens(), "to.values", cache, v),
          check_apart(t.values, rows, o.keys, most_rows(kept, plan, u), "to.values", target, v),
          u < v ? check_apart(t.keys, rows, o.keys, most_rows(kept, plan, u), "to.keys", target, v) : status{},
          u < v ? check_apart(t.values, rows, o.values, most_rows(kept, plan, u), "to.values", target, v) : status{}};
      for (status const& s : found)
        if (!s) return s;
    }
  }
  return {};
}

/// A plan, the views that it was made for, and the targets of a call out of place.
template <class Layer, class Target, class Rows = rows_kept>
[[nodiscard]] status check_result(token_plan const& plan, cs::span<Layer const> from, cs::span<Target const> to,
                                  Rows const& rows = {}) {
  if (status const s = check_plan(plan, from); !s) return s;
  if (status const s = check::one_each("to", to.size(), from.size()); !s) return s;
  for (int v = 0; v < plan.views; ++v) {
    auto const& t = to[static_cast<std::size_t>(v)];
    if (status const s = check_target(t.keys, "to.keys", "to.keys.heads", "to.keys.tokens", plan, v, rows); !s)
      return s;
    if (status const s = check_target(t.values, "to.values", "to.values.heads", "to.values.tokens", plan, v, rows); !s)
      return s;
  }
  return check_targets_apart(plan, from, to, rows);
}

/// Views that are compacted in place against each other.
template <class Layer>
[[nodiscard]] status check_layers_apart(token_plan const& plan, cs::span<Layer const> layers) {
  constexpr char const* rule = "is an address inside other keys or values of the call, which end at";
  for (int v = 0; v < plan.views; ++v) {
    auto const& l = layers[static_cast<std::size_t>(v)];
    for (int u = 0; u <= v; ++u) {
      auto const& o = layers[static_cast<std::size_t>(u)];
      if (status const s = check_apart(l.values, l.tokens(), o.keys, o.tokens(), "values", rule, v); !s) return s;
      if (u == v) continue;
      if (status const s = check_apart(l.keys, l.tokens(), o.keys, o.tokens(), "keys", rule, v); !s) return s;
      if (status const s = check_apart(l.keys, l.tokens(), o.values, o.tokens(), "keys", rule, v); !s) return s;
      if (status const s = check_apart(l.values, l.tokens(), o.values, o.tokens(), "values", rule, v); !s) return s;
    }
  }
  return {};
}
}  // namespace detail

/// Out of place; each head of `to` has at least plan.count(view, head) rows. Rows behind the kept ones are not touched.
template <executor Exec, class Layer, class Target>
[[nodiscard]] status compact(Exec const& on, token_plan const& plan, cs::span<Layer const> from,
                             cs::span<Target const> to) {
  static_assert(Target::head_dim == Layer::head_dim, "kvsieve::apply: cache and result have the same head dimension");
  if (status const s = detail::check_result(plan, from, to); !s) return s;
  constexpr index pieces = 4;  // of a head's list, so that few heads still feed all workers
  on.for_each(index{plan.views} * plan.heads * 2 * pieces, [&](index i, int) {
    index const piece = i % pieces, tensor = i / pieces % 2, row = i / pieces / 2;
    int const v = static_cast<int>(row / plan.heads), h = static_cast<int>(row % plan.heads);
    int const* const kept = plan.kept(v, h).data();
    auto const move = [&](auto const& source, auto const& target) {
      constexpr index tile = tile_tokens_of<cs::remove_cvref_t<decltype(target)>>();
      index const n = plan.count(v, h) / tile;  // whole, as was checked
      move_rows(source, target, h, kept, n * piece / pieces * tile, n * (piece + 1) / pieces * tile);
    };
    auto const& f = from[static_cast<std::size_t>(v)];
    auto const& t = to[static_cast<std::size_t>(v)];
    if (tensor == 0)
      move(f.keys, t.keys);
    else
      move(f.values, t.values);
  });
  return {};
}

/// In place: afterwards row i of a head is what was row kept[i].
template <executor Exec, class Layer>
[[nodiscard]] status compact(Exec const& on, token_plan const& plan, cs::span<Layer const> layers) {
  if (status const s = detail::check_plan(plan, layers); !s) return s;
  for (int v = 0; v < plan.views; ++v) {
    auto const& l = layers[static_cast<std::size_t>(v)];
    if (status const s = detail::check_moved(l.keys, "keys", plan, v); !s) return s;
    if (status const s = detail::check_moved(l.values, "values", plan, v); !s) return s;
  }
  if (status const s = detail::check_layers_apart(plan, layers); !s) return s;
  on.for_each(index{plan.views} * plan.heads * 2, [&](index i, int) {
    index const tensor = i % 2, row = i / 2;
    int const v = static_cast<int>(row / plan.heads), h = static_cast<int>(row % plan.heads);
    auto const& l = layers[static_cast<std::size_t>(v)];
    int const* const kept = plan.kept(v, h).data();
    if (tensor == 0)
      move_rows(l.keys, l.keys, h, kept, 0, plan.count(v, h));
    else
      move_rows(l.values, l.values, h, kept, 0, plan.count(v, h));
  });
  return {};
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
