// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/int4_row.hpp>

#include "codec.hpp"

TEST_CASE("int4_row: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<kvsieve::encode::int4_row>());
}

TEST_CASE("int4_row: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<kvsieve::encode::int4_row, kvsieve::encode::int4_row>());
}

TEST_CASE("int4_row: zeros stay zeros") {
  std::vector<float> const x(64, 0.0f);
  CHECK(encode_tests::decoded<kvsieve::encode::int4_row, 64>(x) == x);
}

TEST_CASE("int4_row: numbers come back within half a scale") {
  auto const rows = encode_tests::hard_rows<64>(500, 7);
  auto const back = encode_tests::decoded<kvsieve::encode::int4_row, 64>(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto const r = encode_tests::range_of(rows.data() + i / 64 * 64, 64);
    CHECK(std::abs(double{back[i]} - double{rows[i]}) <= (r.most - r.least) / 15 * 0.5001 + r.magnitude * 0x1p-23);
  }
}

TEST_CASE("int4_row: a constant row comes back exactly") {
  std::vector<float> const x(64, 0.7f);
  CHECK(encode_tests::decoded<kvsieve::encode::int4_row, 64>(x) == x);
}
