// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/entry_bias.hpp>

#include <cmath>
#include <limits>
#include <type_traits>

#include <catch2/catch_all.hpp>

using namespace kvsieve;

TEST_CASE("a bias is stored in sixteenths, from 0 to 15.9375") {
  static_assert(most_bias == 15.9375f);
  for (int code = 0; code < 256; ++code) {
    auto const c = static_cast<cs::uint8_t>(code);
    CHECK(decode_bias(c) == static_cast<float>(code) / 16);
    CHECK(encode_bias(decode_bias(c)) == c);
    CHECK(std::abs(decode_bias_log2(c) - decode_bias(c) / std::log(2.0f)) <= 4e-6f);
  }
  for (int i = 0; i <= 16000; ++i) {
    float const nats = static_cast<float>(i) / 1000;
    CHECK(std::abs(decode_bias(encode_bias(nats)) - nats) <= (nats < most_bias ? 0.03125f : nats - most_bias));
  }
}

TEST_CASE("what is no bias is 0, what is too large the largest") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (float const x : {-0.0f, -1e-30f, -5.0f, -inf, std::numeric_limits<float>::quiet_NaN()})
    CHECK(encode_bias(x) == 0);
  for (float const x : {15.9375f, 16.0f, 1e30f, inf}) CHECK(encode_bias(x) == 255);
  CHECK(encode_bias(15.9f) == 254);
  CHECK(encode_bias(0.03125f) == 1);
  CHECK(encode_bias(std::nextafter(0.03125f, 0.0f)) == 0);
}

TEST_CASE("codes are found by head and token, packed, padded or ragged") {
  cs::uint8_t codes[] = {0, 16, 32, 48, 64, 80, 96};
  entry_bias_target const to{codes, 3};
  entry_bias const packed = to;
  CHECK(packed(0, 0) == 0.0f);
  CHECK(packed(0, 2) == 2.0f);
  CHECK(packed(1, 1) == 4.0f);
  CHECK(packed.row(2) == codes + 6);
  kvsieve::index const offset[] = {1, 3, 3, 7};
  entry_bias const ragged{codes, 0, offset};
  CHECK(ragged(0, 1) == 2.0f);
  CHECK(ragged(2, 3) == 6.0f);
  *to.row(1) = 5;
  CHECK(packed(1, 0) == 0.3125f);
  static_assert(std::is_trivially_copyable_v<entry_bias>);
}

TEST_CASE("without codes there is no bias") {
  entry_bias const none;
  CHECK(!none);
  CHECK(none(3, 7) == 0.0f);
  cs::uint8_t const one = 1;
  CHECK(entry_bias{&one});
}
