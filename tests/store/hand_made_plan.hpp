// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans from lists that a test writes down.
#pragma once
#include <random>
#include <vector>

#include <kvsieve/core/plan.hpp>

namespace pages_tests {
using kvsieve::index;

// A plan written by hand, [heads] lists.
struct hand_made {
  std::vector<std::vector<int>> lists;
  std::vector<index> offset{0};
  std::vector<int> list;
  int tokens;
  kvsieve::token_plan plan;

  hand_made(int n, std::vector<std::vector<int>> kept) : lists(std::move(kept)), tokens(n) {
    for (auto const& l : lists) {
      list.insert(list.end(), l.begin(), l.end());
      offset.push_back(static_cast<index>(list.size()));
    }
    plan.uniformity_class = kvsieve::uniformity::U3;
    plan.views = 1;
    plan.heads = static_cast<int>(lists.size());
    plan.logical_tokens = &tokens;
    plan.offset = offset.data();
    plan.list = list.data();
  }
  hand_made(hand_made const&) = delete;
};
inline std::vector<int> some_of(int n, double keep, std::mt19937& random) {
  std::vector<int> kept;
  for (int t = 0; t < n; ++t)
    if (static_cast<double>(random() % 1000) < 1000 * keep) kept.push_back(t);
  return kept;
}
}  // namespace pages_tests
