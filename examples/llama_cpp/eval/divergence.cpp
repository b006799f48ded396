// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "divergence.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace kvsieve::llama_example {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// A row of logits as a distribution: its likeliest token, and ln p(i) = logit(i) - normaliser.
struct distribution {
  std::span<float const> logits;
  std::size_t top = 0;
  double normaliser = 0;

  explicit distribution(std::span<float const> row) : logits{row} {
    top = static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    auto const highest = static_cast<double>(row[top]);
    double sum = 0;
    for (auto const z : row) sum += std::exp(static_cast<double>(z) - highest);
    normaliser = highest + std::log(sum);
  }
  [[nodiscard]] double log_of(std::size_t i) const { return static_cast<double>(logits[i]) - normaliser; }
};

message check_finite(std::span<float const> row, char const* which) {
  for (std::size_t i = 0; i < row.size(); ++i)
    if (!std::isfinite(row[i]))
      return std::string{which} + " cache: the logit of token " + std::to_string(i) + " is " +
             (std::isnan(row[i]) ? "not a number" : "infinite");
  return {};
}

double covariance(std::span<double const> a, std::span<double const> b, double mean_a, double mean_b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - mean_a) * (b[i] - mean_b);
  return sum / static_cast<double>(a.size());
}

/// exp(x): its error is the first-order one, as the tool has it.
estimate exponential(estimate x) { return {std::exp(x.value), std::exp(x.value) * x.error}; }

}  // namespace

estimate mean_of(std::span<double const> x) {
  if (x.empty()) return {nan, nan};
  double sum = 0;
  for (auto const v : x) sum += v;
  auto const count = static_cast<double>(x.size());
  double const mean = sum / count;
  if (x.size() <= 10) return {mean, nan};
  return {mean, std::sqrt(covariance(x, x, mean, mean) / (count - 1))};
}

double percentile(std::span<double const> ascending, double f) {
  if (ascending.empty()) return nan;
  double const h = f * static_cast<double>(ascending.size() - 1);
  auto const below = static_cast<std::size_t>(h);
  auto const above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (h - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

message judge_position(std::span<float const> full, std::span<float const> packed, int next, position& out) {
  if (full.empty()) return "no logits of the full cache";
  if (full.size() != packed.size())
    return std::to_string(full.size()) + " logits of the full cache, " + std::to_string(packed.size()) +
           " of the compressed one";
  if (next < 0 || static_cast<std::size_t>(next) >= full.size())
    return "token " + std::to_string(next) + " is not in a vocabulary of " + std::to_string(full.size());
  if (auto wrong = check_finite(full, "full")) return wrong;
  if (auto wrong = check_finite(packed, "compressed")) return wrong;

  distribution const p{full}, q{packed};
  double kl = 0;
  for (std::size_t i = 0; i < full.size(); ++i) {
    double const ln_p = p.log_of(i);
    kl += std::exp(ln_p) * (ln_p - q.log_of(i));
  }
  auto const x = static_cast<std::size_t>(next);
  // It cannot be negative; rounding of the sum can make it so where the two hardly differ.
  out = {std::max(kl, 0.0), -p.log_of(x), -q.log_of(x), p.top == q.top};
  return {};
}

divergence summarise(std::span<position const> positions) {
  std::vector<double> kl, same, full, packed, difference, gain;
  for (auto const& at : positions) {
    kl.push_back(at.kl);
    same.push_back(at.same_top ? 1 : 0);
    full.push_back(at.full_surprise);
    packed.push_back(at.packed_surprise);
    difference.push_back(at.packed_surprise - at.full_surprise);
    gain.push_back(std::exp(-at.packed_surprise) - std::exp(-at.full_surprise));
  }
  divergence out;
  out.positions = positions.size();
  out.kl = mean_of(kl);
  std::sort(kl.begin(), kl.end());
  auto const tail = [&](double f) { return kl.size() < 100 ? nan : percentile(kl, f); };
  out.kl_median = percentile(kl, 0.5);
  out.kl_min = percentile(kl, 0);
  out.kl_max = percentile(kl, 1);
  out.kl_90 = tail(0.9);
  out.kl_95 = tail(0.95);
  out.kl_99 = tail(0.99);
  out.kl_999 = tail(0.999);
  out.same_top = mean_of(same);
  auto const mean_full = mean_of(full), mean_packed = mean_of(packed);
  out.full_perplexity = exponential(mean_full);
  out.packed_perplexity = exponential(mean_packed);
  // The error of paired differences is sqrt(s_Q^2 + s_P^2 - 2 cov), without the loss of digits.
  out.ln_ratio = mean_of(difference);
  out.probability_gain = mean_of(gain);
  out.correlation = nan;
  if (!positions.empty()) {
    double const spread = std::sqrt(covariance(full, full, mean_full.value, mean_full.value) *
                                    covariance(packed, packed, mean_packed.value, mean_packed.value));
    if (spread > 0) out.correlation = covariance(full, packed, mean_full.value, mean_packed.value) / spread;
  }
  return out;
}

}  // namespace kvsieve::llama_example
