// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/math.hpp>

#include <bit>
#include <cmath>
#include <limits>

#include <rapidcheck.h>
#include <catch2/catch_all.hpp>

#include "generators.hpp"

using namespace kvsieve;

namespace {
float const infinity = std::numeric_limits<float>::infinity(), quiet_nan = std::numeric_limits<float>::quiet_NaN();
}

TEST_CASE("ordered() sorts NaN, then -inf, then the numbers, then +inf") {
  float const ascending[] = {quiet_nan, -infinity, -std::numeric_limits<float>::max(), -1.0f,   -0x1p-149f, 0.0f,
                             0x1p-149f, 1.0f,      std::numeric_limits<float>::max(),  infinity};
  for (std::size_t i = 1; i < std::size(ascending); ++i) {
    CAPTURE(ascending[i - 1], ascending[i]);
    CHECK(ordered(ascending[i - 1]) < ordered(ascending[i]));
  }
  CHECK(ordered(quiet_nan) == 0u);
  CHECK(ordered(-quiet_nan) == 0u);
  CHECK(ordered(-0.0f) == ordered(0.0f));
  CHECK(ordered(infinity) == 0xff800000u);
  CHECK(ordered(infinity) < forced_key);
}

TEST_CASE("ordered() compares as floats do") {
  CHECK(support::holds("ordered() compares as floats do", 2000, [] {
    auto const x = *rc::gen::arbitrary<std::uint32_t>(), y = *rc::gen::arbitrary<std::uint32_t>();
    bool const near = *rc::gen::arbitrary<bool>();
    float const a = std::bit_cast<float>(x), b = std::bit_cast<float>(near ? x ^ (y & 3u) : y);
    if (std::isnan(a) || std::isnan(b)) {
      RC_ASSERT((ordered(a) == 0u) == std::isnan(a));
      RC_ASSERT((ordered(b) == 0u) == std::isnan(b));
    } else {
      RC_ASSERT((ordered(a) < ordered(b)) == (a < b));
      RC_ASSERT((ordered(a) == ordered(b)) == (a == b));
    }
  }));
}

TEST_CASE("mix() is SplitMix64's finaliser") {
  CHECK(mix(0) == 0xe220a8397b1dcdafull);  // the first numbers of SplitMix64 from state 0
  CHECK(mix(0x9e3779b97f4a7c15ull) == 0x6e789e6aa1b965f4ull);
  CHECK(mix(2 * 0x9e3779b97f4a7c15ull) == 0x06c45d188009454full);
}

TEST_CASE("round_up() gives the next multiple") {
  CHECK(round_up(0, 16) == 0);
  CHECK(round_up(1, 16) == 16);
  CHECK(round_up(16, 16) == 16);
  CHECK(round_up(17, 16) == 32);
}
