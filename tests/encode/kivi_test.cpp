// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/kivi.hpp>

#include "codec.hpp"

namespace {
using namespace kvsieve::encode;

double bound(double least, double most, int top) {
  double const scale = (most - least) / top;
  return scale * 0.5 * (1 + 1e-5) + (std::abs(least) + top * scale) * 0x1p-11 + (top + 1) * 0x1p-25;
}
}  // namespace

TEST_CASE("kivi: codes of a group are the authors'") {
  // 32 numbers: as the channels of a token, and as the tokens of a channel
  auto const row = encode_tests::golden_row<32>();
  CHECK(encode_tests::hex_of<kivi_values<4>, 32>(row).substr(0, 32) == "c3e5183a6d8fb2d407295c7ea1c3f618");
  CHECK(encode_tests::hex_of<kivi_values<2>, 32>(row).substr(0, 16) == "d962b7d82176982d");
  CHECK(encode_tests::largest_error<kivi_values<4>, 32>(row) == Catch::Approx(0.120850).margin(5e-7));
  CHECK(encode_tests::largest_error<kivi_values<2>, 32>(row) == Catch::Approx(0.625).margin(2e-3));
  std::vector<float> columns;
  for (int t = 0; t < 32; ++t)
    for (int c = 0; c < 16; ++c) columns.push_back(row[static_cast<std::size_t>(t)]);
  auto const bytes = encode_tests::encoded<kivi_keys<4>, 16>(columns);
  unsigned const words[] = {0x3a18e5c3, 0xd4b28f6d, 0x7e5c2907, 0x18f6c3a1};
  for (int w = 0; w < 4; ++w)
    for (int c = 0; c < 16; ++c) CHECK(load_u32(bytes.data() + 4 * (w * 16 + c)) == words[w]);
  CHECK(load_f16(bytes.data() + 4 * 4 * 16) == 0.254150390625f);
  CHECK(load_f16(bytes.data() + 4 * 4 * 16 + 2 * 16) == -1.96875f);
}

TEST_CASE("kivi: values come back within half a scale of their group, keys of their channel") {
  CHECK(encode_tests::comes_back<kivi_values<4>>([](float const* block, int) {
    auto const r = encode_tests::range_of(block, 32);
    return bound(r.least, r.most, 15);
  }));
  CHECK(support::holds("kivi keys come back", 60, [] {
    constexpr int D = 32, G = 32;
    auto const rows = encode_tests::hard_rows<D>(G * 2, *rc::gen::arbitrary<std::uint32_t>());
    auto const back = encode_tests::decoded<kivi_keys<2>, D>(rows);
    for (int t = 0; t < 2 * G; ++t)
      for (int c = 0; c < D; ++c) {
        auto const r = encode_tests::range_of(rows.data() + t / G * G * D + c, G, D);
        auto const at = static_cast<std::size_t>(t * D + c);
        RC_ASSERT(std::abs(double{back[at]} - double{rows[at]}) <= bound(r.least, r.most, 3));
      }
  }));
}

TEST_CASE("kivi: every way to read a row gives the same") {
  CHECK(encode_tests::reads_agree<kivi_keys<2>>());
  CHECK(encode_tests::reads_agree<kivi_keys<4, 64>>());
  CHECK(encode_tests::reads_agree<kivi_values<2>>());
  CHECK(encode_tests::reads_agree<kivi_values<4, 64>>());
}

TEST_CASE("kivi: relative errors on normal numbers") {
  CHECK(encode_tests::relative_error<kivi_values<4>, 128>() == Catch::Approx(0.0782).epsilon(0.03));
  CHECK(encode_tests::relative_error<kivi_values<2, 64>, 128>() == Catch::Approx(0.4498).epsilon(0.03));
  CHECK(encode_tests::relative_error<kivi_keys<2>, 128>() == Catch::Approx(0.3930).epsilon(0.03));
  CHECK(encode_tests::relative_error<kivi_keys<4, 64>, 128>() == Catch::Approx(0.0896).epsilon(0.03));
}

TEST_CASE("kivi: attention over keys by channel and values by token is attention over what they decode to") {
  CHECK(encode_tests::attends<kivi_keys<2>, kivi_values<2>>());
}
