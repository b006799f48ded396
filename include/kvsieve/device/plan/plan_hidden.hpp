// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores of hidden states as launches: some tokens of a view at a time, so that products need little memory.
#pragma once
#include <kvsieve/core/hidden.hpp>
#include <kvsieve/device/call/workspace.hpp>
#include <kvsieve/device/score/score_hidden.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Scores all views into `out`.
template <class C, class Call>
[[nodiscard]] status score_hidden(Call const& call, score_memory<C> const& m, float* out) {
  using score = typename C::score_policy;
  using launcher = cs::remove_cvref_t<decltype(call.on)>;
  using shape = tile_shape<launcher::threads>;
  auto const& p = call.params.score;
  int const heads = call.heads(), outputs = score::outputs(p, heads);
  int biased = outputs;
  if constexpr (requires { score::biased(p, heads); }) biased = score::biased(p, heads);
  for (int v = 0; v < call.views(); ++v) {
    hidden_rows const& rows = p.hidden[static_cast<cs::size_t>(v)];
    int const tokens = call.cached(v);
    for (int first = 0; first < tokens; first += hidden_tokens) {
      int const some = tokens - first < hidden_tokens ? tokens - first : hidden_tokens;
      status s = hidden::visit(rows, [&](auto const* data) {
        using element = cs::remove_cvref_t<decltype(*data)>;
        hidden_products_args<element> const args{data + first * rows.stride,
                                                 score::weight(p, v, heads),
                                                 score::bias(p, v, heads),
                                                 m.product,
                                                 rows.stride,
                                                 hidden_tokens,
                                                 some,
                                                 p.width,
                                                 outputs,
                                                 biased};
        grid const tiles{pieces(some, shape::tokens), pieces(outputs, shape::rows), 1};
        return call.on.template launch<hidden_products_body<score, element>>(tiles, args);
      });
      if (!s) return s;
      hidden_scores_args<score> const args{score::of_layer(p, v, heads),
                                           m.product,
                                           out + m.score_offset[v] + first,
                                           hidden_tokens,
                                           score_stride(tokens),
                                           some,
                                           heads};
      s = call.on.template launch<hidden_scores_body<score>>(grid{pieces(some, launcher::threads), heads, 1}, args);
      if (!s) return s;
    }
  }
  return {};
}
}  // namespace device
}  // namespace kvsieve::inline v0
