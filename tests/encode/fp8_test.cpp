// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/fp8.hpp>

#include "codec.hpp"

namespace {
namespace encode = kvsieve::encode;
// Every code against value = sign * mantissa * 2^exponent, and the nearest code of what lies between two.
template <class Number>
void is_nearest(int mantissa, int bias, int codes) {
  auto const value = [&](int c) {
    int const e = c >> mantissa, m = c & ((1 << mantissa) - 1);
    return e == 0 ? std::ldexp(m, 1 - bias - mantissa) : std::ldexp(m + (1 << mantissa), e - bias - mantissa);
  };
  for (int c = 0; c < codes; ++c) {
    double const here = value(c);
    CHECK(Number::number(static_cast<kvsieve::byte>(c), 1.0f) == here);
    CHECK(Number::number(static_cast<kvsieve::byte>(c | 128), 1.0f) == -here);
    CHECK(Number::bits(static_cast<float>(here)) == c);
    if (c + 1 == codes) continue;
    auto const middle = static_cast<float>((here + value(c + 1)) / 2);
    CHECK(Number::bits(middle) == (c % 2 == 0 ? c : c + 1));
    CHECK(Number::bits(std::nextafter(middle, 0.0f)) == c);
    CHECK(Number::bits(-std::nextafter(middle, 1e9f)) == ((c + 1) | 128));
  }
  CHECK(Number::bits(INFINITY) == codes - 1);
  CHECK(Number::bits(-1e30f) == ((codes - 1) | 128));
  CHECK((Number::bits(std::nanf("")) & 127) == 0);
}
}  // namespace

TEST_CASE("fp8: codes are the nearest, ties to even, saturating") {
  is_nearest<encode::e4m3>(3, 7, 0x7f);
  is_nearest<encode::e5m2>(2, 15, 0x7c);
}

TEST_CASE("fp8: scales of heads, in both orders of heads and tokens") {
  using C = encode::fp8<encode::e4m3>;
  constexpr int D = 64, heads = 3, tokens = 5;
  float const scale[] = {0.5f, 0.0f, 4.0f};  // 0 counts as 1
  for (bool const interleaved : {false, true}) {
    std::vector<kvsieve::byte> bytes(heads * tokens * D);
    encode::head_scales const state{scale, interleaved ? 1 : tokens, heads};
    auto const view = interleaved ? kvsieve::make_encoded<C, D>(bytes.data(), heads, tokens, 1, heads, state)
                                  : kvsieve::make_encoded<C, D>(bytes.data(), heads, tokens, state);
    std::vector<float> const row(D, 600.0f);
    for (int h = 0; h < heads; ++h)
      for (int t = 0; t < tokens; ++t) kvsieve::host::store_row(view, h, t, row.data());
    for (int h = 0; h < heads; ++h)
      for (int t = 0; t < tokens; ++t) {
        float back[D];
        kvsieve::host::read_row(view, h, t, back);
        CHECK(back[9] == (h == 0 ? 224.0f : h == 1 ? 448.0f : 576.0f));  // 600 / 4 lies between 144 and 160
        CHECK(view(h, t, 9) == back[9]);
      }
  }
}

TEST_CASE("e4m3: relative error on normal numbers") {
  CHECK(encode_tests::relative_error<encode::fp8<encode::e4m3>, 128>() == Catch::Approx(0.02653).epsilon(0.03));
}

TEST_CASE("e4m3: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<encode::fp8<encode::e4m3>>());
}

TEST_CASE("e4m3: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<encode::fp8<encode::e4m3>, encode::fp8<encode::e4m3>>());
}

TEST_CASE("e4m3: zeros stay zeros") {
  std::vector<float> const x(64, 0.0f);
  CHECK(encode_tests::decoded<encode::fp8<encode::e4m3>, 64>(x) == x);
}

TEST_CASE("e4m3 with row scales: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<encode::fp8_row<encode::e4m3>>());
}

TEST_CASE("e4m3 with row scales: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<encode::fp8_row<encode::e4m3>, encode::fp8_row<encode::e4m3>>());
}

TEST_CASE("e4m3 with row scales: zeros stay zeros") {
  std::vector<float> const x(64, 0.0f);
  CHECK(encode_tests::decoded<encode::fp8_row<encode::e4m3>, 64>(x) == x);
}

TEST_CASE("e5m2: relative error on normal numbers") {
  CHECK(encode_tests::relative_error<encode::fp8<encode::e5m2>, 128>() == Catch::Approx(0.05288).epsilon(0.03));
}

TEST_CASE("e5m2: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<encode::fp8<encode::e5m2>>());
}

TEST_CASE("e5m2: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<encode::fp8<encode::e5m2>, encode::fp8<encode::e5m2>>());
}

TEST_CASE("e5m2: zeros stay zeros") {
  std::vector<float> const x(64, 0.0f);
  CHECK(encode_tests::decoded<encode::fp8<encode::e5m2>, 64>(x) == x);
}

TEST_CASE("e5m2 with row scales: every way to read a row gives the same, in any layout") {
  CHECK(encode_tests::reads_agree<encode::fp8_row<encode::e5m2>>());
}

TEST_CASE("e5m2 with row scales: attention over encoded rows is attention over what they decode to") {
  CHECK(encode_tests::attends<encode::fp8_row<encode::e5m2>, encode::fp8_row<encode::e5m2>>());
}

TEST_CASE("e5m2 with row scales: zeros stay zeros") {
  std::vector<float> const x(64, 0.0f);
  CHECK(encode_tests::decoded<encode::fp8_row<encode::e5m2>, 64>(x) == x);
}

TEST_CASE("e4m3 with row scales: numbers come back within the bound") {
  using C = encode::fp8_row<encode::e4m3>;
  auto const rows = encode_tests::hard_rows<64>(500, 7);
  auto const back = encode_tests::decoded<C, 64>(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    double const scale = encode_tests::range_of(rows.data() + i / 64 * 64, 64).magnitude / encode::e4m3::most;
    double const x = rows[i];
    CHECK(std::abs(back[i] - x) <=
          1.00001 * std::max(std::abs(x) * 0x1p-4, scale * 0x1p-10) + 0x1p-126 * encode::e4m3::most);
  }
}

TEST_CASE("e5m2 with row scales: numbers come back within the bound") {
  using C = encode::fp8_row<encode::e5m2>;
  auto const rows = encode_tests::hard_rows<64>(500, 7);
  auto const back = encode_tests::decoded<C, 64>(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    double const scale = encode_tests::range_of(rows.data() + i / 64 * 64, 64).magnitude / encode::e5m2::most;
    double const x = rows[i];
    CHECK(std::abs(back[i] - x) <=
          1.00001 * std::max(std::abs(x) * 0x1p-3, scale * 0x1p-17) + 0x1p-126 * encode::e5m2::most);
  }
}
