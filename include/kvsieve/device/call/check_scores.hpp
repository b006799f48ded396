// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the scores of a plan on the device refuse, by type and by shape.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/device/call/check.hpp>
#include <kvsieve/device/plan/plan_scores.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Numbers out of range; of a joined score those of either half as well.
template <strategy C, class Launcher, class Layer, class Queries>
[[nodiscard]] status check_params(plan_call<C, Launcher, Layer, Queries> const& call) {
  status s = check::params(call.params, plan_memory<C>::rules(call.layers, call.params).call);
  if constexpr (plan_memory<C>::joins) {
    if (s) s = check_params(call.first_half());
    if (s) s = check_params(call.second_half());
  }
  return s;
}

/// A view and its queries that cannot be scored; with `from` 0 or more, of a call that brings the queries from there
/// on.
template <strategy C, class Launcher, class Layer, class Queries>
[[nodiscard]] status check_view(plan_call<C, Launcher, Layer, Queries> const& call, int v, int from) {
  using score = typename C::score_policy;
  using aggregate = typename C::aggregate_policy;
  auto const& l = call.layer(v);
  if (status const s = check::layer(l, call.heads(), v); !s) return s;
  if constexpr (reads(C::reads, needs::keys)) {
    if (status const s = readable(l.keys, "keys", v); !s) return s;
  }
  if constexpr (reads(C::reads, needs::values)) {
    if (status const s = readable(l.values, "values", v); !s) return s;
  }
  if constexpr (requires { score::check_view(call.params.score, v, l.tokens()); }) {
    if (status const s = score::check_view(call.params.score, v, l.tokens()); !s) return s;
  }
  if constexpr (C::observes_queries && !plan_memory<C>::joins) {
    auto const& q = call.queries[static_cast<std::size_t>(v)];
    if (q.extent(0) > check::most_heads)
      return fail(errc::bad_shape, "queries.heads", static_cast<double>(q.extent(0)), "must be at most",
                  static_cast<double>(check::most_heads), v);
    if (status const s = check::queries<score>(q, l, call.params.score, v, least_queries<aggregate>,
                                               weighs_queries<aggregate>, from);
        !s)
      return s;
    if (from >= 0)
      if (status const s = check::same_part<score>(call.layers, call.queries, call.params.score, v); !s) return s;
    if constexpr (C::folds_queries) {
      using group = typename C::group_policy;
      if constexpr (requires { group::fits(call.params.group, q.extent(0), call.cached(v)); })
        if (status s = group::fits(call.params.group, q.extent(0), call.cached(v)); !s) {
          s.layer = v;
          return s;
        }
      if (auto const scales = score::scales(call.params.score); !scales.empty())
        return fail(errc::bad_params, "score.scale", static_cast<double>(scales.size()), "entries; the device takes",
                    0);
      if (int const sets = score::set_count(call.params.score, l.tokens()); sets > most_query_sets)
        return fail(errc::bad_params, "score.sets", sets, "must be, on the device, at most", most_query_sets, v);
    }
    if (status const s = readable(q, "queries", v); !s) return s;
  }
  return {};
}

/// Views and queries that cannot be scored; of a joined score what either half refuses.
template <strategy C, class Launcher, class Layer, class Queries>
[[nodiscard]] status check_scores(plan_call<C, Launcher, Layer, Queries> const& call, int from = -1) {
  if constexpr (plan_memory<C>::joins) {
    auto const first = call.first_half();
    auto const second = call.second_half();
    if (status const s = check_scores(first); !s) return s;
    if (status const s = check_scores(second); !s) return s;
    for (int v = 0; v < call.views(); ++v)
      if (first.cached(v) != second.cached(v))
        return fail(errc::bad_shape, "score.first, tokens", first.cached(v), "must equal those of score.second,",
                    second.cached(v), v);
  }
  if constexpr (!cs::is_same_v<Layer, scored_layer>)
    for (int v = 0; v < call.views(); ++v)
      if (status const s = check_view(call, v, from); !s) return s;
  return {};
}

/// The arguments of a call that scores: what check_params and check_scores refuse, and views that lie where no kernel
/// reaches them.
template <strategy C, class Launcher, class Layer, class Queries>
[[nodiscard]] status check_call(plan_call<C, Launcher, Layer, Queries> const& call, int from = -1) {
  if (call.layers.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
  if (call.layers.size() > 1u << 20)
    return fail(errc::bad_shape, "layers", static_cast<double>(call.layers.size()), "must be at most", 1 << 20);
  if (status const s = check_params(call); !s) return s;
  if constexpr (C::observes_queries)
    if (status const s = check::one_each("queries", call.queries.size(), call.layers.size()); !s) return s;
  if (status const s = check_scores(call, from); !s) return s;
  status s;
  for (int v = 0; s && v < call.views(); ++v) {
    if constexpr (reads(C::reads, needs::keys)) s = rows_within_reach(call.on, call.layer(v).keys, "keys", v);
    if constexpr (reads(C::reads, needs::values))
      if (s) s = rows_within_reach(call.on, call.layer(v).values, "values", v);
    if constexpr (C::observes_queries)
      if (s) s = rows_within_reach(call.on, call.queries[static_cast<std::size_t>(v)], "queries", v);
  }
  return s;
}
}  // namespace device
}  // namespace kvsieve::inline v0
