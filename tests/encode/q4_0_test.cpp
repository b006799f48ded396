// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/q4_0.hpp>

#include "codec.hpp"

TEST_CASE("q4_0: bytes are ggml's") {
  CHECK(encode_tests::hex_of<kvsieve::encode::q4_0, 32>(encode_tests::golden_row<32>()) ==
        "e033730c953fc851ea841da63fd962fb842e");
  CHECK(encode_tests::largest_error<kvsieve::encode::q4_0, 32>(encode_tests::golden_row<32>()) ==
        Catch::Approx(0.121094).margin(5e-7));
}

TEST_CASE("q4_0: numbers come back within the format's bound") {
  CHECK(encode_tests::comes_back<kvsieve::encode::q4_0>([](float const* block, int) {
    double const scale = encode_tests::range_of(block, 32).magnitude / 8;
    // a whole scale at the end that has no code, and what rounding the scale to f16 moves
    return scale * (1 + 1e-5) + 8 * scale * 0x1p-11 + 8 * 0x1p-25;
  }));
}

TEST_CASE("q4_0: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<kvsieve::encode::q4_0>());
}

TEST_CASE("q4_0: relative error on normal numbers") {
  CHECK(encode_tests::relative_error<kvsieve::encode::q4_0, 128>() == Catch::Approx(0.08578).epsilon(0.03));
}

TEST_CASE("q4_0: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<kvsieve::encode::q4_0, kvsieve::encode::q4_0>());
}
