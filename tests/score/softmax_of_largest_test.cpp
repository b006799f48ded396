// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/largest.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

using namespace kvsieve;

TEST_CASE("softmax_of_largest: the group's queries compete key by key, before the keys do") {
  using C = compressor<score::attention<observe::window_or_front, row_form::softmax_of_largest>, aggregate::sum,
                       aggregate::group_mean>;
  CHECK(support::holds("softmax_of_largest", 60, [] {
    auto const s = *support::shapes(2, 600);
    C::params params;
    params.score.window = std::min(*rc::gen::element(1, 8, 70), s.shortest() - 1);
    params.score.sees_own = *rc::gen::arbitrary<bool>();
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int n) { return n; });
      auto const p = support::make_plan<C>(s.executor, layers, params);
      RC_ASSERT(static_cast<bool>(p.plan));
      RC_ASSERT(p.memory.guards_hold());
      int const window = params.score.window;
      for (int v = 0; v < s.views(); ++v)
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const& l = layers[static_cast<std::size_t>(v)];
          auto const queries = l.queries.view();
          auto const keys = l.keys.view();
          int const tokens = l.keys.tokens();
          // An error of the logits moves every probability by a factor; sums of as many as 64 rows follow.
          double largest = 0;
          for (int t = 0; t < tokens; ++t)
            for (int r = 0; r < window * s.group; ++r) {
              double magnitude = 0;
              for (int d = 0; d < D; ++d)
                magnitude += std::abs(static_cast<double>(
                    l.queries.get(h * s.group + r / window, tokens - window + r % window, d) * l.keys.get(h, t, d)));
              if (std::isfinite(magnitude)) largest = std::max(largest, magnitude / std::sqrt(static_cast<double>(D)));
            }
          double const moved =
              std::expm1(2 * (support::gamma(D + 3) + 4 * support::u) * largest) + 2 * support::gamma(tokens + 200);
          std::vector<double> want(static_cast<std::size_t>(tokens));
          for (int i = tokens - window; i < tokens; ++i) {
            std::vector<double> row(static_cast<std::size_t>(params.score.sees_own ? i + 1 : tokens - window));
            reference::softmax_of_largest(queries, i, s.group, keys, h, row);
            // Each query head that counts has the group's probabilities, and the mean is over all.
            double counted = 0;
            for (int g = 0; g < s.group; ++g) counted += reference::finite_row(queries, h * s.group + g, i) ? 1 : 0;
            for (std::size_t t = 0; t < row.size(); ++t) want[t] += row[t] * counted / s.group;
          }
          auto const got = p.plan.scores(v, h);
          for (int t = 0; t < tokens - window; ++t) {
            auto const i = static_cast<std::size_t>(t);
            bool const usable = reference::finite_row(keys, h, t);
            bool const same = usable ? std::abs(static_cast<double>(got[i]) - want[i]) <= moved * want[i] + 1e-30
                                     : std::isnan(got[i]);
            if (!same)
              RC_LOG() << "view " << v << ", head " << h << ", token " << t << ": " << got[i] << ", " << want[i];
            RC_ASSERT(same);
          }
        }
    });
  }));
}
