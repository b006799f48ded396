// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/nvfp4_scales.hpp>

#include <algorithm>

#include "codec.hpp"
#include "refusal.hpp"

using namespace kvsieve;
using encode::nvfp4_scale_order;

namespace {
constexpr nvfp4_scale_order orders[] = {nvfp4_scale_order::rows, nvfp4_scale_order::token_tiles,
                                        nvfp4_scale_order::blocks};

template <int D>
std::vector<byte> some_rows(int tokens) {
  std::vector<float> x;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (int i = 0; i < tokens * D; ++i) x.push_back(normal(random));
  return encode_tests::encoded<encode::nvfp4, D>(x);
}
cs::span<byte const> in(std::vector<byte> const& b) { return {b.data(), b.size()}; }
cs::span<byte> out(std::vector<byte>& b) { return {b.data(), b.size()}; }
}  // namespace

TEST_CASE("nvfp4_scales: blocks of 128 x 4 lie as cuBLAS has them") {
  auto const place = [](int token, int group, int groups = 8) {
    return encode::nvfp4_scale_place(nvfp4_scale_order::blocks, token, group, groups);
  };
  // Four groups of a token are together, then tokens 32, 64 and 96 behind it, then the next token's.
  CHECK(place(0, 0) == 0);
  CHECK(place(0, 3) == 3);
  CHECK(place(32, 0) == 4);
  CHECK(place(64, 1) == 9);
  CHECK(place(96, 3) == 15);
  CHECK(place(1, 0) == 16);
  CHECK(place(31, 0) == 496);
  CHECK(place(127, 3) == 511);
  // Then the next four groups of the same 128 tokens, then the next tokens.
  CHECK(place(0, 4) == 512);
  CHECK(place(128, 0) == 1024);
  CHECK(place(128, 0, 5) == 1024);
  CHECK(encode::nvfp4_scale_bytes(nvfp4_scale_order::blocks, 129, 5) == 256 * 8);
  CHECK(encode::nvfp4_scale_bytes(nvfp4_scale_order::blocks, 0, 8) == 0);
}

TEST_CASE("nvfp4_scales: tiles of four tokens are transposed in themselves") {
  // S = 8: a quarter is 2 groups, so row 4 (t / 4) + s / 2, column 4 (s mod 2) + t mod 4.
  auto const place = [](int token, int group) {
    return encode::nvfp4_scale_place(nvfp4_scale_order::token_tiles, token, group, 8);
  };
  CHECK(place(0, 0) == 0);
  CHECK(place(1, 0) == 1);
  CHECK(place(3, 1) == 7);
  CHECK(place(0, 2) == 8);
  CHECK(place(2, 5) == 2 * 8 + 6);
  CHECK(place(4, 0) == 32);
  CHECK(place(7, 7) == 63);
}

TEST_CASE("nvfp4_scales: each order has a place for each scale, inside its bytes") {
  for (auto const order : orders)
    for (int const groups : {4, 8, 12, 32})
      for (int const tokens : {4, 128, 300}) {
        std::vector<kvsieve::index> places;
        for (int t = 0; t < tokens; ++t)
          for (int g = 0; g < groups; ++g) places.push_back(encode::nvfp4_scale_place(order, t, g, groups));
        std::sort(places.begin(), places.end());
        CHECK(std::adjacent_find(places.begin(), places.end()) == places.end());
        CHECK(places.front() == 0);
        CHECK(places.back() < encode::nvfp4_scale_bytes(order, tokens, groups));
      }
}

TEST_CASE("nvfp4_scales: rows taken apart and put together are the same, and what is apart decodes") {
  constexpr int D = 128, groups = D / 16;
  for (auto const order : orders)
    for (int const tokens : {0, 4, 200}) {
      auto const rows = some_rows<D>(tokens);
      std::vector<byte> codes(static_cast<std::size_t>(tokens * D / 2)),
          scales(static_cast<std::size_t>(encode::nvfp4_scale_bytes(order, tokens, groups)), byte{77}),
          back(rows.size());
      REQUIRE(encode::nvfp4_split(in(rows), tokens, D, order, out(codes), out(scales)));
      REQUIRE(encode::nvfp4_join(in(codes), in(scales), tokens, D, order, out(back)));
      CHECK(back == rows);
      int used = 0;
      for (int t = 0; t < tokens; ++t)
        for (int d = 0; d < D; ++d) {
          byte const* const row = rows.data() + t * (D / 2 + groups);
          byte const code = codes[static_cast<std::size_t>(t * D / 2 + d / 2)];
          byte const scale = scales[static_cast<std::size_t>(encode::nvfp4_scale_place(order, t, d / 16, groups))];
          float const x = from_e2m1(code >> d % 2 * 4 & 15u) * (from_e4m3(scale) * 256.0f);
          used += x == encode::nvfp4::decode<D>(row, 0, d) ? 1 : 0;
        }
      CHECK(used == tokens * D);
      // What belongs to no token is 0.
      if (order == nvfp4_scale_order::blocks && tokens == 200)
        CHECK(std::count(scales.begin(), scales.end(), byte{0}) >= 56 * groups);
      CHECK(std::count(scales.begin(), scales.end(), byte{77}) < tokens + 1);
    }
}

TEST_CASE("nvfp4_scales refuses what does not fit") {
  auto const rows = some_rows<64>(6);
  std::vector<byte> codes(6 * 32), scales(512), none;
  auto const refused = [&](kvsieve::index tokens, int D, nvfp4_scale_order order, std::vector<byte>& c,
                           std::vector<byte>& s, errc code, std::vector<std::string> const& parts) {
    auto const before = c;
    support::check_refused(encode::nvfp4_split(in(rows), tokens, D, order, out(c), out(s)), code, parts);
    CHECK(c == before);
  };
  refused(6, 24, nvfp4_scale_order::rows, codes, scales, errc::bad_params, {"D is 24", "multiple of 16"});
  refused(-1, 64, nvfp4_scale_order::rows, codes, scales, errc::bad_params, {"tokens is -1", "0"});
  refused(6, 64, nvfp4_scale_order::token_tiles, codes, scales, errc::bad_shape, {"tokens is 6", "multiple of 4"});
  refused(4, 48, nvfp4_scale_order::token_tiles, codes, scales, errc::bad_shape, {"D is 48", "multiple of 64"});
  refused(7, 64, nvfp4_scale_order::rows, codes, scales, errc::bad_shape, {"rows is 216", "252"});
  refused(6, 64, nvfp4_scale_order::rows, none, scales, errc::bad_shape, {"codes is 0", "192"});
  scales.resize(511);
  refused(6, 64, nvfp4_scale_order::blocks, codes, scales, errc::bad_shape, {"scales is 511", "512"});
}
