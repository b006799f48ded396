// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "divergence.hpp"

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "generators.hpp"

using namespace kvsieve::llama_example;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

position judged(std::vector<float> const& full, std::vector<float> const& packed, int next = 0) {
  position out;
  auto const wrong = judge_position(full, packed, next, out);
  CAPTURE(wrong.value_or(""));
  REQUIRE(!wrong);
  return out;
}

/// Logits of a distribution.
std::vector<float> logits(std::vector<double> const& p) {
  std::vector<float> out;
  for (auto const x : p) out.push_back(static_cast<float>(std::log(x)));
  return out;
}

std::vector<position> positions_with(std::vector<double> const& kl) {
  std::vector<position> out;
  for (auto const x : kl) out.push_back({x, 1, 1, true});
  return out;
}

}  // namespace

TEST_CASE("divergence: known distributions", "[llama_example][divergence]") {
  // P = (e, 1) / (e + 1), Q the other way round: KL = P0 - P1 = tanh(1/2).
  auto const turned = judged({1, 0}, {0, 1});
  CHECK(turned.kl == Approx(std::tanh(0.5)).epsilon(1e-14));
  CHECK(turned.full_surprise == Approx(std::log(1 + std::exp(-1.0))).epsilon(1e-14));
  CHECK(turned.packed_surprise == Approx(std::log(1 + std::exp(1.0))).epsilon(1e-14));
  CHECK(!turned.same_top);

  // 1/2 ln 2 + 1/4 ln 1/2 + 1/4 ln 1 = 1/4 ln 2
  auto const thirds = judged(logits({0.5, 0.25, 0.25}), logits({0.25, 0.5, 0.25}), 1);
  CHECK(thirds.kl == Approx(0.25 * std::log(2.0)).margin(1e-7));
  CHECK(thirds.full_surprise == Approx(std::log(4.0)).margin(1e-7));
  CHECK(thirds.packed_surprise == Approx(std::log(2.0)).margin(1e-7));

  // All on one token against uniform: ln of the vocabulary. The other way it is large and still finite.
  std::vector<float> sure(1000, -1e4f), uniform(1000, 3.0f);
  sure[17] = 1e4f;
  CHECK(judged(sure, uniform, 17).kl == Approx(std::log(1000.0)).epsilon(1e-14));
  // A sum of a thousand terms: 1000 roundings at most.
  CHECK(judged(uniform, sure, 17).kl == Approx(0.999 * 2e4 - std::log(1000.0)).epsilon(1000 * 0x1p-53));
  constexpr float far = std::numeric_limits<float>::max();
  CHECK(std::isfinite(judged({far, -far}, {-far, far}).kl));
}

TEST_CASE("divergence: a row against itself is exactly zero, and a constant changes nothing",
          "[llama_example][divergence]") {
  CHECK(support::holds("divergence: a row against itself", 100, [] {
    auto const size = *rc::gen::inRange<std::size_t>(1, 60);
    auto const values = *rc::gen::container<std::vector<int>>(2 * size, rc::gen::inRange(-4000, 4000));
    std::vector<float> full, packed, moved;
    for (std::size_t i = 0; i < size; ++i) {
      full.push_back(static_cast<float>(values[i]) / 256);
      packed.push_back(static_cast<float>(values[size + i]) / 256);
      moved.push_back(packed.back() + 1024);
    }
    int const next = *rc::gen::inRange(0, static_cast<int>(size));
    position same, at, away;
    RC_ASSERT(!judge_position(full, full, next, same));
    RC_ASSERT(!judge_position(full, packed, next, at));
    RC_ASSERT(!judge_position(full, moved, next, away));
    RC_ASSERT(same.kl == 0);
    RC_ASSERT(same.same_top);
    RC_ASSERT(at.kl >= 0);
    RC_ASSERT(std::abs(away.kl - at.kl) <= 1e-12 * (1 + at.kl));

    long double sum_p = 0, sum_q = 0, kl = 0;
    for (auto const z : full) sum_p += std::exp(static_cast<long double>(z));
    for (auto const z : packed) sum_q += std::exp(static_cast<long double>(z));
    for (std::size_t i = 0; i < size; ++i) {
      auto const p = std::exp(static_cast<long double>(full[i])) / sum_p;
      auto const q = std::exp(static_cast<long double>(packed[i])) / sum_q;
      kl += p * (std::log(p) - std::log(q));
    }
    RC_ASSERT(std::abs(at.kl - static_cast<double>(kl)) <= 1e-12 * (1 + at.kl));
    auto const top = [](std::vector<float> const& row) {
      return std::max_element(row.begin(), row.end()) - row.begin();
    };
    RC_ASSERT(at.same_top == (top(full) == top(packed)));
  }));
}

TEST_CASE("divergence: of equal logits the first is the likeliest", "[llama_example][divergence]") {
  CHECK(judged({1, 1, 0}, {2, 1, 2}).same_top);
  CHECK(!judged({1, 1, 0}, {0, 1, 1}).same_top);
}

TEST_CASE("divergence: bad rows are refused", "[llama_example][divergence]") {
  position out{1, 2, 3, true};
  auto const refused = [&](std::vector<float> const& full, std::vector<float> const& packed, int next,
                           std::string const& why) {
    auto const wrong = judge_position(full, packed, next, out);
    REQUIRE(wrong);
    CHECK_THAT(*wrong, ContainsSubstring(why));
    CHECK((out.kl == 1 && out.full_surprise == 2 && out.packed_surprise == 3 && out.same_top));
  };
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  refused({}, {}, 0, "no logits");
  refused({1, 2, 3}, {1, 2}, 0, "3 logits of the full cache, 2 of");
  refused({1, 2}, {1, 2}, 2, "token 2 is not in a vocabulary of 2");
  refused({1, 2}, {1, 2}, -1, "token -1");
  refused({1, nan}, {1, 2}, 0, "full cache: the logit of token 1 is not a number");
  refused({1, 2}, {infinity, 2}, 0, "compressed cache: the logit of token 0 is infinite");
  refused({1, 2}, {1, -infinity}, 0, "compressed cache: the logit of token 1 is infinite");
}

