// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores of CAKE and DefensiveKV, composed from policies.
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/aggregate/worst_case.hpp>
#include <kvsieve/lift/mean.hpp>

#include "golden.hpp"

namespace {
using namespace kvsieve;
}  // namespace

TEST_CASE("mean and variance of a window, average-pooled, is CAKE's score") {
  using strategy = snap_kv<aggregate::mean_variance>;
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<strategy> const p(layer, {.score = {.window = 32}, .smooth = {.kernel = 5}});
    for (int head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      golden::check_scores(p.plan, head, golden::scores("cake." + std::to_string(layer) + ".score", head));
    }
  }
}

// The source weighs by the L1 norm of the values, as a share of the norms of all heads at a token, and raises protected
// tokens and the window to its largest score.
TEST_CASE("the worst case of a window over the mean of its head, weighed by values, is DefensiveKV's score") {
  using strategy = compressor<score::attention<>, aggregate::worst_case, aggregate::group_max, lift::mean>;
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<strategy> const p(layer, {.score = {.window = 32}, .aggregate = {.kernel = 5}});
    auto const values = golden::rows_of(p.inputs.values);
    std::vector<std::vector<float>> want;
    float largest = 0;
    for (int head = 0; head < 3; ++head) {
      want.push_back(golden::scores("defensive_kv." + std::to_string(layer) + ".score", head));
      largest = std::max(largest, *std::max_element(want.back().begin(), want.back().end()));
    }
    for (int head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      auto const got = p.plan.scores(0, head);
      int compared = 0, differing = 0;
      for (int t = 0; t < golden::tokens - 32; ++t) {
        auto const at = static_cast<std::size_t>(t);
        double norm = 0, all = 0;
        for (int h = 0; h < 3; ++h)
          for (int d = 0; d < golden::head_dim; ++d) {
            double const x = std::abs(static_cast<double>(row_of(values, h, t)[d]));
            all += x;
            norm += h == head ? x : 0;
          }
        double const source = static_cast<double>(want[static_cast<std::size_t>(head)][at]);
        double const mine = static_cast<double>(got[at]) * norm / all;
        if (want[static_cast<std::size_t>(head)][at] == largest || std::isinf(got[at])) continue;
        ++compared;
        if (!(std::abs(mine - source) <= 1e-4 * source)) {
          ++differing;
          UNSCOPED_INFO("token " << t << ": " << mine << ", source " << source);
        }
      }
      CHECK(differing == 0);
      CHECK(compared > golden::tokens / 2);
    }
  }
}
