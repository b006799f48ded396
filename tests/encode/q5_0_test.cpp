// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/q5_0.hpp>

#include "codec.hpp"

TEST_CASE("q5_0: bytes are ggml's") {
  CHECK(encode_tests::hex_of<kvsieve::encode::q5_0, 32>(encode_tests::golden_row<32>()) ==
        "e02f5aad546ae6083b5d80a2d5f72a4c7f91c4e6193b");
  CHECK(encode_tests::largest_error<kvsieve::encode::q5_0, 32>(encode_tests::golden_row<32>()) ==
        Catch::Approx(0.058594).margin(5e-7));
}

TEST_CASE("q5_0: numbers come back within the format's bound") {
  CHECK(encode_tests::comes_back<kvsieve::encode::q5_0>([](float const* block, int) {
    double const scale = encode_tests::range_of(block, 32).magnitude / 16;
    // a whole scale at the end that has no code, and what rounding the scale to f16 moves
    return scale * (1 + 1e-5) + 16 * scale * 0x1p-11 + 16 * 0x1p-25;
  }));
}

TEST_CASE("q5_0: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<kvsieve::encode::q5_0>());
}

TEST_CASE("q5_0: relative error on normal numbers") {
  CHECK(encode_tests::relative_error<kvsieve::encode::q5_0, 128>() == Catch::Approx(0.04272).epsilon(0.03));
}

TEST_CASE("q5_0: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<kvsieve::encode::q5_0, kvsieve::encode::q5_0>());
}
