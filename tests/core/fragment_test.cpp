// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/scalar.hpp>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <catch2/catch_all.hpp>

#include "tolerance.hpp"

using namespace kvsieve;
using host::fragment;

namespace {
constexpr int lanes = fragment::lanes;
float const infinity = std::numeric_limits<float>::infinity(), quiet_nan = std::numeric_limits<float>::quiet_NaN();

struct numbers {
  float x[lanes];
  fragment as_fragment() const { return host::load(x); }
};
numbers draw(std::mt19937& random) {
  std::normal_distribution<float> normal;
  float const awkward[] = {0.0f, -0.0f, infinity, -infinity, quiet_nan, 0x1p-149f, 3.4e38f};
  numbers n{};
  for (float& x : n.x) x = random() % 4 == 0 ? awkward[random() % std::size(awkward)] : normal(random);
  return n;
}
bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<unsigned>(a) == std::bit_cast<unsigned>(b);
}
template <class OfFragments, class OfFloats>
bool agree(OfFragments const& of_fragments, OfFloats const& of_floats) {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    numbers const a = draw(random), b = draw(random), c = draw(random);
    fragment const r = of_fragments(a.as_fragment(), b.as_fragment(), c.as_fragment());
    for (int j = 0; j < lanes; ++j)
      if (!same(r[j], of_floats(a.x[j], b.x[j], c.x[j]))) return false;
  }
  return true;
}
}  // namespace

TEST_CASE("a fragment's operations are those of its lanes") {
  using F = fragment;
  CHECK(agree([](F a, F b, F) { return a + b; }, [](float a, float b, float) { return a + b; }));
  CHECK(agree([](F a, F b, F) { return a - b; }, [](float a, float b, float) { return a - b; }));
  CHECK(agree([](F a, F b, F) { return a * b; }, [](float a, float b, float) { return a * b; }));
  CHECK(agree([](F a, F b, F) { return a / b; }, [](float a, float b, float) { return a / b; }));
  CHECK(agree([](F a, F, F) { return -a; }, [](float a, float, float) { return -a; }));
  CHECK(agree([](F a, F b, F) { return max(a, b); }, [](float a, float b, float) { return a < b ? b : a; }));
  CHECK(agree([](F a, F b, F) { return min(a, b); }, [](float a, float b, float) { return b < a ? b : a; }));
  CHECK(agree([](F a, F, F) { return sqrt(a); }, [](float a, float, float) { return std::sqrt(a); }));
  CHECK(
      agree([](F a, F b, F c) { return where(a < b, b, c); }, [](float a, float b, float c) { return a < b ? b : c; }));
  CHECK(agree([](F a, F b, F c) { return where(a == b, b, c); },
              [](float a, float b, float c) { return a == b ? b : c; }));
  CHECK(agree([](F a, F b, F) { return a += b; }, [](float a, float b, float) { return a + b; }));
}

TEST_CASE("fma() rounds once, or twice where the machine has no such instruction") {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  bool close = true;
  for (int i = 0; i < 2000; ++i) {
    numbers a{}, b{}, c{};
    for (int j = 0; j < lanes; ++j) a.x[j] = normal(random), b.x[j] = normal(random), c.x[j] = normal(random);
    fragment const r = fma(a.as_fragment(), b.as_fragment(), c.as_fragment());
    for (int j = 0; j < lanes; ++j) {
      double const product = static_cast<double>(a.x[j]) * b.x[j], exact = product + c.x[j];
      close = close && std::abs(r[j] - exact) <= support::u * (std::abs(product) + std::abs(exact) * (1 + support::u));
    }
  }
  CHECK(close);
}

TEST_CASE("scalar operations pass a NaN over as fragments do") {
  CHECK(kvsieve::max(1.0f, quiet_nan) == 1.0f);
  CHECK(std::isnan(kvsieve::max(quiet_nan, 1.0f)));
  CHECK(kvsieve::min(1.0f, quiet_nan) == 1.0f);
  CHECK(std::isnan(kvsieve::min(quiet_nan, 1.0f)));
  CHECK(finite(1.0f));
  CHECK(finite(-3.4e38f));
  CHECK(!finite(quiet_nan));
  CHECK(!finite(infinity));
  CHECK(!finite(-infinity));
}

TEMPLATE_TEST_CASE("a load widens consecutive elements at any alignment", "", float, f16, bf16) {
  std::vector<TestType> memory(3 * lanes);
  std::mt19937 random(5);
  for (auto& x : memory) {
    if constexpr (std::is_same_v<TestType, float>)
      x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    else
      x.bits = static_cast<std::uint16_t>(random());
  }
  bool equal = true;
  for (int at = 0; at < 2 * lanes; ++at) {
    fragment const pointer = host::load_row(static_cast<TestType const*>(memory.data()), at);
    for (int j = 0; j < lanes; ++j)
      equal = equal && same(pointer[j], to_float(memory[static_cast<std::size_t>(at + j)]));
  }
  CHECK(equal);
}

