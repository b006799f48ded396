// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/q5_1.hpp>

#include "codec.hpp"

TEST_CASE("q5_1: bytes are ggml's") {
  CHECK(encode_tests::hex_of<kvsieve::encode::q5_1, 32>(encode_tests::golden_row<32>()) ==
        "df2fe0bf5aad546ae6083b5d80a2d5f72a4c7f91c4e6193b");
  CHECK(encode_tests::largest_error<kvsieve::encode::q5_1, 32>(encode_tests::golden_row<32>()) ==
        Catch::Approx(0.060425).margin(5e-7));
}

TEST_CASE("q5_1: numbers come back within the format's bound") {
  CHECK(encode_tests::comes_back<kvsieve::encode::q5_1>([](float const* block, int) {
    auto const r = encode_tests::range_of(block, 32);
    double const scale = (r.most - r.least) / 31;
    // half a scale, and what rounding scale and minimum to f16 moves
    return scale * 0.5 * (1 + 1e-5) + (std::abs(r.least) + 31 * scale) * 0x1p-11 + 32 * 0x1p-24;
  }));
}

TEST_CASE("q5_1: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<kvsieve::encode::q5_1>());
}

TEST_CASE("q5_1: relative error on normal numbers") {
  CHECK(encode_tests::relative_error<kvsieve::encode::q5_1, 128>() == Catch::Approx(0.03784).epsilon(0.03));
}

TEST_CASE("q5_1: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<kvsieve::encode::q5_1, kvsieve::encode::q5_1>());
}
