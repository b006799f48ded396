// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/bitmap.hpp>

#include "codec.hpp"

namespace {
using kvsieve::encode::bitmap;
}

TEST_CASE("bitmap: the channels are those of largest magnitude") {
  // All magnitudes differ; Mustafar's rule keeps one more than half: 33 of 64.
  std::vector<float> row;
  for (int i = 0; i < 64; ++i) row.push_back((static_cast<float>((37 * i + 11) % 64) - 31.25f) / 16.0f);
  CHECK(encode_tests::hex_of<bitmap<33>, 64>(row).substr(0, 16) == "ab955aad546ab552");
}

TEST_CASE("bitmap: what is kept comes back in f16, the rest as 0") {
  CHECK(support::holds("bitmap: what is kept", 100, [] {
    constexpr int D = 128, K = 50;
    auto const rows = encode_tests::hard_rows<D>(5, *rc::gen::arbitrary<std::uint32_t>());
    auto const back = encode_tests::decoded<bitmap<K>, D>(rows);
    for (std::size_t t = 0; t < 5; ++t) {
      std::vector<std::pair<float, int>> order;
      for (int d = 0; d < D; ++d) order.emplace_back(-std::abs(rows[t * D + static_cast<std::size_t>(d)]), d);
      std::sort(order.begin(), order.end());
      for (int i = 0; i < D; ++i) {
        std::size_t const at = t * D + static_cast<std::size_t>(order[static_cast<std::size_t>(i)].second);
        float const want = i < K ? kvsieve::to_float(kvsieve::from_float<kvsieve::f16>(rows[at])) : 0.0f;
        RC_ASSERT(back[at] == want);
      }
    }
  }));
}

TEST_CASE("bitmap: every way to read a row gives the same; attention too") {
  CHECK(encode_tests::reads_agree<bitmap<64>>());
  CHECK(encode_tests::reads_agree<bitmap<1>>());
  CHECK(encode_tests::attends<bitmap<32>, bitmap<20>>());
}
