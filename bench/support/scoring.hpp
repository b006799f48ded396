// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the scoring benchmarks share: memory for a scorer and its rows, and the comparison with the reference.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/host/tasks.hpp>

#include <cmath>
#include <cstdlib>
#include <span>
#include <vector>

namespace kvsieve::bench {

/// Memory of a workspace, aligned as arenas ask for it.
class workspace {
 public:
  explicit workspace(std::size_t bytes)
      : size_((bytes + 63) / 64 * 64 + 64), data_(static_cast<std::byte*>(std::aligned_alloc(64, size_))) {}
  workspace(workspace const&) = delete;
  workspace& operator=(workspace const&) = delete;
  ~workspace() { std::free(data_); }

  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  std::size_t size_;
  std::byte* data_;
};

/// A row of scores for each head of one view.
class score_memory {
 public:
  score_memory(int heads, int tokens)
      : heads_(heads),
        tokens_(tokens),
        memory_(sizeof(float) * static_cast<std::size_t>(heads * score_stride(tokens))) {}

  [[nodiscard]] host::score_rows rows() const {
    static constexpr index start = 0;
    return {reinterpret_cast<float*>(memory_.bytes().data()), &start};
  }
  [[nodiscard]] float const* row(int head) const { return rows().row(0, head, tokens_); }
  [[nodiscard]] int heads() const { return heads_; }
  [[nodiscard]] int tokens() const { return tokens_; }

 private:
  int heads_, tokens_;
  workspace memory_;
};

/// Largest deviation from fill(head, expected) over tokens [from, to), relative to the largest expected magnitude.
template <class Fill>
double deviation(score_memory const& got, int from, int to, Fill const& fill) {
  double error = 0, largest = 1e-30;
  std::vector<double> expected(static_cast<std::size_t>(got.tokens()));
  for (int h = 0; h < got.heads(); ++h) {
    fill(h, std::span<double>(expected));
    for (int t = from; t < to; ++t) {
      double const e = expected[static_cast<std::size_t>(t)], d = std::abs(e - static_cast<double>(got.row(h)[t]));
      if (!(d == d)) return 1;
      error = error < d ? d : error;
      largest = largest < std::abs(e) ? std::abs(e) : largest;
    }
  }
  return error / largest;
}
}  // namespace kvsieve::bench
