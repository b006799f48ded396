// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// LESS, one head: features of queries and keys, the sums of evicted tokens, and attention that reads them.
#pragma once
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/reference/merge.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// The network of a head: x W1, W2 with x [D]; tables [in, out], as they lie in memory.
struct low_rank_network {
  std::span<float const> in;         ///< W1 [D, units]
  std::span<float const> out;        ///< W2 [units, rank]
  std::span<float const> mix;        ///< Wi [rank, rank]; keys only
  std::span<float const> scale;      ///< d1 [rank]; keys only
  std::span<float const> mix_scale;  ///< d2 [rank]; keys only
};
/// y = x W, W [x.size(), columns].
[[nodiscard]] inline std::vector<double> times(std::span<double const> x, std::span<float const> table) {
  std::vector<double> y(table.size() / x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t o = 0; o < y.size(); ++o) y[o] += x[i] * static_cast<double>(table[i * y.size() + o]);
  return y;
}
/// gelu(gelu(x W1) W2), with the GELU of the error function.
[[nodiscard]] inline std::vector<double> low_rank_products(low_rank_network const& w, std::span<double const> x) {
  auto const activate = [](std::vector<double> y) {
    for (double& u : y) u = u / 2 * (1 + std::erf(u / std::sqrt(2.0)));
    return y;
  };
  return activate(times(activate(times(x, w.in)), w.out));
}
/// phi(q) = |gelu(gelu(q W1) W2)|.
[[nodiscard]] inline std::vector<double> query_features(low_rank_network const& w, std::span<double const> q) {
  auto phi = low_rank_products(w, q);
  for (double& x : phi) x = std::abs(x);
  return phi;
}
/// psi(k) = |b + d2 * (b Wi)|, b = |d1| * gelu(gelu(k W1) W2).
[[nodiscard]] inline std::vector<double> key_features(low_rank_network const& w, std::span<double const> k) {
  auto b = low_rank_products(w, k);
  for (std::size_t c = 0; c < b.size(); ++c) b[c] *= std::abs(static_cast<double>(w.scale[c]));
  auto psi = times(b, w.mix);
  for (std::size_t c = 0; c < b.size(); ++c) psi[c] = std::abs(b[c] + static_cast<double>(w.mix_scale[c]) * psi[c]);
  return psi;
}

/// Sums of a head over the tokens that were evicted from it.
class low_rank_state {
 public:
  /// Sums of nothing.
  low_rank_state(std::size_t rank, std::size_t channels) : h(rank, std::vector<double>(channels)), z(rank) {}

  /// Adds psi(k) v^T and psi(k); a token whose key or value is not finite is dropped.
  void add(low_rank_network const& w, std::vector<double> const& key, std::vector<double> const& value) {
    if (!usable(key) || !usable(value)) return;
    auto const psi = key_features(w, key);
    for (std::size_t c = 0; c < psi.size(); ++c) {
      for (std::size_t d = 0; d < value.size(); ++d) h[c][d] += psi[c] * value[d];
      z[c] += psi[c];
    }
  }
  /// Attention that reads the sums beside entries: `out` [D] is their output and `log_sum` their log-sum-exp, -inf
  /// without any; replaced by those of both, (phi H + e^log_sum out) / (phi z + e^log_sum).
  void join(std::span<double const> phi, std::span<double> out, double& log_sum) const {
    double mass = 0;
    for (std::size_t c = 0; c < z.size(); ++c) mass += phi[c] * z[c];
    if (mass == 0) return;
    double const both = std::max(log_sum, std::log(mass)) + std::log1p(std::exp(-std::abs(log_sum - std::log(mass)))),
                 share = std::exp(log_sum - both);
    for (std::size_t d = 0; d < out.size(); ++d) {
      out[d] *= share;
      for (std::size_t c = 0; c < z.size(); ++c) out[d] += phi[c] * std::exp(-both) * h[c][d];
    }
    log_sum = both;
  }

  rows_of_head h;         ///< [rank][D]
  std::vector<double> z;  ///< [rank]
};
}  // namespace reference
}  // namespace kvsieve::inline v0