TEMPLATE_TEST_CASE("a load widens all 65536 values as to_float does", "", f16, bf16) {
  bool equal = true;
  for (unsigned first = 0; first < 65536; first += lanes) {
    TestType elements[lanes];
    for (int j = 0; j < lanes; ++j) elements[j].bits = static_cast<std::uint16_t>(first + static_cast<unsigned>(j));
    fragment const r = host::load(elements);
    for (int j = 0; j < lanes; ++j) equal = equal && same(r[j], to_float(elements[j]));
  }
  CHECK(equal);
}

TEST_CASE("sum_rows() sums each fragment, in an order that does not depend on its place") {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  bool close = true, same_everywhere = true, same_as_sum = true;
  for (int round = 0; round < 500; ++round) {
    fragment rows[lanes], turned[lanes];
    double exact[lanes] = {}, magnitude[lanes] = {};
    for (int i = 0; i < lanes; ++i) {
      numbers n{};
      for (float& x : n.x) {
        x = normal(random);
        exact[i] += x;
        magnitude[i] += std::abs(x);
      }
      rows[i] = n.as_fragment();
      turned[(i + 3) % lanes] = rows[i];
    }
    fragment const sums = host::sum_rows(rows), of_turned = host::sum_rows(turned);
    for (int i = 0; i < lanes; ++i) {
      // A tree over the lanes: log2(lanes) roundings on every path.
      close = close && std::abs(sums[i] - exact[i]) <= support::gamma(std::log2(lanes)) * magnitude[i];
      same_everywhere = same_everywhere && same(sums[i], of_turned[(i + 3) % lanes]);
      same_as_sum = same_as_sum && same(sums[i], host::sum(rows[i]));
    }
  }
  CHECK(close);
  CHECK(same_everywhere);
  CHECK(same_as_sum);
}

TEST_CASE("transpose() makes lane i of fragment j lane j of fragment i") {
  fragment tile[lanes];
  for (int j = 0; j < lanes; ++j) {
    numbers n{};
    for (int i = 0; i < lanes; ++i) n.x[i] = static_cast<float>(j * lanes + i);
    tile[j] = n.as_fragment();
  }
  host::transpose(tile);
  bool equal = true;
  for (int j = 0; j < lanes; ++j)
    for (int i = 0; i < lanes; ++i) equal = equal && same(tile[j][i], static_cast<float>(i * lanes + j));
  CHECK(equal);
}

TEST_CASE("a row that is not finite leaves the sums of the others alone") {
  fragment rows[lanes];
  for (int i = 0; i < lanes; ++i) rows[i] = fragment(i % 3 == 1 ? quiet_nan : 1.0f);
  fragment const sums = host::sum_rows(rows);
  for (int i = 0; i < lanes; ++i) {
    if (i % 3 == 1)
      CHECK(std::isnan(sums[i]));
    else
      CHECK(sums[i] == static_cast<float>(lanes));
  }
}

TEST_CASE("max_lane() passes NaN over") {
  numbers n{};
  for (int j = 0; j < lanes; ++j) n.x[j] = j == 1 ? 3.0f : quiet_nan;
  CHECK(host::max_lane(n.as_fragment()) == 3.0f);
  CHECK(host::max_lane(fragment(quiet_nan)) == -infinity);
}

TEST_CASE("exp2() is within 1.3 ulp on [-126, 0]") {
  double worst = 0;
  auto const error = [](float x) {
    double const exact = std::exp2(static_cast<double>(x));
    // The unit in the last place of the exact value: its floats have 24 bits from 2^-126 upwards.
    double const ulp = std::ldexp(1.0, std::ilogb(exact) - 23);
    return std::abs(host::exp2(fragment(x))[0] - exact) / ulp;
  };
  for (int i = 0; i < 126 * 20000; ++i) worst = std::max(worst, error(-static_cast<float>(i) / 20000.0f));
  for (int whole = 0; whole < 126; ++whole)
    for (float const near : {0.0f, 0x1p-30f, 0x1p-20f, 0.25f, 0.49999997f, 0.5f, 0.50000006f, 0.75f, 0.99999f})
      worst = std::max(worst, error(-static_cast<float>(whole) - near));
  CHECK(worst <= 1.3);
  CHECK(host::exp2(fragment(0.0f))[0] == 1.0f);
  CHECK(host::exp2(fragment(-1.0f))[0] == 0.5f);
  CHECK(host::exp2(fragment(-126.0f))[0] == 0x1p-126f);
}

TEST_CASE("exp2() is 0 below its range and for NaN") {
  for (float const x : {std::nextafter(-126.0f, -200.0f), -127.0f, -1000.0f, -3.4e38f, -infinity, quiet_nan}) {
    CAPTURE(x);
    CHECK(host::exp2(fragment(x))[0] == 0.0f);
  }
}
