// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/decayed_sum.hpp>
#include <kvsieve/reference/decayed_sum.hpp>

#include "accumulators.hpp"
#include "refusal.hpp"

TEST_CASE("decayed_sum over the queries is the reference's, for every way to join a group") {
  // powf adds an ulp, weights below 2^-126 lose digits.
  auto const slack = [](auto const&) {
    return [](std::span<double const>, int observed, double relative, std::span<double const> score,
              std::span<double> bound) {
      for (std::size_t t = 0; t < score.size(); ++t)
        bound[t] = (relative + support::gamma(4)) * std::abs(score[t]) + observed * 0x1p-124;
    };
  };
  CHECK(aggregate_tests::agrees_with_reference<kvsieve::aggregate::decayed_sum>(
      "decayed_sum over the queries", {{.decay = 0.99f}, {.decay = 1.0f}, {.decay = 0.5f}, {.decay = 1e-3f}},
      [](auto const& numbers) {
        return [decay = static_cast<double>(numbers.decay)](auto p, int observed, auto score) {
          kvsieve::reference::decayed_sum(p, observed, decay, score);
        };
      },
      slack));
}

TEST_CASE("plan refuses a decay that is 0 or above 1") {
  using decayed = kvsieve::aggregate::decayed_sum::params;
  support::check_refused(decayed{.decay = 0.0f}.check(), kvsieve::errc::bad_params,
                         {"aggregate.decay is 0", "greater than 0"});
  support::check_refused(decayed{.decay = 1.5f}.check(), kvsieve::errc::bad_params,
                         {"aggregate.decay is 1.5", "at most 1"});
  support::check_refused(decayed{.decay = NAN}.check(), kvsieve::errc::bad_params, {"aggregate.decay is nan"});
}
