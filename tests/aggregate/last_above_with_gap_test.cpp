// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/last_above_with_gap.hpp>
#include <kvsieve/reference/last_above_with_gap.hpp>

#include "accumulators.hpp"
#include "refusal.hpp"

TEST_CASE("last_above_with_gap over the queries is the reference's, for every way to join a group") {
  // A probability that is the threshold but for rounding may hit or not, which changes everything; else a dozen
  // roundings, and those of an exponent of up to 1 + 1e5 queries, below which the term is 0.
  auto const slack = [](auto const& numbers) {
    return
        [threshold = static_cast<double>(numbers.threshold)](std::span<double const> p, int, double relative,
                                                             std::span<double const> score, std::span<double> bound) {
          for (std::size_t t = 0; t < score.size(); ++t) bound[t] = 2e-5 * std::abs(score[t]) + 1e-30;
          for (std::size_t i = 0; i < p.size(); ++i)
            if (std::abs(p[i] - threshold) <= relative * threshold) bound[i % score.size()] = 2;
        };
  };
  CHECK(aggregate_tests::agrees_with_reference<kvsieve::aggregate::last_above_with_gap>(
      "last_above_with_gap over the queries", {{}, {.threshold = 0.01f}, {.threshold = 0.1f}, {.threshold = 1e-15f}},
      [](auto const& numbers) {
        return [threshold = static_cast<double>(numbers.threshold)](auto p, int observed, auto score) {
          kvsieve::reference::last_above_with_gap(p, observed, threshold, score);
        };
      },
      slack));
}

TEST_CASE("last_above_with_gap refuses a threshold that is no probability") {
  using above = kvsieve::aggregate::last_above_with_gap::params;
  support::check_refused(above{.threshold = 0.0f}.check(), kvsieve::errc::bad_params,
                         {"aggregate.threshold is 0", "at least 1e-20"});
  support::check_refused(above{.threshold = 2.0f}.check(), kvsieve::errc::bad_params,
                         {"aggregate.threshold is 2", "at most 1"});
}
