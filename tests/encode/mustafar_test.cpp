// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/mustafar.hpp>
#include <kvsieve/reference/mustafar.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "any_numbers.hpp"

namespace encode = kvsieve::encode;
using encode::mustafar_side;

namespace {
std::vector<float> row_of(double shift) {
  std::vector<float> x;
  for (int i = 0; i < 64; ++i) x.push_back(static_cast<float>(((37 * i + 11) % 64 - shift) / 16.0));
  return x;
}
struct head {
  std::vector<std::uint64_t> bitmaps;
  std::vector<std::int32_t> offsets;
  std::vector<kvsieve::f16> values;
  kvsieve::index written;
};
head written(mustafar_side side, std::vector<float> const& rows, int D) {
  auto const tokens = static_cast<kvsieve::index>(rows.size()) / D;
  head h{std::vector<std::uint64_t>(rows.size() / 64), std::vector<std::int32_t>(rows.size() / 64 + 1),
         std::vector<kvsieve::f16>(static_cast<std::size_t>(encode::mustafar_room(tokens, D))), 0};
  h.written = encode::mustafar_write(side, rows.data(), tokens, D, h.bitmaps.data(), h.offsets.data(), h.values.data());
  return h;
}
}  // namespace

TEST_CASE("mustafar: channels that stay") {
  auto less = row_of(31.25), most = row_of(31.25);
  CHECK(encode::mustafar_prune(less.data(), 64, 0.5) == 33);
  CHECK(encode::mustafar_prune(most.data(), 64, 0.7) == 21);
  auto const x = row_of(31.25);
  for (std::size_t i = 0; i < 64; ++i) {
    CHECK(less[i] == (std::abs(x[i]) >= 0.984375f ? x[i] : 0.0f));
    CHECK(most[i] == (std::abs(x[i]) >= 1.359375f ? x[i] : 0.0f));
  }
  auto ties = row_of(31.5);  // every magnitude twice
  CHECK(encode::mustafar_prune(ties.data(), 64, 0.5) == 34);
  ties = row_of(31.5);
  CHECK(encode::mustafar_prune(ties.data(), 64, 0.7) == 22);
}

TEST_CASE("mustafar: golden tiles of values, and of keys with the same numbers down a channel") {
  for (auto const& [sparsity, bits, step] :
       {std::tuple{0.5, 0xd5a95ab52a56ad4au, 20}, {0.7, 0x142942852a50a14au, 12}}) {
    auto row = row_of(31.25);
    encode::mustafar_prune(row.data(), 64, sparsity);
    std::vector<float> values, keys;
    for (int t = 0; t < 64; ++t)
      for (int d = 0; d < 64; ++d) {
        values.push_back(row[static_cast<std::size_t>(d)]);
        keys.push_back(row[static_cast<std::size_t>(t)]);
      }
    for (auto const side : {mustafar_side::keys, mustafar_side::values}) {
      head const h = written(side, side == mustafar_side::keys ? keys : values, 64);
      for (std::size_t tile = 0; tile < 64; ++tile) {
        CHECK(h.bitmaps[tile] == bits);
        CHECK(h.offsets[tile] == step * static_cast<int>(tile));
      }
      CHECK(h.written == 2 * step * 64);
    }
  }
}

TEST_CASE("mustafar: what was written reads back, and padding is 0") {
  constexpr int D = 128, tokens = 192;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> rows(tokens * D);
  for (float& x : rows) x = normal(random);
  rows[5] = std::nanf("");
  rows[300] = INFINITY;
  for (int t = 0; t < tokens; ++t) encode::mustafar_prune(rows.data() + t * D, D, 0.6);
  for (auto const side : {mustafar_side::keys, mustafar_side::values}) {
    head const h = written(side, rows, D);
    bool same = true;
    kvsieve::index kept = 0, held = 0;
    for (int t = 0; t < tokens; ++t)
      for (int d = 0; d < D; ++d) {
        float const x = rows[static_cast<std::size_t>(t * D + d)];
        kept += x != 0.0f ? 1 : 0;
        same = same && encode::mustafar_read(side, t, d, D, h.bitmaps.data(), h.offsets.data(), h.values.data()) ==
                           kvsieve::to_float(kvsieve::from_float<kvsieve::f16>(x));
      }
    CHECK(same);
    CHECK(h.written % 8 == 0);
    for (kvsieve::index i = 0; i < h.written + 8; ++i) held += h.values[static_cast<std::size_t>(i)].bits != 0 ? 1 : 0;
    CHECK(held == kept);
  }
}

TEST_CASE("mustafar: what stays, tiles, places and values are the reference's, byte for byte") {
  CHECK(support::holds("mustafar: bytes", 100, [] {
    int const D = *rc::gen::element(64, 128, 192), tokens = *rc::gen::element(64, 128, 320);
    double const sparsity = *rc::gen::element(0.0, 0.3, 0.5, 0.7, 0.99);
    std::vector<float> rows;
    for (int t = 0; t < tokens; ++t) {
      auto row = encode_tests::any_numbers(static_cast<std::size_t>(D));
      auto const want = kvsieve::reference::mustafar_pruned(row, sparsity);
      auto const zeros =
          std::ranges::count_if(row, [](float x) { return kvsieve::reference::as_scaled(double{x}) == 0; });
      auto const kept = encode::mustafar_prune(row.data(), D, sparsity);
      RC_ASSERT(std::equal(row.begin(), row.end(), want.begin(), [](float a, double b) { return double{a} == b; }));
      // Where k numbers are 0 so is the threshold, which all reach.
      bool const all = zeros >= std::max(1, static_cast<int>(sparsity * D));
      RC_ASSERT(kept == (all ? D : static_cast<int>(std::ranges::count_if(want, [](double x) { return x != 0; }))));
      rows.insert(rows.end(), row.begin(), row.end());
    }
    for (auto const side : {mustafar_side::keys, mustafar_side::values}) {
      head const got = written(side, rows, D);
      auto const want =
          kvsieve::reference::mustafar_tiles(rows, static_cast<std::size_t>(D), side == mustafar_side::keys);
      RC_ASSERT(got.bitmaps == want.bitmaps);
      RC_ASSERT(std::equal(got.offsets.begin(), got.offsets.end(), want.offsets.begin(), want.offsets.end(),
                           [](std::int32_t a, std::uint32_t b) { return static_cast<std::uint32_t>(a) == b; }));
      RC_ASSERT(2 * static_cast<std::size_t>(got.written) == want.values.size());
      RC_ASSERT(std::memcmp(got.values.data(), want.values.data(), want.values.size()) == 0);
    }
  }));
}
