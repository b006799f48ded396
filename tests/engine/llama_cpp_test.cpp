// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// States of llama.cpp, put together byte by byte: what is read of them, what is seen in them, what is refused.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "llama_states.hpp"

namespace llama_tests {
namespace {
// Reads every byte that a state says it has.
unsigned sum_of(engine::llama_state const& state) {
  unsigned sum = 0;
  auto const all = [&](byte const* p, index n) {
    for (index i = 0; i < n; ++i) sum += p[i];
  };
  for (engine::llama_cache const* c : {&state.cache, &state.windows}) {
    for (int i = 0; i < c->cells; ++i) sum += static_cast<unsigned>(c->position(i));
    for (int i = 0; i < c->layers * (c->has_values ? 2 : 1); ++i) all(c->tensor(i).data, c->tensor(i).bytes());
  }
  all(state.head.data(), static_cast<index>(state.head.size()));
  all(state.behind.data(), static_cast<index>(state.behind.size()));
  return sum;
}
}  // namespace

TEST_CASE("llama_cpp: a state of two cells, written out") {
  std::vector<byte> const bytes{
      0xd8, 0x3c, 0x14, 0xaf, 5, 0,    0,    0,                 // magic, sequence 5
      2,    0,    0,    0,    0, 0,    0,    0,                 // 2 streams, the first without cells
      2,    0,    0,    0,                                      // 2 cells
      7,    0,    0,    0,    1, 0,    0,    0,    5, 0, 0, 0,  // position 7, one sequence, 5
      9,    0,    0,    0,    1, 0,    0,    0,    5, 0, 0, 0,  // position 9
      1,    0,    0,    0,    1, 0,    0,    0,                 // values are transposed, 1 layer
      1,    0,    0,    0,    4, 0,    0,    0,    0, 0, 0, 0,  // keys: f16, 4 bytes a row
      0,    0x3c, 0,    0x40, 0, 0x42, 0,    0x44,              // 1 2 | 3 4
      0,    0,    0,    0,    4, 0,    0,    0,                 // values: f32, 4 bytes a number
      2,    0,    0,    0,                                      // 2 channels
      0,    0,    0x80, 0x3f, 0, 0,    0,    0x40,              // 1 2 of channel 0
      0,    0,    0x40, 0x40, 0, 0,    0x80, 0x40               // 3 4 of channel 1
  };
  auto const state = read(bytes);
  auto const& c = state.cache;
  CHECK(c.streams == 2);
  CHECK(c.stream == 1);
  CHECK(c.cells == 2);
  CHECK(c.layers == 1);
  CHECK(c.transposed);
  CHECK(c.position(0) == 7);
  CHECK(c.position(1) == 9);
  CHECK(c.next_position == 10);
  CHECK(c.unordered == 0);
  CHECK(state.head.size() == 8);
  CHECK(state.behind.empty());
  auto const keys = c.keys(0), values = c.values(0);
  CHECK(keys.type == llama_type::f16);
  CHECK(keys.channels == 2);
  CHECK(keys.data == bytes.data() + 64);
  CHECK(values.type == llama_type::f32);
  CHECK(values.transposed);
  CHECK(values.channels == 2);
  CHECK(values.data + values.bytes() == bytes.data() + bytes.size());
  engine::llama_rows<encode::plain<f16>, 2> k;
  engine::llama_columns<float, 2> v;
  REQUIRE(engine::see_llama_keys(c, 0, k));
  REQUIRE(engine::see_llama_values(c, 0, v));
  for (int t = 0; t < 2; ++t)
    for (int d = 0; d < 2; ++d) {
      CHECK(k(0, t, d) == static_cast<float>(1 + 2 * t + d));
      CHECK(v(0, t, d) == static_cast<float>(1 + t + 2 * d));
    }
}

TEST_CASE("llama_cpp: views of every type") {
  auto const each = [](llama_type type, auto const& view) {
    using view_type = std::remove_cvref_t<decltype(view)>;
    llama_case a;
    a.keys = a.values = type;
    auto const bytes = a.cells(11).state();
    auto const state = read(bytes);
    CAPTURE(static_cast<int>(type));
    for (int l = 0; l < a.layers; ++l) {
      kvsieve::kv_layer<view_type, view_type> layer;
      REQUIRE(engine::see_llama(state.cache, l, layer));
      REQUIRE(layer.heads() == 2);
      REQUIRE(layer.tokens() == 11);
      auto const size = a.key_rows.size() / static_cast<std::size_t>(a.layers * 11);
      CHECK(layer.keys.mapping()(1, 3, 0) == (3 * 2 + 1) * 64);
      kvsieve::engine::with_llama_format(type, [&]<class Format>() {
        for (int h = 0; h < 2; ++h)
          for (int t = 0; t < 11; ++t)
            for (int d = 0; d < 64; ++d) {
              auto const* const k = a.key_rows.data() + static_cast<std::size_t>(l * 11 + t) * size;
              auto const* const v = a.value_rows.data() + static_cast<std::size_t>(l * 11 + t) * size;
              REQUIRE(kvsieve::to_float(layer.keys(h, t, d)) == Format::template decode<128>(k, 0, h * 64 + d));
              REQUIRE(kvsieve::to_float(layer.values(h, t, d)) == Format::template decode<128>(v, 0, h * 64 + d));
            }
      });
    }
  };
  each(llama_type::f32, engine::llama_plain_rows<float, 64>{});
  each(llama_type::f16, engine::llama_plain_rows<f16, 64>{});
  each(llama_type::bf16, engine::llama_plain_rows<bf16, 64>{});
  each(llama_type::f32, engine::llama_rows<encode::plain<float>, 64>{});
  each(llama_type::f16, engine::llama_rows<encode::plain<f16>, 64>{});
  each(llama_type::q8_0, engine::llama_rows<encode::q8_0, 64>{});
  each(llama_type::q4_0, engine::llama_rows<encode::q4_0, 64>{});
  each(llama_type::q4_1, engine::llama_rows<encode::q4_1, 64>{});
  each(llama_type::q5_0, engine::llama_rows<encode::q5_0, 64>{});
  each(llama_type::q5_1, engine::llama_rows<encode::q5_1, 64>{});
}

TEST_CASE("llama_cpp: views that do not fit are refused, and stay as they were") {
  llama_case a;
  a.keys = llama_type::q8_0;
  auto const bytes = a.cells(5).state();
  auto const state = read(bytes);
  engine::llama_rows<encode::q8_0, 64> k;
  REQUIRE(engine::see_llama_keys(state.cache, 2, k));
  auto const* const before = k.data_handle();
  support::check_refused(engine::see_llama_keys(state.cache, 3, k), errc::bad_params, {"layer is 3", "3"});
  support::check_refused(engine::see_llama_keys(state.cache, -1, k), errc::bad_params, {"layer is -1", "3"});
  support::check_refused(engine::see_llama_values(state.cache, 1, k), errc::bad_shape, {"view 1: values is 1", "8"});
  CHECK(k.data_handle() == before);
  engine::llama_columns<f16, 64> columns;
  support::check_refused(engine::see_llama_values(state.cache, 1, columns), errc::bad_shape, {"transposed", "1"});
  engine::llama_rows<encode::q8_0, 96> other;
  support::check_refused(engine::see_llama_keys(state.cache, 0, other), errc::bad_shape, {"keys is 128", "96"});
  engine::llama_plain_rows<f16, 64> rows;
  REQUIRE(engine::see_llama_values(state.cache, 0, rows));
  std::vector<byte> shifted(bytes.size() + 1);
  std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
  engine::llama_state odd;
  REQUIRE(engine::read_llama(span(shifted).subspan(1), {}, odd));
  support::check_refused(engine::see_llama_values(odd.cache, 0, rows), errc::bad_pointer, {"values is 1", "2"});
  engine::llama_rows<encode::plain<f16>, 64> anywhere;
  REQUIRE(engine::see_llama_values(odd.cache, 0, anywhere));
  a.has_values = false;
  auto const mla = a.state();
  auto const keys_only = read(mla, {.values = false});
  kvsieve::kv_layer<decltype(k), decltype(rows)> layer;
  support::check_refused(engine::see_llama(keys_only.cache, 0, layer), errc::bad_shape, {"values is 0", "1"});
  REQUIRE(engine::see_llama_keys(keys_only.cache, 0, k));
}

TEST_CASE("llama_cpp: extensions, empty sequences, files, second caches, recurrent layers") {
  llama_case a, swa;
  a.extension = true;
  a.positions = {3, 3, 8};
  auto const extended = a.state();
  CHECK(read(extended, {.extension = true}).cache.next_position == 9);
  engine::llama_state state;
  CHECK(!engine::read_llama(span(extended), {}, state));
  a.extension = false;
  a.positions = {3, 9, 8};
  CHECK(read(a.state()).cache.unordered == 2);
  a.positions = {};
  a.streams = 4;
  auto const no_cells = a.state();
  auto const none = read(no_cells);
  CHECK(none.cache.cells == 0);
  CHECK(none.cache.layers == 0);

  swa.layers = 2;
  swa.transposed = a.transposed = true;
  swa.cells(4);
  a.cells(6);
  support::llama_bytes file;
  file.u32(0x67677371u);
  file.u32(3);
  file.u32(6);
  for (int i = 0; i < 6; ++i) file.i32(40 + i);
  file.more(a.bytes());
  auto const at = file.all.size();
  file.more(swa.bytes());
  auto const both = read(file.all, {.caches = 2});
  CHECK(both.head.size() == 36);
  CHECK(both.cache.cells == 6);
  CHECK(both.windows.cells == 4);
  CHECK(both.windows.layers == 2);
  CHECK(both.behind.data() == file.all.data() + at);
  CHECK(both.behind.size() == file.all.size() - at);
  support::check_refused(engine::read_llama(span(file.all), {}, state), errc::bad_file,
                         {"bytes is " + std::to_string(file.all.size()), std::to_string(at)});
  CHECK(read(file.all, {.more = true}).behind.size() == file.all.size() - at);
}

TEST_CASE("llama_cpp: a state cut short is refused at every byte, and nothing outside of it is read") {
  for (bool const transposed : {false, true}) {
    llama_case a;
    a.layers = 2;
    a.head_dim = 4;
    a.transposed = transposed;
    a.streams = 3;
    a.stream = 1;
    auto const whole = a.cells(3).state();
    engine::llama_state state;
    for (std::size_t n = 0; n < whole.size(); ++n) {
      std::unique_ptr<byte[]> const part(new byte[n]);  // of exactly that size, for the sanitizer
      std::memcpy(part.get(), whole.data(), n);
      auto const s = engine::read_llama({part.get(), n}, {}, state);
      CAPTURE(n, support::message_of(s));
      REQUIRE(!s);
      REQUIRE(s.code == errc::bad_file);
      REQUIRE(state.bytes.data() == nullptr);
    }
    auto longer = whole;
    longer.push_back(0);
    support::check_refused(engine::read_llama(span(longer), {}, state), errc::bad_file,
                           {std::to_string(longer.size()), std::to_string(whole.size())});
  }
}

TEST_CASE("llama_cpp: flipped bits are refused or read within the state") {
  std::mt19937 random(7);
  unsigned sum = 0;
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    llama_case a;
    a.layers = 1 + static_cast<int>(random() % 3);
    a.head_dim = 32;
    a.heads = 1;
    a.keys = random() % 2 == 0 ? llama_type::q4_0 : llama_type::f16;
    a.transposed = random() % 2 == 0;
    a.extension = random() % 4 == 0;
    a.streams = 1 + static_cast<int>(random() % 3);
    a.cells(1 + static_cast<int>(random() % 4));
    auto bytes = a.state();
    for (int flips = 1 + static_cast<int>(random() % 3); flips-- > 0;) {
      // Most of a state is rows: every other flip is in front of them.
      std::size_t const among = random() % 2 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 80);
      bytes[random() % among] ^= static_cast<byte>(1u << random() % 8);
    }
    std::unique_ptr<byte[]> const exact(new byte[bytes.size()]);
    std::memcpy(exact.get(), bytes.data(), bytes.size());
    engine::llama_state state;
    engine::llama_form const form{.values = random() % 8 != 0,
                                  .extension = random() % 8 == 0 ? !a.extension : a.extension,
                                  .caches = 1,
                                  .more = random() % 2 == 0};
    if (!engine::read_llama({exact.get(), bytes.size()}, form, state)) continue;
    ++accepted;
    sum += sum_of(state);
  }
  CHECK(accepted > 1000);
  CHECK(sum != 0);
}

