// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/forced.hpp>

#include <set>
#include <vector>

#include <catch2/catch_all.hpp>

#include <kvsieve/reference/top_k.hpp>

#include "generators.hpp"

TEST_CASE("forced tokens cut to a budget are those of the reference") {
  CHECK(support::holds("forced tokens cut to a budget are those of the reference", 1000, [] {
    int const tokens = *rc::gen::resize(100, rc::gen::inRange(1, 60));
    int const sink = *rc::gen::resize(100, rc::gen::inRange(0, 70));
    int const recent = *rc::gen::resize(100, rc::gen::inRange(0, 70));
    int const budget = *rc::gen::resize(100, rc::gen::inRange(0, tokens + 1));
    auto const listed = *rc::gen::container<std::set<int>>(rc::gen::resize(100, rc::gen::inRange(0, tokens)));
    std::vector<int> const white_list(listed.begin(), listed.end());

    // As a planner makes it: neither end longer than the row.
    kvsieve::forced_set const all{tokens, std::min(sink, tokens), std::min(recent, tokens), white_list.data(),
                                  static_cast<int>(white_list.size())};
    kvsieve::reference::forced_tokens const asked{sink, recent, white_list};
    int forced = 0;
    for (int t = 0; t < tokens; ++t) {
      bool const reasoned = kvsieve::reference::reason_of(t, tokens, asked) != kvsieve::reference::reason::score;
      RC_ASSERT(all.holds(t) == reasoned);
      forced += reasoned;
    }
    RC_ASSERT(all.size() == forced);

    kvsieve::forced_set const cut = all.cut(budget);
    std::vector<int> held;
    for (int t = 0; t < tokens; ++t)
      if (cut.holds(t)) held.push_back(t);
    RC_ASSERT(cut.size() == static_cast<int>(held.size()));
    // A white list that alone is too long stays whole; selection drops its largest indices.
    if (static_cast<int>(held.size()) > budget) {
      RC_ASSERT(held == white_list);
      held.resize(static_cast<std::size_t>(budget));
    }
    // With one score for all, the reference keeps forced tokens first.
    std::vector<double> const equal(static_cast<std::size_t>(tokens), 0.0);
    RC_ASSERT(held == kvsieve::reference::top_k(equal, std::min(budget, forced), asked));
  }));
}

TEST_CASE("a part of a forced set holds what the set holds there") {
  CHECK(support::holds("a part of a forced set holds what the set holds there", 1000, [] {
    int const tokens = *rc::gen::resize(100, rc::gen::inRange(1, 60));
    auto const ends = [&] { return *rc::gen::resize(100, rc::gen::inRange(0, tokens + 1)); };
    int const sink = ends(), recent = ends(), begin = ends();
    int const length = *rc::gen::resize(100, rc::gen::inRange(0, tokens - begin + 1));
    auto const listed = *rc::gen::container<std::set<int>>(rc::gen::resize(100, rc::gen::inRange(0, tokens)));
    std::vector<int> const white_list(listed.begin(), listed.end());
    kvsieve::forced_set const all{tokens, sink, recent, white_list.data(), static_cast<int>(white_list.size())};
    kvsieve::forced_set const part = all.within(begin, length);
    int held = 0;
    for (int t = 0; t < length; ++t) {
      RC_ASSERT(part.holds(t) == all.holds(begin + t));
      held += part.holds(t);
    }
    RC_ASSERT(part.size() == held);
    // A part of a part is a part.
    int const from = length / 3, rest = length - from;
    for (int t = 0; t < rest; ++t) RC_ASSERT(part.within(from, rest).holds(t) == all.holds(begin + from + t));
  }));
}
