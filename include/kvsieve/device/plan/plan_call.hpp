// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The arguments of a plan on the device, and which scores it has no kernels for.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/device/plan/head_memory.hpp>
#include <kvsieve/device/plan/scored_layers.hpp>
#include <kvsieve/device/score/score_page_bound.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The arguments of one plan, as its launches see them.
template <strategy C, class Launcher, class Layer, class Queries>
struct plan_call {
  using score = typename C::score_policy;
  using aggregate = typename C::aggregate_policy;
  static_assert(!cs::is_same_v<typename C::pattern, patterns::per_head> || bounds_pages<score> ||
                    reads_moments<score> || cs::is_same_v<score, kvsieve::score::non_causal_attention>,
                "kvsieve::plan on the device has no kernel for a score of this kind that looks at all rows of a head: "
                "choose another score, or plan on the host");

  Launcher const& on;
  layer_range<Layer> layers;
  cs::span<Queries const> queries;
  typename C::params const& params;

  [[nodiscard]] int views() const { return static_cast<int>(layers.size()); }
  [[nodiscard]] int heads() const { return layers[0].heads(); }
  [[nodiscard]] decltype(auto) layer(int v) const { return layers[static_cast<std::size_t>(v)]; }
  [[nodiscard]] scored_view seen(int v) const { return seen_of<score>(params.score, layer(v)); }
  /// Tokens of the cache: rows of the view but the queries' own.
  [[nodiscard]] int cached(int v) const { return seen(v).tokens; }
  /// Query heads of a view; 0 where there are no queries.
  [[nodiscard]] index query_heads(std::size_t v) const {
    if constexpr (C::observes_queries)
      return v < queries.size() ? queries[v].extent(0) : 0;
    else
      return 0;
  }
  /// The same call, of one half of a joined score.
  [[nodiscard]] auto first_half() const {
    return plan_call<typename score::first, Launcher, Layer, Queries>{on, layers, queries, params.score.first};
  }
  [[nodiscard]] auto second_half() const {
    return plan_call<typename score::second, Launcher, Layer, Queries>{on, layers, queries, params.score.second};
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
