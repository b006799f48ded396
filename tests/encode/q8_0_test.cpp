// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/q8_0.hpp>

#include "codec.hpp"

TEST_CASE("q8_0: bytes are ggml's") {
  CHECK(encode_tests::hex_of<kvsieve::encode::q8_0, 32>(encode_tests::golden_row<32>()) ==
        "f023ad43d66bfe9126b94fe2770a9d32c65bee8116a93ed267fa8d22b54bde730699");
  CHECK(encode_tests::largest_error<kvsieve::encode::q8_0, 32>(encode_tests::golden_row<32>()) ==
        Catch::Approx(0.007568).margin(5e-7));
}

TEST_CASE("q8_0: numbers come back within half a scale") {
  CHECK(encode_tests::comes_back<kvsieve::encode::q8_0>([](float const* block, int) {
    // the scale itself is rounded to f16, which moves the largest code by 127 of its roundings
    return encode_tests::range_of(block, 32).magnitude / 127 * (0.5 + 127 * 0x1p-11) + 127 * 0x1p-25;
  }));
}

TEST_CASE("q8_0: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<kvsieve::encode::q8_0>());
}

TEST_CASE("q8_0: relative error on normal numbers") {
  CHECK(encode_tests::relative_error<kvsieve::encode::q8_0, 128>() == Catch::Approx(0.00536).epsilon(0.03));
}

TEST_CASE("q8_0: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<kvsieve::encode::q8_0, kvsieve::encode::q8_0>());
}
