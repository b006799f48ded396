// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cstdlib>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// CAKE's rule (antgroup/cakekv cake/utils.py): `total` tokens before the window split over the layers whose
/// preferences are known, each at most `most`. One pass for what lies above the limit, one for what cutting lost.
[[nodiscard]] inline std::vector<long> preference(std::vector<double> const& preferences, long total, long most) {
  std::size_t const n = preferences.size();
  double sum = 0;
  for (double const p : preferences) sum += p;
  std::vector<long> a(n);
  long excess = 0;
  for (std::size_t k = 0; k < n; ++k) {
    double const part = sum > 0 ? preferences[k] / sum : 1.0 / static_cast<double>(n);
    a[k] = static_cast<long>(part * static_cast<double>(total));
    excess += std::max(a[k] - most, 0L);
    a[k] = std::min(a[k], most);
  }
  auto const spread = [&](long amount, auto const& open) {
    std::vector<std::size_t> to;
    for (std::size_t k = 0; k < n; ++k)
      if (open(a[k])) to.push_back(k);
    if (to.empty()) return;
    long const each = std::labs(amount) / static_cast<long>(to.size()),
               rest = std::labs(amount) % static_cast<long>(to.size());
    for (std::size_t i = 0; i < to.size(); ++i)
      a[to[i]] += (amount < 0 ? -1 : 1) * (each + (static_cast<long>(i) < rest ? 1 : 0));
  };
  if (excess > 0) spread(excess, [&](long x) { return x < most; });
  long difference = total;
  for (long const x : a) difference -= x;
  if (difference > 0) spread(difference, [&](long x) { return x < most; });
  if (difference < 0) spread(difference, [](long x) { return x > 1; });
  for (long& x : a) x = std::clamp(x, 0L, most);
  return a;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
