// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/forced.hpp>

#include <set>
#include <vector>

#include <catch2/catch_all.hpp>
#include <rapidcheck.h>

#include <kvsieve/reference/top_k.hpp>

#include "generators.hpp"

TEST_CASE("forced tokens within a budget are those of the reference") {
  CHECK(support::holds("forced tokens within a budget are those of the reference", 1000, [] {
    int const tokens = *rc::gen::inRange(1, 60);
    int const sink = *rc::gen::inRange(0, 70), recent = *rc::gen::inRange(0, 70);
    int const budget = *rc::gen::inRange(0, tokens + 1);
    auto const listed = *rc::gen::container<std::set<int>>(rc::gen::inRange(0, tokens));
    std::vector<int> const white_list(listed.begin(), listed.end());

    kvsieve::forced_tokens const all{tokens, sink, recent, {white_list.data(), white_list.size()}};
    kvsieve::forced_tokens const fit = all.within(budget);

    // With one score for all, the reference keeps forced tokens first and then the smallest indices.
    kvsieve::reference::forced_tokens const asked{sink, recent, white_list};
    int forced = 0;
    for (int t = 0; t < tokens; ++t) {
      bool const reasoned = kvsieve::reference::reason_of(t, tokens, asked) != kvsieve::reference::reason::score;
      RC_ASSERT(all.contains(t) == reasoned);
      forced += reasoned;
    }
    RC_ASSERT(all.count() == forced);
    std::vector<double> const equal(static_cast<std::size_t>(tokens), 0.0);
    std::vector<int> const kept = kvsieve::reference::top_k(equal, std::min(budget, forced), asked);
    std::vector<int> held;
    for (int t = 0; t < tokens; ++t)
      if (fit.contains(t)) held.push_back(t);
    RC_ASSERT(held == kept);
    RC_ASSERT(fit.count() == static_cast<int>(kept.size()));
  }));
}