TEST_CASE("llama_cpp: what is wrong in a state is named, with both values") {
  llama_case a;
  a.layers = 1;
  auto const whole = a.cells(3).state();
  engine::llama_state state;
  auto const with = [&](std::size_t place, std::uint64_t x, int size, engine::llama_form const& form = {}) {
    auto bytes = whole;
    for (int i = 0; i < size; ++i) bytes[place + static_cast<std::size_t>(i)] = static_cast<byte>(x >> (8 * i) & 255u);
    return engine::read_llama(span(bytes), form, state);
  };
  auto const bad = errc::bad_file;
  support::check_refused(with(0, 0x12345678u, 4), bad, {"magic is 305419896", "2937339096"});
  support::check_refused(with(8, 0, 4), bad, {"streams is 0", "at least 1"});
  support::check_refused(with(8, 257, 4), bad, {"streams is 257", "at most 256"});
  support::check_refused(with(12, 0xffffffffu, 4), bad, {"cells is 4294967295", "2147418112"});
  support::check_refused(with(12, 100000000, 4), bad, {"cells is " + std::to_string(whole.size() - 16), "1200000000"});
  support::check_refused(with(16, 0xffffffffu, 4), bad, {"cells.position is -1", "0"});
  support::check_refused(with(16, 0x7fffffffu, 4), bad, {"cells.position is 2147483647", "less than 2147483647"});
  support::check_refused(with(20, 0, 4), bad, {"cells.sequences is 0", "1"});
  support::check_refused(with(52, 2, 4), bad, {"transposed is 2", "1"});
  support::check_refused(with(56, 0, 4), bad, {"layers is 0", "1"});
  support::check_refused(with(56, 513, 4), bad, {"layers is 513", "512"});
  support::check_refused(with(60, 14, 4), bad, {"view 0: keys.type is 14", "30"});
  support::check_refused(with(60, 0xffffffffu, 4), bad, {"keys.type is -1", "30"});
  support::check_refused(with(60, 8, 4), bad, {"keys.row_bytes is 256", "34"});
  support::check_refused(with(64, 0, 8), bad, {"keys.row_bytes is 0", "2"});
  support::check_refused(with(64, 0xfffffffffffffff0u, 8), bad, {"keys.row_bytes", "4294967294"});
  support::check_refused(with(64, 0xfffffffeu, 8), bad,
                         {"keys is " + std::to_string(whole.size() - 72), "12884901882"});
  auto const values = 72 + a.key_rows.size();
  support::check_refused(with(values, 31, 4), bad, {"values.type is 31", "30"});
  support::check_refused(with(values + 4, 255, 8), bad, {"values.row_bytes is 255", "2"});
  support::check_refused(with(0, 0, 0, {.caches = 3}), errc::bad_params, {"form.caches is 3", "2"});
  support::check_refused(engine::read_llama({}, {}, state), errc::bad_pointer, {"bytes"});
  auto two = whole;  // cells in a second stream
  two[8] = 2;
  two.insert(two.end(), {1, 0, 0, 0});
  support::check_refused(engine::read_llama(span(two), {}, state), bad, {"stream is 1", "0"});

  a.transposed = true;
  auto const turned = a.state();
  auto const with_turned = [&](std::size_t place, std::uint32_t x) {
    auto bytes = turned;
    for (std::size_t i = 0; i < 4; ++i) bytes[place + i] = static_cast<byte>(x >> (8 * i) & 255u);
    return engine::read_llama(span(bytes), {}, state);
  };
  support::check_refused(with_turned(values, 8), bad, {"values.type is 32", "1"});
  support::check_refused(with_turned(values + 4, 4), bad, {"values.element_bytes is 4", "2"});
  support::check_refused(with_turned(values + 8, 0), bad, {"values.channels is 0", "1"});
  support::check_refused(with_turned(values + 8, 0xffffffffu), bad, {"values.channels is 4294967295", "2147483647"});
  support::check_refused(with_turned(values + 8, 0x7fffffffu), bad, {"values is", "12884901882"});
}

