// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/reference/attention.hpp>
#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Decode attention of one query head over all tokens of its KV head:
/// out[d] = sum over t of p_t v_td, p = softmax of <q, k_t> / sqrt(D); `queries` is [Hq, 1, D], `out` holds D.
void attend(row_view auto const& queries, index query_head, row_view auto const& keys, row_view auto const& values,
            index head, std::span<double> out) {
  std::vector<double> p(static_cast<std::size_t>(keys.extent(1)));
  attention(queries, query_head, keys, head, 1, std::span<double>(p));
  for (std::size_t d = 0; d < out.size(); ++d) {
    out[d] = 0;
    for (std::size_t t = 0; t < p.size(); ++t)
      out[d] += p[t] * element_at(values, head, static_cast<index>(t), static_cast<int>(d));
  }
}

/// Decode attention of one query row over entries of several views, one after another:
/// out = sum of exp(z_t) v_t / sum of exp(z_t), z_t = <q, k_t> / sqrt(D) + bias_t.
class attended {
 public:
  /// @param query  [D]
  explicit attended(std::span<double const> query) : query_(query), sums_(query.size()) {}

  /// Adds the first `tokens` entries of a head; bias(head, token) in nats.
  template <class Bias>
  void see(row_view auto const& keys, row_view auto const& values, index head, index tokens, Bias const& bias) {
    for (index t = 0; t < tokens; ++t) {
      double z = 0;
      for (std::size_t d = 0; d < query_.size(); ++d) z += query_[d] * element_at(keys, head, t, static_cast<int>(d));
      z = z / std::sqrt(static_cast<double>(query_.size())) + bias(head, t);
      double const next = std::max(most_, z), down = most_ == next ? 1 : std::exp(most_ - next);
      most_ = next;
      double const w = z == -INFINITY ? 0 : std::exp(z - most_);
      total_ = total_ * down + w;
      for (std::size_t d = 0; d < query_.size(); ++d)
        sums_[d] = sums_[d] * down + w * element_at(values, head, t, static_cast<int>(d));
    }
  }
  /// The output, `out` [D]; 0 without entries.
  /// @returns logarithm of the sum of exp(z_t), -inf without entries
  double finish(std::span<double> out) const {
    for (std::size_t d = 0; d < out.size(); ++d) out[d] = total_ == 0 ? 0 : sums_[d] / total_;
    return total_ == 0 ? -INFINITY : most_ + std::log(total_);
  }

 private:
  std::span<double const> query_;
  std::vector<double> sums_;
  double most_ = -INFINITY, total_ = 0;
};
}  // namespace reference
}  // namespace kvsieve::inline v0
