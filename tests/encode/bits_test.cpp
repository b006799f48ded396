// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/asymmetric.hpp>
#include <kvsieve/encode/bits.hpp>

#include "codec.hpp"

namespace {
using namespace kvsieve::encode;

template <int B>
void check_bits() {
  CHECK(encode_tests::comes_back<bits<B>>([](float const* block, int) {
    double const scale = encode_tests::range_of(block, 32).magnitude / (1 << (B - 1));
    // a whole scale at the end that has no code, and what rounding the scale to f16 moves
    return scale * (1 + 1e-5) + (1 << (B - 1)) * (scale * 0x1p-11 + 0x1p-25);
  }));
  CHECK(encode_tests::reads_agree<bits<B>>());
}
}  // namespace

TEST_CASE("bits: numbers come back within a scale, and every way to read them is the same") {
  check_bits<2>();
  check_bits<3>();
  check_bits<5>();
  check_bits<6>();
  check_bits<8>();
}

TEST_CASE("bits: those of four and five bits have the codes of ggml's blocks") {
  auto const row = encode_tests::golden_row<32>();
  CHECK(encode_tests::hex_of<bits<4>, 32>(row) == "e033730c953fc851ea841da63fd962fb842e");
  // the scale, the nibbles, and then what q5_0 has in front of them
  CHECK(encode_tests::hex_of<bits<5>, 32>(row) == "e02fe6083b5d80a2d5f72a4c7f91c4e6193b5aad546a");
}

TEST_CASE("bits: a searched scale is never worse, and better at few bits") {
  CHECK(encode_tests::relative_error<bits<3, scale_by::search>, 128>() <
        0.95 * encode_tests::relative_error<bits<3>, 128>());
  CHECK(encode_tests::relative_error<bits<4, scale_by::search>, 128>() < encode_tests::relative_error<bits<4>, 128>());
  CHECK(encode_tests::relative_error<bits<4>, 128>() == Catch::Approx(0.08578).epsilon(0.03));
  CHECK(encode_tests::relative_error<bits<5>, 128>() == Catch::Approx(0.04272).epsilon(0.03));
  CHECK(encode_tests::relative_error<bits<8>, 128>() == Catch::Approx(0.00536).epsilon(0.03));
}

TEST_CASE("asymmetric: numbers come back within half a scale; two bits and what KIVI's have of error") {
  CHECK(encode_tests::comes_back<asymmetric>([](float const* block, int) {
    auto const r = encode_tests::range_of(block, 32);
    double const scale = (r.most - r.least) / 3;
    return scale * 0.5 * (1 + 1e-5) + (std::abs(r.least) + 3 * scale) * 0x1p-11 + 0x1p-22;
  }));
  CHECK(encode_tests::reads_agree<asymmetric>());
  CHECK(encode_tests::relative_error<asymmetric, 128>() == Catch::Approx(0.3930).epsilon(0.03));
}

TEST_CASE("bits and asymmetric: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<bits<6>, bits<4>>());
  CHECK(encode_tests::attends<bits<3>, asymmetric>());
}
