// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What rows are encoded to, byte for byte, against plain loops in double.
#include <kvsieve/encode/asymmetric.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/fp8.hpp>
#include <kvsieve/encode/int4_row.hpp>
#include <kvsieve/encode/int8_row.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/nvfp4.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/reference/bitmap.hpp>
#include <kvsieve/reference/small_float.hpp>

#include "any_numbers.hpp"
#include "codec.hpp"

namespace {
using namespace kvsieve::encode;
using encode_tests::any_numbers;
using encode_tests::byte;
namespace reference = kvsieve::reference;
using row_span = std::span<float const>;

/// Asserts that bytes are those expected.
void check_bytes(std::vector<byte> const& got, std::vector<byte> const& expected) {
  RC_ASSERT(got.size() == expected.size());
  auto const differ = std::mismatch(got.begin(), got.end(), expected.begin());
  if (differ.first != got.end())
    RC_LOG() << "byte " << differ.first - got.begin() << ": " << int{*differ.first} << ", must be "
             << int{*differ.second} << std::endl;
  RC_ASSERT(got == expected);
}
/// Tiles that encode_rows gets: three where rows stand by themselves.
template <class C>
constexpr int together = C::tile_tokens == 1 ? 3 : 1;
/// Whether C encodes them together.
template <class C, int D, class... State>
concept encodes_together =
    requires(float const* (&x)[together<C> * C::tile_tokens], byte* const (&tile)[together<C>],
             State const (&... state)[together<C>]) { C::template encode_rows<D>(x, tile, [](int, int) {}, state...); };
static_assert(encodes_together<q8_0, 128> && encodes_together<q5_1, 128> && encodes_together<bits<3>, 128> &&
              encodes_together<int8_row, 128> && encodes_together<asymmetric, 128> &&
              encodes_together<kivi_keys<4>, 128> && encodes_together<kivi_values<4>, 128> &&
              encodes_together<rotated<q4_1>, 96> && encodes_together<bitmap<64>, 128> &&
              encodes_together<nvfp4, 128, float>);
/// Such tiles, each against what `want` gives for it; a state is multiplied so that each has its own.
template <class C, int D, class Want, class... State>
bool has_bytes_together(Want const& want, State... state) {
  constexpr int tiles = together<C>, tokens = C::tile_tokens;
  return support::holds(encode_tests::joined({C::name, ": bytes of rows together"}).c_str(), 200, [&] {
    std::vector<float> const rows = any_numbers(std::size_t{D} * tokens * tiles);
    std::vector<byte> got(std::size_t{tiles} * C::template tile_bytes<D>, byte{0xa5});
    float const* from[tiles * tokens];
    for (int r = 0; r < tiles * tokens; ++r) from[r] = rows.data() + r * D;
    [[maybe_unused]] auto const scale_of = [&](int i) { return ((static_cast<float>(i + 1) * state) + ... + 0.0f); };
    auto const encode = [&](auto... i) {
      byte* const tile[] = {got.data() + i * C::template tile_bytes<D>...};
      std::vector<std::pair<int, int>> asked;
      auto const ahead = [&](int row, int channel) { asked.emplace_back(row, channel); };
      if constexpr (sizeof...(State) == 0) {
        C::template encode_rows<D>(from, tile, ahead);
      } else {
        float const scales[] = {scale_of(i)...};
        C::template encode_rows<D>(from, tile, ahead, scales);
      }
      return asked;
    };
    std::vector<std::pair<int, int>> asked, all;
    if constexpr (tiles == 1)
      asked = encode(0);
    else
      asked = encode(0, 1, 2);
    std::vector<byte> expected;
    for (int i = 0; i < tiles; ++i) {
      auto const of_tile = row_span(rows).subspan(std::size_t{D} * tokens * i, std::size_t{D} * tokens);
      std::vector<byte> tile;
      if constexpr (sizeof...(State) == 0)
        tile = want(of_tile);
      else
        tile = want(of_tile, scale_of(i));
      expected.insert(expected.end(), tile.begin(), tile.end());
    }
    check_bytes(got, expected);
    for (int r = 0; r < tiles * tokens; ++r)
      for (int c = 0; c < D; c += 32) all.emplace_back(r, c);
    RC_ASSERT(asked == all);
  });
}
/// Rows of D channels, a tile of them, against what `want` gives for them.
template <class C, int D, class Want, class... State>
bool has_bytes(Want const& want, State... state) {
  if constexpr (encodes_together<C, D, State...>)
    if (!has_bytes_together<C, D>(want, state...)) return false;
  return support::holds(encode_tests::joined({C::name, ": bytes"}).c_str(), 400, [&] {
    auto const rows = any_numbers(std::size_t{D} * C::tile_tokens);
    std::vector<byte> got(C::template tile_bytes<D>, byte{0xa5});
    C::template encode<D>(rows.data(), got.data(), state...);
    check_bytes(got, want(row_span(rows), state...));
  });
}
template <int B, scale_by By = scale_by::extreme>
bool bits_has_bytes() {
  return has_bytes<bits<B, By>, 96>([](row_span x) { return reference::bit_blocks(x, B, By == scale_by::search); });
}
template <int B, int G, int D>
bool kivi_has_bytes() {
  return has_bytes<kivi_keys<B, G>, D>([](row_span x) { return reference::kivi_keys(x, B, D); }) &&
         has_bytes<kivi_values<B, G>, D>([](row_span x) { return reference::kivi_values(x, B, G); });
}
template <int K, int D>
bool bitmap_has_bytes() {
  return has_bytes<bitmap<K>, D>([](row_span x) { return reference::bitmap_row(x, K); });
}
}  // namespace

