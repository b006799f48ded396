// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/host/rotate_keys.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"

namespace rotation_tests {
namespace {
using kvsieve::index, kvsieve::rotation;
constexpr int D = 64;

// Channel d of a row turned by `difference` positions, in double.
double turned(std::vector<float> const& rows, index row, int d, rotation const& r, double difference) {
  int const n = r.rotated(D), pairs = n / 2;
  auto const x = [&](int c) { return double{rows[static_cast<std::size_t>(row * D + c)]}; };
  if (d >= n) return x(d);
  int const i = r.interleaved ? d / 2 : d % pairs;
  bool const first = r.interleaved ? d % 2 == 0 : d < pairs;
  int const a = r.interleaved ? 2 * i : i, b = r.interleaved ? 2 * i + 1 : i + pairs;
  double const f = r.frequencies.empty() ? std::pow(r.base, -2.0 * i / n) : r.frequencies[static_cast<std::size_t>(i)];
  double const c = std::cos(difference * f), s = std::sin(difference * f);
  return first ? c * x(a) - s * x(b) : c * x(b) + s * x(a);
}
}  // namespace

TEST_CASE("rotate_keys: rows turn by the difference of their positions, and no others") {
  CHECK(support::holds("rotate_keys", 100, [] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    std::normal_distribution<float> normal;
    index const heads = *rc::gen::inRange(1, 4), tokens = *rc::gen::inRange(1, 40);
    std::vector<float> rows(static_cast<std::size_t>(heads * tokens * D));
    for (float& x : rows) x = normal(random);
    auto const before = rows;
    rotation r{.base = 10000, .interleaved = *rc::gen::arbitrary<bool>(), .channels = *rc::gen::element(0, 16, 48, 64)};
    std::vector<double> frequencies;
    for (int i = 0; i < r.rotated(D) / 2; ++i) frequencies.push_back(1.0 / (1 + i));
    if (*rc::gen::arbitrary<bool>()) r.frequencies = {frequencies.data(), frequencies.size()};
    std::vector<index> by;
    for (index i = 0; i < heads * tokens; ++i) by.push_back(*rc::gen::element<index>(0, -1, -1, 7, -100000));
    auto const view = kvsieve::make_rows<D>(rows.data(), heads, tokens);
    auto const done = support::with_executor(*rc::gen::inRange(0, 3), [&](auto const& on) {
      return kvsieve::rotate_keys(on, kvsieve::cs::span<decltype(view) const>(&view, 1), r,
                                  [&](int, int h, int t) { return by[static_cast<std::size_t>(h * tokens + t)]; });
    });
    RC_ASSERT(static_cast<bool>(done));
    for (index row = 0; row < heads * tokens; ++row)
      for (int d = 0; d < D; ++d) {
        auto const at = static_cast<std::size_t>(row * D + d);
        index const difference = by[static_cast<std::size_t>(row)];
        if (difference == 0)
          RC_ASSERT(rows[at] == before[at]);
        else
          RC_ASSERT(std::abs(double{rows[at]} - turned(before, row, d, r, static_cast<double>(difference))) <= 3e-6);
      }
  }));
}

TEST_CASE("rotate_keys: there and back, and scores between turned queries and keys stay") {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> rows(2 * D);
  for (float& x : rows) x = normal(random);
  auto const before = rows;
  auto const view = kvsieve::make_rows<D>(rows.data(), 1, 2);
  kvsieve::cs::span<decltype(view) const> const keys(&view, 1);
  kvsieve::host::on const on;
  auto const dot = [&] {
    double sum = 0;
    for (int d = 0; d < D; ++d)
      sum += double{rows[static_cast<std::size_t>(d)]} * double{rows[static_cast<std::size_t>(D + d)]};
    return sum;
  };
  double const score = dot();
  REQUIRE(kvsieve::rotate_keys(on, keys, {}, [](int, int, int) { return index{-321}; }));
  CHECK(rows != before);
  CHECK(dot() == Catch::Approx(score).margin(1e-5));
  REQUIRE(kvsieve::rotate_keys(on, keys, {}, [](int, int, int) { return index{321}; }));
  for (std::size_t i = 0; i < rows.size(); ++i) CHECK(std::abs(rows[i] - before[i]) <= 2e-6f);
}

TEST_CASE("rotate_keys turns encoded rows, and refuses what it cannot turn") {
  std::vector<kvsieve::byte> bytes(static_cast<std::size_t>(kvsieve::encoded_bytes<kvsieve::encode::q8_0, D>(3)));
  std::vector<float> rows(3 * D);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i % 7) - 3;
  auto const view = kvsieve::make_encoded<kvsieve::encode::q8_0, D>(bytes.data(), 1, 3);
  for (index t = 0; t < 3; ++t) kvsieve::host::store_row(view, 0, t, rows.data() + t * D);
  kvsieve::cs::span<decltype(view) const> const keys(&view, 1);
  kvsieve::host::on const on;
  REQUIRE(kvsieve::rotate_keys(on, keys, {}, [](int, int, int t) { return index{t}; }));
  for (int d = 0; d < D; ++d) {
    CHECK(std::abs(double{view(0, 0, d)} - turned(rows, 0, d, {}, 0)) < 0.03);
    CHECK(std::abs(double{view(0, 2, d)} - turned(rows, 2, d, {}, 2)) < 0.06);
  }
  auto const none = [](int, int, int) { return index{0}; };
  CHECK(kvsieve::rotate_keys(on, keys, {.channels = 65}, none).code == kvsieve::errc::bad_params);
  CHECK(kvsieve::rotate_keys(on, keys, {.channels = 63}, none).code == kvsieve::errc::bad_params);
  CHECK(kvsieve::rotate_keys(on, keys, {.base = 0.5}, none).code == kvsieve::errc::bad_params);
  double const few[] = {1, 2, 3};
  CHECK(kvsieve::rotate_keys(on, keys, {.frequencies = {few, 3}}, none).code == kvsieve::errc::bad_shape);
  kvsieve::token_plan plan;
  plan.views = 2;
  CHECK(kvsieve::rotate_to_slots(on, plan, keys, {}).code == kvsieve::errc::bad_shape);
}
}  // namespace rotation_tests
