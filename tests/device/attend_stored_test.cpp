// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels of decode attention over encoded rows and layers of several parts, on emulated blocks.
#include <kvsieve/core/paged.hpp>
#include <kvsieve/encode/asymmetric.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/fp8.hpp>
#include <kvsieve/encode/int4_row.hpp>
#include <kvsieve/encode/int8_row.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/nvfp4.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>

#include "attend_cases.hpp"

namespace attend_cases {
using kvsieve_test::race_check;
namespace enc = kvs::encode;

namespace {
/// Rows of normal numbers in a format, whole tiles.
template <class C, int D>
room<kvs::byte> encoded_room(std::mt19937& random, index rows) {
  std::normal_distribution<float> normal;
  room<kvs::byte> bytes(kvs::encoded_bytes<C, D>(rows));
  std::vector<float> tile(static_cast<std::size_t>(C::tile_tokens * D));
  for (index t = 0; t < rows; t += C::tile_tokens) {
    for (float& x : tile) x = normal(random);
    C::template encode<D>(tile.data(), bytes.data() + t / C::tile_tokens * C::template tile_bytes<D>);
  }
  return bytes;
}

/// Eight channels at once are what a channel alone is.
template <class C, int D>
void same_numbers() {
  CAPTURE(C::name, D);
  std::mt19937 random(3);
  constexpr int rows = C::tile_tokens < 4 ? 4 : C::tile_tokens;
  room<kvs::byte> const bytes = encoded_room<C, D>(random, rows);
  auto const view = kvs::make_encoded<C, D>(static_cast<kvs::byte const*>(bytes.data()), 1, rows);
  int wrong = 0;
  for (int t = 0; t < rows; ++t)
    for (int d = 0; d < D; d += 8) {
      kvs::device::octet const got = kvs::device::hold(view, 0, t, d);
      auto const row = kvs::stored_row_of(view, 0, t);
      for (int i = 0; i < 8; ++i) wrong += got[i] == row[d + i] ? 0 : 1;
    }
  CHECK(wrong == 0);
  CHECK(bytes.guards_hold());
}
template <class C>
void same_numbers_of() {
  same_numbers<C, 64>();
  if constexpr (C::fits(96)) same_numbers<C, 96>();
  if constexpr (C::fits(80)) same_numbers<C, 80>();
}

/// One view of encoded rows.
template <class Keys, class Values, int D, int Threads>
void encoded(unsigned seed) {
  CAPTURE(Keys::name, Values::name, D, seed);
  std::mt19937 random(seed);
  shape const s = random_shape(random, 2);
  constexpr index tile = Keys::tile_tokens > Values::tile_tokens ? Keys::tile_tokens : Values::tile_tokens;
  index const whole = 2 * tile + (tile > 1 ? 0 : 60), n = whole - (tile > 1 ? 7 : 0);
  room<kvs::byte> const keys = encoded_room<Keys, D>(random, s.heads * whole),
                        values = encoded_room<Values, D>(random, s.heads * whole);
  room<float> const query = normal_room<float>(random, s.rows() * D, 2.0f);
  std::vector const layers{
      kvs::kv_layer{kvs::make_encoded<Keys, D>(static_cast<kvs::byte const*>(keys.data()), s.heads, n, whole, 1),
                    kvs::make_encoded<Values, D>(static_cast<kvs::byte const*>(values.data()), s.heads, n, whole, 1)}};
  agree<Threads>({s}, std::vector{kvs::make_rows<D>(query.data(), s.heads * s.group, s.asked)}, layers);
}
}  // namespace

TEST_CASE("device attend: eight channels of every format are what decode gives") {
  same_numbers_of<enc::q8_0>();
  same_numbers_of<enc::q4_0>();
  same_numbers_of<enc::q4_1>();
  same_numbers_of<enc::q5_0>();
  same_numbers_of<enc::q5_1>();
  same_numbers_of<enc::bits<2>>();
  same_numbers_of<enc::bits<3>>();
  same_numbers_of<enc::bits<5>>();
  same_numbers_of<enc::bits<8>>();
  same_numbers_of<enc::asymmetric>();
  same_numbers_of<enc::fp8<enc::e4m3>>();
  same_numbers_of<enc::fp8<enc::e5m2>>();
  same_numbers_of<enc::fp8_row<enc::e4m3>>();
  same_numbers_of<enc::int8_row>();
  same_numbers_of<enc::int4_row>();
  same_numbers_of<enc::kivi_keys<2>>();
  same_numbers_of<enc::kivi_keys<4, 64>>();
  same_numbers_of<enc::kivi_values<2>>();
  same_numbers_of<enc::kivi_values<4>>();
  same_numbers_of<enc::bitmap<19>>();
  same_numbers_of<enc::nvfp4>();
  same_numbers_of<enc::plain<kvs::bf16>>();
}

TEST_CASE("device attend: the patterns of 8-bit floats that stand for no number") {
  kvs::byte every[256];
  for (int i = 0; i < 256; ++i) every[i] = static_cast<kvs::byte>(i);
  for (int i = 0; i < 256; i += 8) {
    auto const four_three = kvs::device::octet::of_e4m3(every + i), five_two = kvs::device::octet::of_e5m2(every + i);
    for (int j = 0; j < 8; ++j) {
      CHECK(four_three[j] == kvs::from_e4m3(static_cast<unsigned>(i + j)));
      float const want = kvs::from_e5m2(static_cast<unsigned>(i + j));
      CHECK((five_two[j] == want || (std::isnan(want) && std::isnan(five_two[j]))));
    }
  }
}

TEST_CASE("device attend: encoded rows give what host and reference do") {
  if (race_check) return encoded<enc::q4_0, enc::q8_0, 64, 32>(1);
  for (unsigned seed = 1; seed < 4; ++seed) {
    encoded<enc::q4_0, enc::q8_0, 64, 32>(seed);
    encoded<enc::kivi_keys<2>, enc::kivi_values<2>, 64, 64>(seed);
    encoded<enc::rotated<enc::int8_row>, enc::bitmap<40>, 80, 32>(seed);
    if constexpr (all_combinations) encoded<enc::bits<3>, enc::int8_row, 96, 32>(seed);
    if constexpr (all_combinations) encoded<enc::bitmap<25>, enc::fp8<enc::e4m3>, 80, 32>(seed);
    if constexpr (all_combinations) encoded<enc::rotated<enc::q4_0>, enc::rotated<enc::bits<2>>, 128, 64>(seed);
  }
}

TEST_CASE("device attend: scales of heads that are held apart") {
  if (race_check) return;
  std::mt19937 random(4);
  constexpr int D = 64;
  using codec = enc::fp8<enc::e5m2>;
  shape const s{3, 2, 1};
  constexpr index n = 50;
  room<kvs::byte> const keys = encoded_room<codec, D>(random, s.heads * n),
                        values = encoded_room<codec, D>(random, s.heads * n);
  room<float> const query = normal_room<float>(random, s.rows() * D);
  float const scale[] = {0.5f, 1.5f, 0.0f};
  auto const rows = [&](room<kvs::byte> const& r) {
    return kvs::make_encoded<codec, D>(static_cast<kvs::byte const*>(r.data()), s.heads, n,
                                       enc::head_scales{scale, n, 3});
  };
  agree<32>({s}, std::vector{kvs::make_rows<D>(query.data(), 6, 1)},
            std::vector{kvs::kv_layer{rows(keys), rows(values)}});
}

TEST_CASE("device attend: encoded rows in pages and of ragged heads") {
  if (race_check) return;
  std::mt19937 random(8);
  constexpr int D = 64, P = 32;
  using codec = enc::kivi_keys<4>;
  shape const s{2, 4, 2};
  room<float> const query = normal_room<float>(random, s.rows() * D);
  std::vector const queries{kvs::make_rows<D>(query.data(), 8, 2)};
  room<kvs::byte> const keys = encoded_room<codec, D>(random, 5 * 2 * P),
                        values = encoded_room<enc::q8_0, D>(random, 5 * 2 * P);
  int const table[] = {3, 0, 4};
  kvs::page_pool_view const pool{5, kvs::hnd_pages(P, 2, 1)};
  auto const paged = [&]<class C>(C, room<kvs::byte> const& r) {
    return kvs::make_encoded_paged<C, P, D>(static_cast<kvs::byte const*>(r.data()), 2, 70, pool, {table, 3});
  };
  agree<32>({s}, queries, std::vector{kvs::kv_layer{paged(codec{}, keys), paged(enc::q8_0{}, values)}});
  std::vector<index> const offset{0, 96, 160};
  auto const ragged = [&]<class C>(C, room<kvs::byte> const& r) {
    return kvs::make_encoded_ragged<C, D>(static_cast<kvs::byte const*>(r.data()), 2, offset.data(), 96);
  };
  agree<32>({s}, queries, std::vector{kvs::kv_layer{ragged(codec{}, keys), ragged(enc::q8_0{}, values)}});
}

TEST_CASE("device attend: parts join, whichever are empty") {
  if (race_check) return;
  constexpr int D = 64;
  for (unsigned seed = 1; seed < 9; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::vector<shape> shapes;
    std::vector<room<float>> rooms;
    std::vector<room<kvs::byte>> codes;
    std::vector<room<kvs::bf16>> own;
    std::vector<std::vector<index>> offsets;
    rooms.reserve(20);
    codes.reserve(20);
    own.reserve(20);
    offsets.reserve(20);
    auto const part = [&] {
      shape const s = shapes.back();
      index const sinks = below(random, 3) == 0 ? 0 : below(random, 30),
                  middle = below(random, 3) == 0 ? 0 : below(random, 150);
      auto const dense = [&] {
        rooms.push_back(normal_room<float>(random, s.heads * sinks * D + 4));
        return kvs::make_rows<D>(static_cast<float const*>(rooms.back().data()), s.heads, sinks);
      };
      auto const coded = [&] {
        codes.push_back(encoded_room<enc::rotated<enc::bits<4>>, D>(random, s.heads * middle + 1));
        return kvs::make_encoded<enc::rotated<enc::bits<4>>, D>(static_cast<kvs::byte const*>(codes.back().data()),
                                                                s.heads, middle);
      };
      offsets.push_back({0});
      for (index h = 0; h < s.heads; ++h) offsets.back().push_back(offsets.back().back() + s.asked + below(random, 90));
      auto const recent = [&] {
        own.push_back(normal_room<kvs::bf16>(random, offsets.back().back() * D));
        return kvs::make_ragged<D>(static_cast<kvs::bf16 const*>(own.back().data()), s.heads, offsets.back().data());
      };
      auto const a = dense();
      auto const b = coded();
      auto const c = recent();
      return kvs::make_parts(kvs::kv_layer{a, dense()}, kvs::kv_layer{b, coded()}, kvs::kv_layer{c, recent()});
    };
    shapes.push_back(random_shape(random, 2));
    std::vector layers{part()};
    shapes.push_back(random_shape(random, 2));
    layers.push_back(part());
    std::vector<kvs::rows<float const, D>> queries;
    for (shape const& s : shapes) {
      rooms.push_back(normal_room<float>(random, s.rows() * D, 2.0f));
      queries.push_back(kvs::make_rows<D>(static_cast<float const*>(rooms.back().data()), s.heads * s.group, s.asked));
    }
    agree<64>(shapes, queries, layers);
  }
}
}  // namespace attend_cases
