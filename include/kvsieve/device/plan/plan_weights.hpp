// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The weight by projected values as launches.
#pragma once
#include <kvsieve/core/tables.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/workspace.hpp>
#include <kvsieve/device/score/project_values.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Weighs the scores in `out`, of which the first scored(view) tokens of every head have some. Gram matrices are those
/// of one layer at a time, so that views follow one another where they are needed.
template <class C, class Call, class Scored>
[[nodiscard]] status project_weights(Call const& call, score_memory<C> const& m, float* out, Scored const& scored) {
  using weigh = typename C::weigh_policy;
  using layer = cs::remove_cvref_t<decltype(call.layer(0))>;
  using values_type = typename layer::values_type;
  using body = project_values_body<weigh, values_type>;
  using launcher = cs::remove_cvref_t<decltype(call.on)>;
  constexpr int D = layer::head_dim;
  auto const& p = call.params.weigh;
  auto const row_of_view = [&](float* of, int v) { return of + m.score_offset[v]; };
  auto const output = [&](int v) { return tables::of_view(p.output, p.per_layer(D), p.layer, v); };
  auto const fill = [&](int v, project_part<values_type>& part) {
    part = {call.layer(v).values,
            row_of_view(m.projected, v),
            weigh::quadratic ? m.gram : output(v),
            score_stride(call.cached(v)),
            weigh::quadratic ? index{D} * D : index{D},
            weigh::quadratic ? index{D} : index{p.query_heads} * D,
            weigh::quadratic ? D : p.hidden,
            p.query_heads / call.heads(),
            scored(v)};
    return pieces(part.scored, tile_shape<launcher::threads>::tokens);
  };
  project_args<values_type> args{};
  if constexpr (weigh::quadratic) {
    using shape = tile_shape<launcher::threads>;
    for (int v = 0; v < call.views(); ++v) {
      gram_args const gram{output(v), m.gram, p.hidden, p.query_heads, D};
      grid const tiles{pieces(D, shape::rows), pieces(D, shape::tokens), p.query_heads};
      if (status const s = call.on.template launch<gram_body>(tiles, gram); !s) return s;
      auto const one = [&](int, project_part<values_type>& part) { return fill(v, part); };
      if (status const s = launch_views<body>(call.on, 1, call.heads(), 1, args, one); !s) return s;
    }
  } else {
    if (status const s = launch_views<body>(call.on, call.views(), call.heads(), 1, args, fill); !s) return s;
  }
  scores_args<typename weigh::params> applied{{}, p};
  return launch_views<apply_weights_body<weigh>>(call.on, call.views(), call.heads(), 1, applied,
                                                 [&](int v, scores_part& part) {
                                                   part.score = row_of_view(m.projected, v);
                                                   part.result = row_of_view(out, v);
                                                   part.stride = score_stride(call.cached(v));
                                                   part.tokens = call.cached(v);
                                                   part.heads = call.heads();
                                                   part.scored = scored(v);
                                                   return pieces(part.tokens, segment_scores);
                                                 });
}
}  // namespace device
}  // namespace kvsieve::inline v0
