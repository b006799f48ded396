// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compaction as launches: a plan carried out, in other memory or in place.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/device/check.hpp>
#include <kvsieve/device/compact.hpp>
#include <kvsieve/device/launch_views.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Copies the kept rows of every view into other memory.
template <strategy C, class Launcher, class From, class To>
[[nodiscard]] status copy_kept(Launcher const& on, token_plan const& plan, cs::span<From const> from,
                               cs::span<To const> to) {
  static_assert(walks<From> && walks<To>,
                "kvsieve on the device walks rows by strides: give it kvsieve::make_rows, or plan and apply views in "
                "pages and ragged views on the host");
  static_assert(cs::is_same_v<element_of<typename From::keys_type>, element_of<typename To::keys_type>> &&
                    cs::is_same_v<element_of<typename From::values_type>, element_of<typename To::values_type>> &&
                    From::head_dim == To::head_dim,
                "kvsieve::apply: compaction keeps the element type and head dimension: give it a target of the same");
  if (!plan)
    return fail(errc::bad_plan, "plan", static_cast<double>(plan.state.code), "must be made without error,", 0);
  auto const views = static_cast<std::size_t>(plan.views);
  if (from.size() != views)
    return fail(errc::bad_plan, "from", static_cast<double>(from.size()), "must equal the views of the plan,",
                plan.views);
  if (to.size() != views)
    return fail(errc::bad_plan, "to", static_cast<double>(to.size()), "must equal the views of the plan,", plan.views);
  for (int v = 0; v < plan.views; ++v) {
    auto const& f = from[static_cast<std::size_t>(v)];
    auto const& t = to[static_cast<std::size_t>(v)];
    if (f.heads() != plan.heads)
      return fail(errc::bad_plan, "from.heads", f.heads(), "must equal that of the plan,", plan.heads, v);
    if (f.tokens() != plan.tokens(v))
      return fail(errc::bad_plan, "from.tokens", f.tokens(), "must equal that of the plan,", plan.tokens(v), v);
    if (t.heads() != plan.heads)
      return fail(errc::bad_shape, "to.heads", t.heads(), "must equal that of the plan,", plan.heads, v);
    for (index const rows : {t.keys.extent(1), t.values.extent(1)}) {
      if (rows < plan.count(v))
        return fail(errc::bad_shape, "to.tokens", static_cast<double>(rows), "must be at least the kept tokens,",
                    plan.count(v), v);
    }
    int const rows = plan.count(v);
    if (check::rows_meet(t.keys, rows, t.values, rows))
      return fail(errc::overlap, "to", 1, "must hold keys and values in memory of their own;", 0, v);
    for (int u = 0; u < plan.views; ++u) {
      auto const& other = to[static_cast<std::size_t>(u)];
      auto const meets = [&](auto const& keys, auto const& values, index n) {
        return check::rows_meet(t.keys, rows, keys, n) || check::rows_meet(t.keys, rows, values, n) ||
               check::rows_meet(t.values, rows, keys, n) || check::rows_meet(t.values, rows, values, n);
      };
      auto const& cache = from[static_cast<std::size_t>(u)];
      if (meets(cache.keys, cache.values, cache.tokens()))
        return fail(errc::overlap, "to", 1, "must not overlap from; for compaction in place leave it out;", 0, v);
      if (u < v && meets(other.keys, other.values, plan.count(u)))
        return fail(errc::overlap, "to", 1, "must not overlap the target of another view,", u, v);
    }
  }
  copy_args<From, To> args{};
  return launch_views<copy_body<From, To>>(on, plan.views, plan.heads, 2, args, [&](int v, copy_part<From, To>& part) {
    auto const& f = from[static_cast<std::size_t>(v)];
    auto const& t = to[static_cast<std::size_t>(v)];
    part = {f.keys,           f.values,        t.keys, t.values, plan.list + plan.offset[index{v} * plan.heads],
            plan.count(v, 0), plan.count(v, 0)};
    return pieces(part.keep, copy_rows);
  });
}

/// Moves the kept rows of every view to its front; rows behind them keep what they hold.
template <strategy C, class Launcher, class Layer>
[[nodiscard]] status move_kept(Launcher const& on, token_plan const& plan, cs::span<Layer const> layers) {
  static_assert(walks<Layer>,
                "kvsieve on the device walks rows by strides: give it kvsieve::make_rows, or plan and apply views in "
                "pages and ragged views on the host");
  static_assert(!cs::is_const_v<typename Layer::keys_type::element_type> &&
                    !cs::is_const_v<typename Layer::values_type::element_type>,
                "kvsieve::apply in place writes the cache: give it views of elements that are not const");
  if (!plan)
    return fail(errc::bad_plan, "plan", static_cast<double>(plan.state.code), "must be made without error,", 0);
  if (layers.size() != static_cast<std::size_t>(plan.views)) {
    return fail(errc::bad_plan, "layers", static_cast<double>(layers.size()), "must equal the views of the plan,",
                plan.views);
  }
  for (int v = 0; v < plan.views; ++v) {
    auto const& l = layers[static_cast<std::size_t>(v)];
    if (l.heads() != plan.heads)
      return fail(errc::bad_plan, "layer.heads", l.heads(), "must equal that of the plan,", plan.heads, v);
    if (l.tokens() != plan.tokens(v))
      return fail(errc::bad_plan, "layer.tokens", l.tokens(), "must equal that of the plan,", plan.tokens(v), v);
  }
  move_args<Layer> args{};
  return launch_views<move_body<Layer>>(on, plan.views, plan.heads, 2, args, [&](int v, move_part<Layer>& part) {
    auto const& l = layers[static_cast<std::size_t>(v)];
    part = {l.keys, l.values, plan.list + plan.offset[index{v} * plan.heads], plan.count(v, 0), plan.count(v, 0)};
    return part.keep < plan.tokens(v) && part.keep > 0 ? 1 : 0;
  });
}
}  // namespace device
}  // namespace kvsieve::inline v0
