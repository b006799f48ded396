// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Splits `total` in proportion to whole weights, none below `least` or above `most`. Who would lie outside is held at
/// the limit, first those below where the limits would take more than they give, else those above; the others share the
/// rest. Fractions are cut, and the largest of them get one more, the lower index where they are equal. Products stay
/// below 2^63. All weights zero: they count as equal. Everybody gets the least where that is more than `total`.
[[nodiscard]] inline std::vector<long> apportion(long total, std::vector<long> const& weight,
                                                 std::vector<long> const& most, std::vector<long> least = {}) {
  std::size_t const n = weight.size();
  least.resize(n, 0);
  std::vector<long> share(n, 0);
  std::vector<bool> full(n, false);
  for (;;) {
    long left = total;
    long sum = 0, open = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (full[i]) left -= share[i];
      if (!full[i]) sum += weight[i], ++open;
    }
    if (open == 0) return share;
    left = std::max(left, 0L);
    auto const w = [&](std::size_t i) { return sum == 0 ? 1 : weight[i]; };
    long const all = sum == 0 ? open : sum;
    long balance = 0;
    for (std::size_t i = 0; i < n; ++i)
      if (!full[i]) balance += std::clamp(w(i) * left, least[i] * all, most[i] * all) - w(i) * left;
    bool more = false;
    for (std::size_t i = 0; i < n; ++i)
      if (!full[i] && (balance > 0 ? w(i) * left <= least[i] * all : w(i) * left >= most[i] * all)) {
        full[i] = more = true;
        share[i] = balance > 0 ? least[i] : most[i];
      }
    if (more) continue;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < n; ++i)
      if (!full[i]) {
        order.push_back(i);
        share[i] = w(i) * left / all;
      }
    long rest = left;
    for (std::size_t const i : order) rest -= share[i];
    auto const fraction = [&](std::size_t i) { return w(i) * left % all; };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return fraction(a) > fraction(b); });
    for (std::size_t i = 0; i < static_cast<std::size_t>(rest); ++i) ++share[order[i]];
    return share;
  }
}

/// Tokens before the forced ones that each head of each layer keeps, DynamicKV without its stages: `found` says how
/// many of the best scores of all layers lie in each, `base` the mean of a layer and `past` its tokens, forced ones
/// left out.
[[nodiscard]] inline std::vector<long> layer_scores(std::vector<long> const& found, std::vector<long> const& base,
                                                    std::vector<long> const& past, double radio_max) {
  long total = 0;
  std::vector<long> most;
  for (std::size_t l = 0; l < base.size(); ++l) {
    total += base[l];
    most.push_back(std::min(past[l], static_cast<long>(radio_max * static_cast<double>(base[l]))));
  }
  return apportion(total, found, most);
}
/// `total` in equal shares, none above its most: one more each in turn, as long as there is room. Sums to `total`, or
/// to all of `most` where that is less.
[[nodiscard]] inline std::vector<long> share_equally(long total, std::vector<long> const& most) {
  std::vector<long> share(most.size(), 0);
  for (bool room = true; room && total > 0;) {
    room = false;
    for (std::size_t i = 0; i < most.size() && total > 0; ++i)
      if (share[i] < most[i]) ++share[i], --total, room = true;
  }
  return share;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