TEST_CASE("bytes of ggml's blocks") {
  CHECK(has_bytes<q4_0, 128>([](row_span x) { return reference::ggml_blocks(x, 4, false); }));
  CHECK(has_bytes<q4_1, 96>([](row_span x) { return reference::ggml_blocks(x, 4, true); }));
  CHECK(has_bytes<q5_0, 64>([](row_span x) { return reference::ggml_blocks(x, 5, false); }));
  CHECK(has_bytes<q5_1, 288>([](row_span x) { return reference::ggml_blocks(x, 5, true); }));
  CHECK(has_bytes<q8_0, 160>([](row_span x) { return reference::q8_0_blocks(x); }));
}

TEST_CASE("bytes of blocks of two to eight bits") {
  CHECK(bits_has_bytes<2>());
  CHECK(bits_has_bytes<3>());
  CHECK(bits_has_bytes<4>());
  CHECK(bits_has_bytes<5>());
  CHECK(bits_has_bytes<6>());
  CHECK(bits_has_bytes<8>());
  CHECK(bits_has_bytes<3, scale_by::search>());
  CHECK(bits_has_bytes<4, scale_by::search>());
  CHECK(has_bytes<asymmetric, 128>([](row_span x) { return reference::asymmetric_blocks(x); }));
}

TEST_CASE("bytes of rows with a scale") {
  CHECK(has_bytes<int8_row, 128>([](row_span x) { return reference::int8_row(x); }));
  CHECK(has_bytes<int8_row, 80>([](row_span x) { return reference::int8_row(x); }));
  CHECK(has_bytes<int8_row, 37>([](row_span x) { return reference::int8_row(x); }));
  CHECK(has_bytes<int4_row, 128>([](row_span x) { return reference::int4_row(x); }));
  CHECK(has_bytes<int4_row, 96>([](row_span x) { return reference::int4_row(x); }));
}

TEST_CASE("bytes of KIVI's tiles and rows") {
  CHECK(kivi_has_bytes<2, 32, 96>());
  CHECK(kivi_has_bytes<4, 32, 64>());
  CHECK(kivi_has_bytes<4, 16, 80>());
  CHECK(kivi_has_bytes<2, 64, 128>());
  CHECK(kivi_has_bytes<4, 48, 96>());
}

TEST_CASE("bytes of small floats") {
  CHECK(has_bytes<fp8<e4m3>, 128>([](row_span x) { return reference::fp8(x, reference::e4m3, 1.0); }));
  CHECK(has_bytes<fp8<e5m2>, 80>([](row_span x) { return reference::fp8(x, reference::e5m2, 1.0); }));
  auto const scaled = [](row_span x, float scale) { return reference::fp8(x, reference::e4m3, double{scale}); };
  for (float const scale : {0.25f, -8.0f, 0.37f, 1e-40f, 0x1p-126f, 0x1p127f})
    CHECK(has_bytes<fp8<e4m3>, 37>(scaled, scale));
  CHECK(has_bytes<fp8_row<e4m3>, 128>([](row_span x) { return reference::fp8_row(x, reference::e4m3); }));
  CHECK(has_bytes<fp8_row<e5m2>, 80>([](row_span x) { return reference::fp8_row(x, reference::e5m2); }));
  auto const nv = [](row_span x, float scale) { return reference::nvfp4(x, double{scale}); };
  for (float const scale : {1.0f, 0.01f, 300.0f, 1e-25f, -2.0f}) {
    CHECK(has_bytes<nvfp4, 128>(nv, scale));
    CHECK(has_bytes<nvfp4, 80>(nv, scale));
  }
}

TEST_CASE("bytes of bitmaps") {
  CHECK(bitmap_has_bytes<64, 128>());
  CHECK(bitmap_has_bytes<1, 64>());
  CHECK(bitmap_has_bytes<63, 64>());
  CHECK(bitmap_has_bytes<50, 80>());
  CHECK(bitmap_has_bytes<20, 37>());
  CHECK(bitmap_has_bytes<37, 37>());
  CHECK(bitmap_has_bytes<100, 512>());
}

TEST_CASE("bytes of rotated rows are those of what the rotation gives") {
  constexpr int D = 96;
  CHECK(has_bytes<rotated<q4_1>, D>([](row_span x) {
    std::vector<float> turned;
    for (double const v : reference::scaled_row(x)) turned.push_back(static_cast<float>(v));
    for (std::size_t apart = 1; apart < 32; apart *= 2)
      for (std::size_t i = 0; i < D; ++i) {
        if (i / apart % 2 != 0) continue;
        double const a = double{turned[i]}, b = double{turned[i + apart]};
        turned[i] = static_cast<float>(a + b);
        turned[i + apart] = static_cast<float>(a - b);
      }
    double const scale = reference::as_float(1.0 / std::sqrt(32.0));
    for (float& v : turned) v = static_cast<float>(double{v} * scale);
    return reference::ggml_blocks(turned, 4, true);
  }));
}
