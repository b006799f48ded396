// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// New states in other types: rows that are converted, rotated as llama.cpp's are, or moved whole.
#include <kvsieve/encode/rotated.hpp>

#include <cstring>

#include "llama_states.hpp"

namespace llama_tests {
TEST_CASE("llama_cpp: other types, with and without llama.cpp's rotation") {
  constexpr int D = 128;
  llama_case a;
  a.head_dim = D;
  a.layers = 2;
  a.transposed = true;
  a.keys = llama_type::f32;
  auto const bytes = a.cells(8).state();
  auto const state = read(bytes);
  std::vector<std::vector<int>> const lists{{0, 2, 7}, {1, 2, 6}, {3, 4, 5}, {0, 1, 7}};
  plan_by_hand const some(2, 2, 8, lists);
  auto const source_row = [&](bool values, int layer, int head, int token, float* to) {
    for (int d = 0; d < D; ++d) {
      auto const at = static_cast<std::size_t>(((layer * 8 + token) * 2 + head) * D + d);
      to[d] = values ? encode::plain<f16>::decode<D>(a.value_rows.data() + 2 * at, 0, 0)
                     : encode::plain<float>::decode<D>(a.key_rows.data() + 4 * at, 0, 0);
    }
  };
  for (bool const rotated : {true, false}) {
    auto const written = write(state, some.plan,
                               {.keys = llama_type::q8_0,
                                .values = llama_type::q5_1,
                                .order = engine::llama_values::rows,
                                .rotated = rotated});
    auto const seen = read(written);
    REQUIRE(!seen.cache.transposed);
    for (int l = 0; l < 2; ++l)
      for (int h = 0; h < 2; ++h)
        for (int i = 0; i < 3; ++i) {
          float k[D], v[D];
          byte expected[D * 2];
          int const t = lists[static_cast<std::size_t>(l * 2 + h)][static_cast<std::size_t>(i)];
          source_row(false, l, h, t, k);
          source_row(true, l, h, t, v);
          if (rotated) {
            kvs::rotate<128>(k);
            kvs::rotate<64>(v);  // llama.cpp rotates values by 64, keys by the whole row
            kvs::rotate<64>(v + 64);
          }
          encode::q8_0::encode<D>(k, expected);
          REQUIRE(std::memcmp(expected, seen.cache.keys(l).data + (i * 2 + h) * 136, 136) == 0);
          encode::q5_1::encode<D>(v, expected);
          REQUIRE(std::memcmp(expected, seen.cache.values(l).data + (i * 2 + h) * 96, 96) == 0);
        }
    // And back: what is stored, decoded and turned back.
    plan_by_hand const all(2, 2, 3, {first_cells(3)});
    auto const back = write(seen, all.plan,
                            {.keys = llama_type::f32,
                             .values = llama_type::f32,
                             .order = engine::llama_values::columns,
                             .rotated = rotated});
    auto const again = read(back);
    kvs::kv_layer<engine::llama_plain_rows<float, D>, engine::llama_columns<float, D>> layer;
    REQUIRE(engine::see_llama(again.cache, 1, layer));
    for (int h = 0; h < 2; ++h)
      for (int i = 0; i < 3; ++i) {
        float k[D], v[D];
        source_row(false, 1, h, lists[static_cast<std::size_t>(2 + h)][static_cast<std::size_t>(i)], k);
        source_row(true, 1, h, lists[static_cast<std::size_t>(2 + h)][static_cast<std::size_t>(i)], v);
        for (int d = 0; d < D; ++d) {
          REQUIRE(layer.keys(h, i, d) == Catch::Approx(k[d]).margin(0.08));
          REQUIRE(layer.values(h, i, d) == Catch::Approx(v[d]).margin(0.4));
        }
      }
  }
  // Plain types into each other, transposed and not: the numbers, rounded.
  plan_by_hand const all(2, 2, 8, {first_cells(8)});
  auto const plain = write(state, all.plan, {.keys = llama_type::bf16, .order = engine::llama_values::rows});
  auto const seen = read(plain);
  kvs::kv_layer<engine::llama_plain_rows<bf16, D>, engine::llama_plain_rows<f16, D>> layer;
  REQUIRE(engine::see_llama(seen.cache, 1, layer));
  for (int t = 0; t < 8; ++t) {
    float k[D], v[D];
    source_row(false, 1, 1, t, k);
    source_row(true, 1, 1, t, v);
    for (int d = 0; d < D; ++d) {
      REQUIRE(layer.keys(1, t, d) == kvs::from_float<bf16>(k[d]));
      REQUIRE(kvs::to_float(layer.values(1, t, d)) == v[d]);
    }
  }
  CHECK(write(seen, all.plan, {.order = engine::llama_values::columns}).size() ==
        bytes.size() - static_cast<std::size_t>(2 * 8 * 2 * D * 2));
  CHECK(engine::llama_rotation(128, false) == 128);
  CHECK(engine::llama_rotation(192, false) == 64);
  CHECK(engine::llama_rotation(256, true) == 64);
  CHECK(engine::llama_rotation(96, false) == 0);
}

TEST_CASE("llama_cpp: where layers differ in the size of their heads, nothing is rotated, as in llama.cpp") {
  for (int const second : {64, 128}) {
    llama_case a, b;
    a.layers = b.layers = 1;
    a.has_values = b.has_values = false;
    b.head_dim = second;
    b.seed = 2;
    auto bytes = a.cells(4).state();
    auto const more = b.cells(4).bytes();
    bytes[68] = 2;  // layers
    bytes.insert(bytes.end(), more.begin() + 64, more.end());
    auto const state = read(bytes, {.values = false});
    plan_by_hand const all(2, 2, 4, {first_cells(4)});
    auto const written = write(state, all.plan, {.keys = llama_type::q8_0});
    auto const seen = read(written, {.values = false});
    float row[64];
    for (int d = 0; d < 64; ++d) row[d] = encode::plain<f16>::decode<64>(a.key_rows.data(), 0, 64 + d);
    if (second == 64) kvs::rotate<64>(row);
    byte expected[68];
    encode::q8_0::encode<64>(row, expected);
    CHECK(std::memcmp(expected, seen.cache.keys(0).data + 68, 68) == 0);
  }
}

TEST_CASE("llama_cpp: rows of 80 channels are moved whole, not head by head, where blocks cross them") {
  llama_case a;
  a.head_dim = 80;
  a.keys = llama_type::q8_0;
  auto const bytes = a.cells(6).state();
  auto const state = read(bytes);
  plan_by_hand const one(a.layers, a.heads, 6, {{0, 3, 5}});
  auto const written = write(state, one.plan);
  auto const seen = read(written);
  CHECK(std::memcmp(seen.cache.keys(1).data + 170, a.key_rows.data() + (6 + 3) * 170, 170) == 0);
  plan_by_hand const apart(a.layers, a.heads, 6, {{0, 5}, {1, 5}});
  std::uint64_t size = 0;
  support::check_refused(engine::llama_bytes(state, apart.plan, {}, size), errc::bad_shape,
                         {"view 0: keys.channels is 80", "32"});
  support::check_refused(engine::llama_bytes(state, one.plan, {.keys = llama_type::f16}, size), errc::bad_shape,
                         {"keys.channels is 80", "32"});
  a.keys = llama_type::f16;
  auto const plain = a.state();
  CHECK(read(write(read(plain), apart.plan, {.values = llama_type::f32})).cache.cells == 2);  // pieces of 32, 32 and 16
}
}  // namespace llama_tests
