// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/nvfp4.hpp>

#include "codec.hpp"

TEST_CASE("nvfp4: bytes of a group") {
  auto const row = encode_tests::golden_row<16>();
  CHECK(encode_tests::hex_of<kvsieve::encode::nvfp4, 16>(row) == "5e7cf8e4b6174e6d2a");
  CHECK(encode_tests::largest_error<kvsieve::encode::nvfp4, 16>(row) == 0.28125);
}

TEST_CASE("nvfp4: a scale held apart is divided out") {
  auto row = encode_tests::golden_row<16>();
  kvsieve::byte bytes[9];
  for (float& x : row) x *= 0.125f;
  kvsieve::encode::nvfp4::encode<16>(row.data(), bytes, 0.125f);
  CHECK(bytes[0] == 0x5e);
  CHECK(bytes[8] == 0x2a);
  CHECK(kvsieve::encode::nvfp4::decode<16>(bytes, 0, 0, 0.125f) ==
        kvsieve::encode::nvfp4::decode<16>(bytes, 0, 0) * 0.125f);
}

TEST_CASE("nvfp4: a group whose scale rounds to 0 is zeros") {
  std::vector<float> const x(16, 1e-4f);
  CHECK(encode_tests::decoded<kvsieve::encode::nvfp4, 16>(x) == std::vector<float>(16, 0.0f));
}

TEST_CASE("nvfp4: relative error on normal numbers") {
  CHECK(encode_tests::relative_error<kvsieve::encode::nvfp4, 128>() == Catch::Approx(0.09495).epsilon(0.03));
}

TEST_CASE("nvfp4: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<kvsieve::encode::nvfp4>());
}

TEST_CASE("nvfp4: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<kvsieve::encode::nvfp4, kvsieve::encode::nvfp4>());
}

TEST_CASE("nvfp4: zeros stay zeros") {
  std::vector<float> const x(64, 0.0f);
  CHECK(encode_tests::decoded<kvsieve::encode::nvfp4, 64>(x) == x);
}
