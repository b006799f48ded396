// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/affine_block.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// What Mustafar (arXiv 2505.22913) leaves of a row: the threshold is the k-th smallest magnitude, k = max(1,
/// int(sparsity D)), and what lies below becomes 0.
[[nodiscard]] inline std::vector<double> mustafar_pruned(std::span<float const> x, double sparsity) {
  auto row = scaled_row(x);
  std::vector<double> size;
  for (double const v : row) size.push_back(std::abs(v));
  std::sort(size.begin(), size.end());
  auto const k = std::max(1, static_cast<int>(sparsity * static_cast<double>(row.size())));
  double const threshold = size[static_cast<std::size_t>(k - 1)];
  for (double& v : row)
    if (std::abs(v) < threshold) v = 0.0;
  return row;
}

/// A head of pruned rows as Mustafar's kernels take it.
struct mustafar_head {
  std::vector<std::uint64_t> bitmaps;  ///< of each tile, the first element in the highest bit
  std::vector<std::uint32_t> offsets;  ///< where each tile's values begin, and where they end, in units of 4 bytes
  std::vector<unsigned char> values;   ///< f16s of each tile in order, filled up with zeros to 16 bytes
};
/// Rows [tokens, D], pruned; both multiples of 64. Tiles of keys are 64 tokens of a channel, channel after channel of
/// each 64 tokens; tiles of values are 64 channels of a token, token after token of each 64 x 64.
[[nodiscard]] inline mustafar_head mustafar_tiles(std::span<float const> rows, std::size_t head_dim, bool keys) {
  mustafar_head head;
  written w;
  auto const tile = [&](auto const& element) {
    head.offsets.push_back(static_cast<std::uint32_t>(w.bytes.size() / 4));
    std::uint64_t bits = 0;
    for (std::size_t j = 0; j < 64; ++j) {
      double const x = as_scaled(static_cast<double>(element(j)));
      if (x == 0.0) continue;
      bits |= std::uint64_t{1} << (63 - j);
      w.put(f16_bits(x), 2);
    }
    head.bitmaps.push_back(bits);
    while (w.bytes.size() % 16 != 0) w.bytes.push_back(0);
  };
  for (std::size_t first = 0; first < rows.size() / head_dim; first += 64) {
    auto const at = [&](std::size_t t, std::size_t d) { return rows[(first + t) * head_dim + d]; };
    if (keys)
      for (std::size_t d = 0; d < head_dim; ++d) tile([&](std::size_t j) { return at(j, d); });
    else
      for (std::size_t d = 0; d < head_dim; d += 64)
        for (std::size_t t = 0; t < 64; ++t) tile([&](std::size_t j) { return at(t, d + j); });
  }
  head.offsets.push_back(static_cast<std::uint32_t>(w.bytes.size() / 4));
  head.values = std::move(w.bytes);
  return head;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
