// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Exponentials, powers and sums that host and device make of the same bits.
#include <kvsieve/core/power.hpp>
#include <kvsieve/core/strands.hpp>
#include <kvsieve/core/whole_mass.hpp>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <catch2/catch_all.hpp>

namespace {
/// True when x lies within so many units in the last place of a long double.
bool near(double x, long double want, double ulps) {
  auto const unit = static_cast<long double>(std::nextafter(std::abs(x), HUGE_VAL) - std::abs(x));
  return std::abs(static_cast<long double>(x) - want) <= static_cast<long double>(ulps) * unit;
}
}  // namespace

TEST_CASE("natural_exp: within 2 ulp, and defined everywhere") {
  using kvsieve::natural_exp;
  CHECK(natural_exp(0) == 1);
  CHECK(natural_exp(-709) == 0);
  CHECK(natural_exp(-HUGE_VAL) == 0);
  CHECK(natural_exp(710) == HUGE_VAL);
  CHECK(natural_exp(HUGE_VAL) == HUGE_VAL);
  CHECK(std::isnan(natural_exp(std::numeric_limits<double>::quiet_NaN())));
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> wide(-708, 709), narrow(-2, 2);
  bool all = true;
  for (int i = 0; i < 100000; ++i) {
    double const x = i % 2 == 0 ? wide(random) : narrow(random);
    all = all && near(natural_exp(x), std::exp(static_cast<long double>(x)), 2);
  }
  CHECK(all);
}

TEST_CASE("power_of: powers, and the number itself") {
  using kvsieve::power_of;
  std::mt19937_64 random(4);
  std::uniform_real_distribution<double> base(1e-6, 4000), exponent(-3, 3);
  bool all = true;
  for (int i = 0; i < 100000; ++i) {
    double const x = base(random), y = exponent(random);
    all = all && near(power_of(x, y), std::pow(static_cast<long double>(x), static_cast<long double>(y)), 100);
    all = all && power_of(x, 1) == x;
  }
  CHECK(all);
}

TEST_CASE("sum_of_strands: every term once, strand by strand") {
  for (int const n : {0, 1, 255, 256, 257, 1000}) {
    std::vector<double> strand(static_cast<std::size_t>(kvsieve::strands));
    for (int i = 0; i < n; ++i) strand[static_cast<std::size_t>(i % kvsieve::strands)] += 1.0 / (i + 1);
    double want = 0;
    for (double const x : strand) want += x;
    CHECK(kvsieve::sum_of_strands(n, [](double sum, int i) { return sum + 1.0 / (i + 1); }) == want);
  }
}

TEST_CASE("mass_unit: the sum of all scores fits, and keeps the leading bits of each") {
  auto const bits = [](float x) { return ::cuda::std::bit_cast<unsigned>(x); };
  for (float const largest : {0x1p-149f, 1e-38f, 0.7f, 1.0f, 3e38f})
    for (::cuda::std::int64_t const n : {1, 2, 3, 1000, 2147418112}) {
      auto const unit = kvsieve::mass_unit::of(bits(largest), n);
      auto const mass = unit.of_bits(bits(largest));
      CHECK(mass <= std::numeric_limits<::cuda::std::int64_t>::max() / n);
      CHECK(static_cast<double>(mass) == static_cast<double>(largest) * unit.per_score);  // 24 bits fit
      CHECK(unit.of_bits(0) == 0);
    }
  CHECK(kvsieve::share_of_mass(0.5, 10) == 5);
  CHECK(kvsieve::share_of_mass(0.51, 10) == 6);
  CHECK(kvsieve::share_of_mass(1.5, 10) == 10);
  CHECK(kvsieve::share_of_mass(-1, 10) == 0);
  CHECK(kvsieve::share_of_mass(std::numeric_limits<double>::quiet_NaN(), 10) == 0);
}
