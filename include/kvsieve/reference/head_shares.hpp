// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Tokens of each head of one layer from the shares that it keeps (LU-KV, kvpress 0.5.5, in double): their sum is
/// rounded half to even; each head gets the floor, the largest fractions one more (the lower head of equal ones), at
/// last all are cut to [least, tokens].
[[nodiscard]] inline std::vector<int> head_shares(std::vector<double> const& keep, int least, int tokens) {
  std::vector<double> fraction;
  std::vector<int> count;
  double sum = 0;
  long whole = 0;
  for (double const k : keep) {
    double const wanted = tokens * k;
    sum += wanted;
    count.push_back(static_cast<int>(std::floor(wanted)));
    whole += count.back();
    fraction.push_back(wanted - std::floor(wanted));
  }
  for (long rest = static_cast<long>(std::nearbyint(sum)) - whole; rest > 0; --rest) {
    auto const largest = std::max_element(fraction.begin(), fraction.end());  // the first of equal ones
    ++count[static_cast<std::size_t>(largest - fraction.begin())];
    *largest = -1;
  }
  for (int& c : count) c = std::clamp(c, std::min(least, tokens), tokens);
  return count;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
