// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/q4_1.hpp>

#include "codec.hpp"

TEST_CASE("q4_1: bytes are ggml's") {
  CHECK(encode_tests::hex_of<kvsieve::encode::q4_1, 32>(encode_tests::golden_row<32>()) ==
        "1134e0bf730c952ec851ea731da63fc862fb841d");
  CHECK(encode_tests::largest_error<kvsieve::encode::q4_1, 32>(encode_tests::golden_row<32>()) ==
        Catch::Approx(0.120850).margin(5e-7));
}

TEST_CASE("q4_1: numbers come back within the format's bound") {
  CHECK(encode_tests::comes_back<kvsieve::encode::q4_1>([](float const* block, int) {
    auto const r = encode_tests::range_of(block, 32);
    double const scale = (r.most - r.least) / 15;
    // half a scale, and what rounding scale and minimum to f16 moves
    return scale * 0.5 * (1 + 1e-5) + (std::abs(r.least) + 15 * scale) * 0x1p-11 + 32 * 0x1p-24;
  }));
}

TEST_CASE("q4_1: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<kvsieve::encode::q4_1>());
}

TEST_CASE("q4_1: relative error on normal numbers") {
  CHECK(encode_tests::relative_error<kvsieve::encode::q4_1, 128>() == Catch::Approx(0.07818).epsilon(0.03));
}

TEST_CASE("q4_1: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<kvsieve::encode::q4_1, kvsieve::encode::q4_1>());
}
