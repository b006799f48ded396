// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores that hold keys against each other, as launches.
#pragma once
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/workspace.hpp>
#include <kvsieve/device/score/score_pairs.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// From the mean cosines in `out` to the scores.
template <class C, class Call>
[[nodiscard]] status compare_pairs(Call const& call, score_memory<C> const& m, float* out) {
  using score = typename C::score_policy;
  using layer = cs::remove_cvref_t<decltype(call.layer(0))>;
  using keys_type = typename layer::keys_type;
  using launcher = cs::remove_cvref_t<decltype(call.on)>;
  pairs_args<score, keys_type> args{{}, call.params.score};
  auto const launch = [&]<class Body>(Body, int step) {
    return launch_views<Body>(call.on, call.views(), call.heads(), 1, args, [&](int v, pairs_part<keys_type>& part) {
      index const at = m.score_offset[v];
      int const tokens = call.cached(v);
      part = {call.layer(v).keys,
              call.layer(v).keys,
              out + at,
              m.norm + at,
              m.cosine + at,
              m.last_alike + at,
              score_stride(tokens),
              tokens,
              1};
      return step == 0 ? 1 : pieces(tokens, step);
    });
  };
  status s = launch(norm_rows_body<score, keys_type>{}, segment_scores);
  if (s && score::looks_at_pairs(call.params.score))
    s = launch(last_alike_body<score, keys_type>{}, tile_shape<launcher::threads>::rows);
  if (s) s = launch(exempt_pairs_body<score, keys_type>{}, launcher::threads);
  if (s) s = launch(share_pairs_body<score, keys_type>{}, 0);
  return s;
}
}  // namespace device
}  // namespace kvsieve::inline v0