TEST_CASE("llama_cpp: a masking key hides padded entries from all queries of a step") {
  constexpr int D = 32;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (int group : {1, 2, 4, 8}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<float> q(static_cast<std::size_t>(group * D));
      for (float& x : q) x = normal(random) * (round % 5 == 0 ? 30.0f : 1.0f);
      float key[D];
      engine::masking found;
      auto const s = engine::masking_key(kvsieve::make_rows<D>(q.data(), group, 1), key, found);
      CAPTURE(group, support::message_of(s));
      REQUIRE(s);
      REQUIRE(found.cosine > 0.0625);
      double most = -1e30;
      for (int g = 0; g < group; ++g) {
        double dot = 0, rounded = 0;
        for (int d = 0; d < D; ++d) {
          REQUIRE(std::abs(key[d]) <= 60000.0f);
          dot += static_cast<double>(q[static_cast<std::size_t>(g * D + d)]) * static_cast<double>(key[d]);
          rounded += static_cast<double>(q[static_cast<std::size_t>(g * D + d)]) *
                     static_cast<double>(kvsieve::to_float(kvsieve::from_float<bf16>(key[d])));
        }
        REQUIRE(rounded < 0.9 * dot);
        most = std::max(most, dot);
      }
      REQUIRE(most == Catch::Approx(found.logit).epsilon(1e-4));
      REQUIRE(most * 0.17 < -600);  // scaled by 1 / sqrt(D): no weight beside any real entry
    }
  }
  float const opposite[2 * D] = {1}, none[D] = {};
  float key[D] = {7};
  std::vector<float> both(opposite, opposite + 2 * D);
  both[D] = -1;
  engine::masking found{1, 2};
  support::check_refused(engine::masking_key(kvsieve::make_rows<D>(both.data(), 2, 1), key, found), errc::bad_params,
                         {"queries", "0.0625"});
  support::check_refused(engine::masking_key(kvsieve::make_rows<D>(none, 1, 1), key, found), errc::bad_params,
                         {"queries is 0", "0"});
  CHECK(key[0] == 7);
  CHECK(found.logit == 2);
}
}  // namespace llama_tests
