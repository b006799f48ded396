// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/reference/mean_variance.hpp>

#include "accumulators.hpp"
#include "refusal.hpp"

TEST_CASE("mean_variance over the queries is the reference's, for every way to join a group") {
  // The variance is a difference of sums of squares: it is off by the error of these sums. Squares of probabilities
  // below 2^-63 are 0.
  auto const slack = [](auto const& numbers) {
    return [weight = static_cast<double>(numbers.gamma)](std::span<double const> p, int observed, double relative,
                                                         std::span<double const> score, std::span<double> bound) {
      for (std::size_t t = 0; t < score.size(); ++t) {
        double sum = 0, squares = 0;
        for (std::size_t i = 0; i < static_cast<std::size_t>(observed); ++i) {
          sum += p[i * score.size() + t];
          squares += p[i * score.size() + t] * p[i * score.size() + t];
        }
        double const off = 4 * relative * (squares + sum * sum / observed) / (observed - 1);
        bound[t] = relative * std::abs(score[t]) + weight * (off + observed * 0x1p-120);
      }
    };
  };
  CHECK(aggregate_tests::agrees_with_reference<kvsieve::aggregate::mean_variance>(
      "mean_variance over the queries", {{}, {.gamma = 0.0f}, {.gamma = 3.5f}},
      [](auto const& numbers) {
        return [weight = static_cast<double>(numbers.gamma)](auto p, int observed, auto score) {
          kvsieve::reference::mean_variance(p, observed, weight, score);
        };
      },
      slack));
}

TEST_CASE("plan refuses a negative weight of the variance, and a single query") {
  using strategy = kvsieve::compressor<kvsieve::score::attention<>, kvsieve::aggregate::mean_variance>;
  support::layer<float, 64> const l{2, 3, 40, 20, support::layout::packed, support::content::normal, 1};
  auto const state = [&](strategy::params const& params) {
    support::workspace memory(1 << 20);
    auto const p =
        kvsieve::plan<strategy>(kvsieve::host::on{}, l.const_view(), l.queries.view(), params, memory.span());
    CHECK(memory.untouched());
    return p.state;
  };
  support::check_refused(state({.score = {.window = 8}, .aggregate = {.gamma = -1.0f}}), kvsieve::errc::bad_params,
                         {"aggregate.gamma is -1", "at least 0"});
  support::check_refused(state({.score = {.window = 1}}), kvsieve::errc::bad_params,
                         {"observed queries is 1", "at least 2"});
}
