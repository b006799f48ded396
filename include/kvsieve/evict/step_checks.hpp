// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the steps of ZeroMerge and D2O refuse on every backend, before they touch anything.
#pragma once
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/parts.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/evict/d2o_step.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/evict/zero_merge_step.hpp>

namespace kvsieve::inline v0 {
namespace check {
namespace detail {
[[nodiscard]] inline status wrong_size(char const* name, index got, char const* rule, index wanted, int view) {
  return fail(errc::bad_shape, name, static_cast<double>(got), rule, static_cast<double>(wanted), view);
}
/// Keys and values of one view.
template <class Layer>
[[nodiscard]] status stepped_layer(Layer const& l, int heads, int view) {
  if (status const s = check::layer(l, heads, view); !s) return s;
  if (status const s = check::readable(l.keys, "keys", view); !s) return s;
  return check::readable(l.values, "values", view);
}
}  // namespace detail

/// One view of a step of ZeroMerge.
template <class Layer, class Fresh>
[[nodiscard]] status zero_merge_view(Layer const& l, Fresh const& f, cs::span<float const> seen,
                                     evict::zero_merge_step::params const& p, zero_merge_state const& s, int heads,
                                     int view) {
  auto const wrong = [&](char const* name, index got, char const* rule, index wanted) {
    return detail::wrong_size(name, got, rule, wanted, view);
  };
  if (status const t = detail::stepped_layer(l, heads, view); !t) return t;
  if (f.heads() != heads) return wrong("fresh.heads", f.heads(), "must equal the KV heads,", heads);
  if (f.tokens() != 1) return wrong("fresh.tokens", f.tokens(), "must be", 1);
  if (status const t = check::layer(f, heads, view); !t) return t;
  if (status const t = check::readable(f.keys, "fresh", view); !t) return t;
  if (status const t = check::readable(f.values, "fresh", view); !t) return t;
  if (s.data == nullptr) return fail(errc::bad_pointer, "state", 0, "must not be null;", 0, view);
  if (s.heads != heads) return wrong("state.heads", s.heads, "must equal the KV heads,", heads);
  if (s.capacity <= p.tail + p.residual)
    return wrong("state.capacity", s.capacity, "must be greater than tail and residual together,",
                 index{p.tail} + p.residual);
  if (l.tokens() < s.capacity)
    return wrong("keys.tokens", l.tokens(), "must be at least the capacity of the state,", s.capacity);
  if (s.used < 0 || s.used > s.capacity)
    return wrong("state.used", s.used, s.used < 0 ? "must be at least" : "must be at most the capacity,",
                 s.used < 0 ? 0 : s.capacity);
  if (s.turn < 0 || s.turn >= p.tail - 1)
    return wrong("state.turn", s.turn, s.turn < 0 ? "must be at least" : "must be less than the ring of tail - 1,",
                 s.turn < 0 ? 0 : p.tail - 1);
  if (index const room = heads * score_stride(s.used + 1); static_cast<index>(seen.size()) < room)
    return wrong("attention", static_cast<index>(seen.size()), "floats; it must be at least", room);
  return {};
}
/// The arguments of step_zero_merge.
template <class Layer, class Fresh>
[[nodiscard]] status zero_merge_step(cs::span<Layer const> layers, cs::span<Fresh const> fresh,
                                     cs::span<cs::span<float const> const> seen,
                                     evict::zero_merge_step::params const& p, cs::span<zero_merge_state> states) {
  if (status const s = p.check(); !s) return s;
  if (layers.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
  if (status const s = range::all(check::one_each("fresh", fresh.size(), layers.size()),
                                  check::one_each("attention", seen.size(), layers.size()),
                                  check::one_each("states", states.size(), layers.size()));
      !s)
    return s;
  for (std::size_t v = 0; v < layers.size(); ++v)
    if (status const s =
            zero_merge_view(layers[v], fresh[v], seen[v], p, states[v], layers[0].heads(), static_cast<int>(v));
        !s)
      return s;
  return {};
}

/// The arguments of begin_zero_merge.
template <class Layer>
[[nodiscard]] status begun_zero_merge(token_plan const& plan, int view, Layer const& layer,
                                      cs::span<float const> scores, evict::zero_merge::params const& residual,
                                      evict::zero_merge_step::params const& params, zero_merge_state const& state) {
  if (!plan) return plan.state;
  if (view < 0 || view >= plan.views)
    return fail(errc::bad_shape, "view", view, view < 0 ? "must be at least" : "must be less than the plan's,",
                view < 0 ? 0 : plan.views);
  if (status const s = range::all(params.check(), residual.check()); !s) return s;
  if (residual.residual != params.residual)
    return fail(errc::bad_params, "residual", params.residual, "must equal that of evict::zero_merge,",
                residual.residual);
  int const tokens = plan.tokens(view), kept = plan.count(view, 0),
            rows = kept + evict::zero_merge::slots(residual, tokens - kept);
  if (layer.heads() != plan.heads)
    return fail(errc::bad_shape, "keys.heads", layer.heads(), "must equal the plan's,", plan.heads, view);
  if (layer.tokens() != tokens)
    return fail(errc::bad_shape, "keys.tokens", layer.tokens(), "must equal the plan's,", tokens, view);
  if (status const s = check::readable(layer.keys, "keys", view); !s) return s;
  if (status const s = check::readable(layer.values, "values", view); !s) return s;
  if (status const s =
          range::entries("scores", static_cast<double>(scores.size()), static_cast<double>(index{plan.heads} * tokens));
      !s)
    return s;
  if (state.data == nullptr) return fail(errc::bad_pointer, "state", 0, "must not be null;", 0, view);
  if (state.heads != plan.heads)
    return fail(errc::bad_shape, "state.heads", state.heads, "must equal the KV heads,", plan.heads, view);
  if (state.capacity < rows)
    return fail(errc::bad_shape, "state.capacity", state.capacity, "must be at least the rows of the result,", rows,
                view);
  for (int h = 1; h < plan.heads; ++h)
    if (plan.count(view, h) != kept)
      return fail(errc::bad_plan, "plan.count", plan.count(view, h), "must equal that of the first head,", kept, view);
  return {};
}

/// One view of a step of D2O.
template <class Layer>
[[nodiscard]] status d2o_view(Layer const& l, cs::span<float const> seen, d2o_state const& s, int heads, int view) {
  auto const wrong = [&](char const* name, index got, char const* rule, index wanted) {
    return detail::wrong_size(name, got, rule, wanted, view);
  };
  if (status const t = detail::stepped_layer(l, heads, view); !t) return t;
  if (s.score == nullptr) return fail(errc::bad_pointer, "state", 0, "must not be null;", 0, view);
  if (s.heads != heads) return wrong("state.heads", s.heads, "must equal the KV heads,", heads);
  if (s.capacity < l.tokens()) return wrong("state.capacity", s.capacity, "must be at least the entries,", l.tokens());
  if (s.used < 0 || s.used >= l.tokens())
    return wrong("state.used", s.used,
                 s.used < 0 ? "must be at least" : "must be less than the entries, new among them,",
                 s.used < 0 ? 0 : l.tokens());
  if (index const room = heads * score_stride(l.tokens()); static_cast<index>(seen.size()) < room)
    return wrong("attention", static_cast<index>(seen.size()), "floats; it must be at least", room);
  return {};
}
/// The arguments of step_d2o.
template <class Layer>
[[nodiscard]] status d2o_step(cs::span<Layer const> layers, cs::span<cs::span<float const> const> seen,
                              evict::d2o_step::params const& p, cs::span<d2o_state> states) {
  if (status const s = p.check(); !s) return s;
  if (layers.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
  if (status const s = range::all(check::one_each("attention", seen.size(), layers.size()),
                                  check::one_each("states", states.size(), layers.size()));
      !s)
    return s;
  for (std::size_t v = 0; v < layers.size(); ++v)
    if (status const s = d2o_view(layers[v], seen[v], states[v], layers[0].heads(), static_cast<int>(v)); !s) return s;
  return {};
}
}  // namespace check
}  // namespace kvsieve::inline v0
