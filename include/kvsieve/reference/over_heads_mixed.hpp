// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/over_all.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Tokens of each head of one layer, AdaKV as its authors have it (arXiv 2407.11550, FFY0/AdaKV): `mean` tokens a head
/// on average, the forced ones (as many in each head) among them. as_source: the authors' rounding, in float. Otherwise
/// fractions are cut and the heads with the largest ones get one more until the layer keeps heads * mean.
[[nodiscard]] inline std::vector<int> over_heads_mixed(std::vector<ranked_row> const& rows, int mean, double floor,
                                                       bool as_source) {
  auto const heads = static_cast<long>(rows.size());
  std::vector<int> count = over_all(rows, heads * mean);
  int const forced = static_cast<int>(std::count(rows[0].stays.begin(), rows[0].stays.end(), true));
  int const base = mean - forced;
  if (base <= 0) return count;
  std::vector<double> fraction;
  long rest = heads * base;
  for (int& c : count) {
    int const own = c - forced;
    if (as_source) {
      float const volatile scaled = static_cast<float>(own) * static_cast<float>(1 - floor);
      float const volatile sum = scaled + static_cast<float>(static_cast<int>(base * floor));
      c = forced + static_cast<int>(std::nearbyint(sum));
    } else {
      // The floor in units of 2^-30, so that the sum of all heads is exact.
      long const unit = 1L << 30, part = std::lround(std::floor(floor * static_cast<double>(unit) + 0.5));
      long const share = own * (unit - part) + base * part;
      c = forced + static_cast<int>(share / unit);
      fraction.push_back(static_cast<double>(share % unit));
      rest -= share / unit;
    }
  }
  for (; !as_source && rest > 0; --rest) {
    auto const largest = std::max_element(fraction.begin(), fraction.end());  // the first of equal ones
    ++count[static_cast<std::size_t>(largest - fraction.begin())];
    *largest = -1;
  }
  return count;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