TEST_CASE("divergence: percentiles are interpolated at f (T - 1)", "[llama_example][divergence]") {
  std::vector<double> const x{0, 1, 2, 3, 10};
  CHECK(percentile(x, 0) == 0);
  CHECK(percentile(x, 0.5) == 2);
  CHECK(percentile(x, 0.9) == Approx(3 + 0.6 * 7).epsilon(1e-14));  // h = 3.6
  CHECK(percentile(x, 1) == 10);
  CHECK(percentile(std::vector<double>{1, 2, 4, 8}, 0.5) == 3);  // the mean of the two middles
  CHECK(percentile(std::vector<double>{7}, 0.99) == 7);
  CHECK(std::isnan(percentile({}, 0.5)));
}

TEST_CASE("divergence: the standard error of a mean", "[llama_example][divergence]") {
  std::vector<double> x(11);
  std::iota(x.begin(), x.end(), 0);
  auto const eleven = mean_of(x);  // E[x^2] - E[x]^2 = 35 - 25
  CHECK(eleven.value == 5);
  CHECK(eleven.error == Approx(1).epsilon(1e-14));
  x.pop_back();
  CHECK(mean_of(x).value == 4.5);
  CHECK(std::isnan(mean_of(x).error));
  CHECK(std::isnan(mean_of({}).value));
}

TEST_CASE("divergence: the summary of many positions", "[llama_example][divergence]") {
  std::vector<double> kl(101);
  for (std::size_t i = 0; i < kl.size(); ++i) kl[i] = static_cast<double>((i * 37) % 101) / 1000;  // 0 to 0.1, mixed
  auto positions = positions_with(kl);
  for (std::size_t i = 0; i < 25; ++i) positions[i * 4].same_top = false;
  auto const all = summarise(positions);
  CHECK(all.positions == 101);
  CHECK(all.kl.value == Approx(0.05).epsilon(1e-13));
  CHECK(all.kl.error == Approx(std::sqrt(850e-6 / 100)).epsilon(1e-12));  // the variance of 0 to n - 1: (n^2 - 1) / 12
  CHECK(all.kl_min == 0);
  CHECK(all.kl_median == Approx(0.05).epsilon(1e-13));
  CHECK(all.kl_90 == Approx(0.09).epsilon(1e-13));
  CHECK(all.kl_95 == Approx(0.095).epsilon(1e-13));
  CHECK(all.kl_99 == Approx(0.099).epsilon(1e-13));
  CHECK(all.kl_999 == Approx(0.0999).epsilon(1e-13));
  CHECK(all.kl_max == 0.1);
  double const p = 76.0 / 101;
  CHECK(all.same_top.value == Approx(p).epsilon(1e-14));
  CHECK(all.same_top.error == Approx(std::sqrt(p * (1 - p) / 100)).epsilon(1e-12));

  kl.resize(99);
  auto const few = summarise(positions_with(kl));
  CHECK(few.kl_median > 0);
  CHECK(few.kl_max > 0);
  for (auto const tail : {few.kl_90, few.kl_95, few.kl_99, few.kl_999}) CHECK(std::isnan(tail));

  auto const none = summarise({});
  for (auto const x : {none.kl.value, none.kl_median, none.kl_max, none.same_top.value, none.full_perplexity.value,
                       none.ln_ratio.value, none.correlation, none.probability_gain.value})
    CHECK(std::isnan(x));
}

TEST_CASE("divergence: perplexities and their paired ratio", "[llama_example][divergence]") {
  std::vector<position> even(20, position{0, std::log(8.0), std::log(16.0), true});
  auto const flat = summarise(even);
  CHECK(flat.full_perplexity.value == Approx(8).epsilon(1e-14));
  CHECK(flat.full_perplexity.error == Approx(0).margin(1e-14));
  CHECK(flat.packed_perplexity.value == Approx(16).epsilon(1e-14));
  CHECK(flat.ln_ratio.value == Approx(std::log(2.0)).epsilon(1e-14));
  CHECK(flat.probability_gain.value == Approx(1.0 / 16 - 1.0 / 8).epsilon(1e-14));
  CHECK(std::isnan(flat.correlation));

  // The tool's formula: sqrt(s_Q^2 + s_P^2 - 2 cov).
  std::vector<position> uneven;
  std::vector<double> a, b;
  for (int i = 0; i < 50; ++i) {
    a.push_back(2 + std::sin(i * 1.7));
    b.push_back(a.back() + 0.3 * std::cos(i * 0.9));
    uneven.push_back({0, a.back(), b.back(), true});
  }
  double mean_a = 0, mean_b = 0, mean_ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) mean_a += a[i] / 50, mean_b += b[i] / 50, mean_ab += a[i] * b[i] / 50;
  double const cov = (mean_ab - mean_a * mean_b) / 49;
  auto const s = summarise(uneven);
  auto const error_a = mean_of(a).error, error_b = mean_of(b).error;
  CHECK(s.ln_ratio.value == Approx(mean_b - mean_a).epsilon(1e-12));
  CHECK(s.ln_ratio.error == Approx(std::sqrt(error_a * error_a + error_b * error_b - 2 * cov)).epsilon(1e-9));
  CHECK(s.correlation == Approx(cov / (error_a * error_b)).epsilon(1e-9));
  CHECK(s.full_perplexity.error == Approx(std::exp(mean_a) * error_a).epsilon(1e-12));
}
