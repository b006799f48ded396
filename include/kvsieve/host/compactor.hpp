// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Applies a plan to dense storage on the host: kept rows move together.
#pragma once
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/host/move_rows.hpp>
#include <kvsieve/host/on.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
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
  }
  return {};
}

/// A view that is to receive `rows` rows a head.
template <class View>
[[nodiscard]] status check_target(View const& to, char const* name, char const* heads_name, char const* tokens_name,
                                  int heads, int rows, int view) {
  if (to.extent(0) != heads)
    return fail(errc::bad_shape, heads_name, static_cast<double>(to.extent(0)), "must equal the heads of the cache,",
                heads, view);
  if (to.extent(1) < rows)
    return fail(errc::bad_shape, tokens_name, static_cast<double>(to.extent(1)), "must be at least the tokens kept,",
                rows, view);
  if (rows == 0) return {};
  return check::readable(to, name, view);
}

template <class To, class From>
[[nodiscard]] status check_apart(To const& to, From const& from, char const* name, int view) {
  auto const a = check::memory(to);
  if (!a.meets(check::memory(from))) return {};
  return fail(errc::overlap, name, static_cast<double>(a.from), "is an address inside the cache, which ends at",
              static_cast<double>(check::memory(from).to), view);
}
}  // namespace detail

/// Out of place; `to` has at least plan.count(view) rows a head. Rows behind the kept ones are not touched.
template <executor Exec, class Layer, class Target>
[[nodiscard]] status compact(Exec const& on, token_plan const& plan, cs::span<Layer const> from,
                             cs::span<Target const> to) {
  static_assert(cs::is_same_v<element_of<typename Target::keys_type>, element_of<typename Layer::keys_type>> &&
                    cs::is_same_v<element_of<typename Target::values_type>, element_of<typename Layer::values_type>>,
                "kvsieve::apply: cache and result have the same element types");
  static_assert(Target::head_dim == Layer::head_dim, "kvsieve::apply: cache and result have the same head dimension");
  if (status const s = detail::check_plan(plan, from); !s) return s;
  if (to.size() != from.size())
    return fail(errc::bad_shape, "to", static_cast<double>(to.size()), "must equal the number of views,",
                static_cast<double>(from.size()));
  for (int v = 0; v < plan.views; ++v) {
    auto const& t = to[static_cast<std::size_t>(v)];
    int const rows = plan.count(v);
    if (status const s =
            detail::check_target(t.keys, "to.keys", "to.keys.heads", "to.keys.tokens", plan.heads, rows, v);
        !s)
      return s;
    if (status const s =
            detail::check_target(t.values, "to.values", "to.values.heads", "to.values.tokens", plan.heads, rows, v);
        !s)
      return s;
    for (int u = 0; u < plan.views; ++u) {
      auto const& f = from[static_cast<std::size_t>(u)];
      if (status const s = detail::check_apart(t.keys, f.keys, "to.keys", v); !s) return s;
      if (status const s = detail::check_apart(t.keys, f.values, "to.keys", v); !s) return s;
      if (status const s = detail::check_apart(t.values, f.keys, "to.values", v); !s) return s;
      if (status const s = detail::check_apart(t.values, f.values, "to.values", v); !s) return s;
    }
  }
  constexpr index pieces = 4;  // of a head's list, so that few heads still feed all workers
  on.for_each(index{plan.views} * plan.heads * 2 * pieces, [&](index i, int) {
    index const piece = i % pieces, tensor = i / pieces % 2, row = i / pieces / 2;
    int const v = static_cast<int>(row / plan.heads), h = static_cast<int>(row % plan.heads);
    index const n = plan.count(v, h), first = n * piece / pieces, last = n * (piece + 1) / pieces;
    int const* const kept = plan.kept(v, h).data();
    auto const& f = from[static_cast<std::size_t>(v)];
    auto const& t = to[static_cast<std::size_t>(v)];
    if (tensor == 0)
      move_rows(f.keys, t.keys, h, kept, first, last);
    else
      move_rows(f.values, t.values, h, kept, first, last);
  });
  return {};
}

/// In place: afterwards row i of a head is what was row kept[i].
template <executor Exec, class Layer>
[[nodiscard]] status compact(Exec const& on, token_plan const& plan, cs::span<Layer const> layers) {
  if (status const s = detail::check_plan(plan, layers); !s) return s;
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
