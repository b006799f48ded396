// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The memory that a plan on the device is made in.
#pragma once
#include <cstddef>
#include <span>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/device/score_queries.hpp>
#include <kvsieve/device/score_rows.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The caller's memory for one plan, in two parts. `device` holds scores, kept lists and scratch; kernels alone touch
/// it. `host` holds what the engine reads without waiting for the device: where the lists lie and how long they are
/// (token_plan::offset, logical_tokens, score_offset). Both live as long as the plan.
struct workspace {
  std::span<std::byte> device;  ///< device memory, aligned to 64 bytes
  std::span<std::byte> host;    ///< ordinary memory, aligned to 8 bytes
};

/// Bytes of each part.
struct workspace_size {
  std::size_t device = 0;  ///< of workspace::device
  std::size_t host = 0;    ///< of workspace::host
};

/// The only place that knows how a workspace is laid out.
template <class C>
struct plan_memory {
  using score = typename C::score_policy;
  using rules_type = selection_rules<typename C::budget_policy, typename C::select_policy>;
  static constexpr bool pools = C::smooth_policy::pools;
  static constexpr bool per_row = cs::is_same_v<typename C::pattern, patterns::per_row>;
  /// Sums of keys and values that wait for their block.
  static constexpr bool sums_wait =
      per_row && row_scores::in_blocks<score> && row_scores::reads_keys<score> && row_scores::reads_values<score>;
  static constexpr bool per_chunk = cs::is_same_v<typename C::pattern, patterns::per_chunk>;
  static constexpr bool per_query = C::folds_queries;

  index* offset = nullptr;        ///< host [views * heads + 1]
  index* score_offset = nullptr;  ///< host [views]
  int* logical_tokens = nullptr;  ///< host [views]
  float* scores = nullptr;        ///< device, what selection sees
  float* raw = nullptr;           ///< device, as many: scores before pooling, or scratch of a scorer
  float* second = nullptr;        ///< device, as many, of a scorer whose sums wait
  float* partial = nullptr;       ///< device, the pattern's partial results of all views
  float* joined = nullptr;        ///< device, these joined: a summary for each head, or a mass for each query
  int* list = nullptr;            ///< device

  static constexpr bool score_normalises() {
    if constexpr (per_query)
      return score::form::normalises;
    else
      return true;
  }

  /// Floats that a view takes of `partial` and of `joined`.
  struct view_scratch {
    index partial = 0, joined = 0;
  };
  template <class Layer>
  [[nodiscard]] static view_scratch scratch_of(Layer const& layer, typename C::params const& p, index query_heads) {
    index const heads = layer.keys.extent(0);
    int const tokens = layer.tokens();
    if constexpr (per_row) {
      if constexpr (score::summarises) {
        return {heads * pieces(tokens, segment_rows) * Layer::head_dim,
                heads * rows_part<typename Layer::keys_type>::summary_floats};
      }
    } else if constexpr (per_query && score_normalises()) {
      index const rows = query_heads / (heads < 1 ? 1 : heads) * score::queries(p.score, tokens);
      return {heads * segments_of(rows, tokens).count * rows * 2, heads * rows};
    }
    return {};
  }

  /// What follows from shapes and numbers.
  template <class Layer>
  [[nodiscard]] static rules_type rules(cs::span<Layer const> layers, typename C::params const& p) {
    return {p.budget, p.select,
            call_shape{static_cast<int>(layers.size()), layers.empty() ? 0 : layers[0].heads(), Layer::head_dim}};
  }

  template <class Layer, class QueryHeads>
  static plan_memory carve(arena& device, arena& host, cs::span<Layer const> layers, typename C::params const& p,
                           QueryHeads const& query_heads) {
    std::size_t const views = layers.size();
    std::size_t const heads = views == 0 ? 0 : static_cast<std::size_t>(layers[0].heads());
    index scores = 0, lists = 0, partial = 0, joined = 0;
    for (std::size_t v = 0; v < views; ++v) {
      index const rows = layers[v].heads();
      scored_view const seen = describe<score>(p.score, layers[v].tokens());
      scores += rows * score_stride(seen.tokens);
      lists += rows * rules(layers, p).kept(seen, static_cast<int>(v));
      view_scratch const s = scratch_of(layers[v], p, query_heads(v));
      partial += round_up<index>(s.partial, 16);
      joined += round_up<index>(s.joined, 16);
    }
    auto const floats = [&device](index n) { return device.template take<float>(static_cast<std::size_t>(n)); };
    plan_memory m;
    m.offset = host.template take<index>(views * heads + 1);
    m.score_offset = host.template take<index>(views);
    m.logical_tokens = host.template take<int>(views);
    m.scores = floats(scores);
    m.list = device.template take<int>(static_cast<std::size_t>(lists));
    m.raw = floats(pools || per_chunk ? scores : 0);
    m.second = floats(sums_wait ? scores : 0);
    m.partial = floats(partial);
    m.joined = floats(joined);
    return m;
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
