// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <numeric>

#include <kvsieve/reference/affine_block.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// encode/bitmap.hpp: a bit for each of the `kept` channels of largest magnitude, of equal ones the lower channels, in
/// words of 64; then those numbers as f16. Mustafar's rule (arXiv 2505.22913) with a fixed number.
[[nodiscard]] inline std::vector<unsigned char> bitmap_row(std::span<float const> x, std::size_t kept) {
  auto const row = scaled_row(x);
  std::vector<std::size_t> order(row.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return std::abs(row[a]) > std::abs(row[b]); });
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept));
  written w;
  w.bytes.resize((row.size() + 63) / 64 * 8);
  for (std::size_t i = 0; i < kept; ++i) {
    w.bytes[order[i] / 8] = static_cast<unsigned char>(w.bytes[order[i] / 8] | 1 << order[i] % 8);
    w.put(f16_bits(row[order[i]]), 2);
  }
  return w.bytes;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
