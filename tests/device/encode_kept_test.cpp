// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compaction into encoded rows on emulated blocks: the bytes of the host, for every format.
#include "emulated_plan.hpp"

#include <kvsieve/encode/asymmetric.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/fp8.hpp>
#include <kvsieve/encode/int4_row.hpp>
#include <kvsieve/encode/int8_row.hpp>
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/nvfp4.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/host/evict/compactor.hpp>

using namespace kvsieve_test;
namespace enc = kvs::encode;

namespace {
using strategy = kvs::random<>;
constexpr int heads = 2, guard = 32;  // bytes behind the rows

/// Bytes of one tensor, `past` bytes behind an address of 64 bytes, and a view of it.
template <class Codec, int D>
struct encoded_tensor {
  std::vector<std::uint64_t> memory;
  int past;
  kvs::index rows, bytes;
  encoded_tensor(int r, int p)
      : past(p),
        rows(r),
        bytes(kvs::encoded_bytes<Codec, D>(heads * ((r + Codec::tile_tokens - 1) / Codec::tile_tokens) *
                                           Codec::tile_tokens)) {
    memory.assign(static_cast<std::size_t>(bytes + past + guard) / 8 + 1, 0x5c5c5c5c5c5c5c5cu);
  }
  kvs::byte* data() { return reinterpret_cast<kvs::byte*>(memory.data()) + past; }
  auto view(kvs::state_of<Codec> state = {}) { return kvs::make_encoded<Codec, D>(data(), heads, rows, state); }
  bool operator==(encoded_tensor const& other) const { return memory == other.memory; }
};

/// The whole of what a cache may hold: numbers of all sizes, zeros, and what is not finite.
template <class T, int D>
cache<T, D> wild_cache(int tokens, unsigned seed) {
  cache<T, D> c(heads, tokens, seed);
  std::mt19937 random(seed + 5);
  for (auto* const rows : {&c.keys, &c.values}) {
    for (int i = 0; i < tokens; ++i) {
      int const t = static_cast<int>(random() % static_cast<unsigned>(tokens)), h = i % heads;
      float const special[] = {not_a_number, infinite, -infinite, 0.0f, -0.0f, 6e4f, 1e-7f, 0.5f};
      rows->at(h, t, static_cast<int>(random() % D)) = kvs::from_float<T>(special[random() % 8]);
    }
    for (int d = 0; d < D; ++d) {
      rows->at(0, 0, d) = kvs::from_float<T>(0.0f);
      rows->at(0, tokens / 2, d) = kvs::from_float<T>(static_cast<float>(d % 7 - 3));
      rows->at(1, tokens / 2, d) = kvs::from_float<T>(0.25f);
    }
  }
  return c;
}

template <class Keys, class Values, int D, class T, int Threads>
void check_format(int tokens, int keep, int past, kvs::state_of<Keys> keys_state = {},
                  kvs::state_of<Values> values_state = {}) {
  CAPTURE(Keys::name, Values::name, D, Threads, tokens, keep, past);
  auto c = wild_cache<T, D>(tokens, 7u);
  std::vector const layers{c.layer()};
  auto const made = emulated_plan<strategy, Threads>(layers, {.budget = {.tokens = keep}});
  encoded_tensor<Keys, D> keys(keep + 1, past), want_keys(keep + 1, past);
  encoded_tensor<Values, D> values(keep + 1, past), want_values(keep + 1, past);
  kvs::kv_layer const to{keys.view(keys_state), values.view(values_state)};
  kvs::kv_layer const want{want_keys.view(keys_state), want_values.view(values_state)};
  using from_type = decltype(c.layer());
  using to_type = std::remove_const_t<decltype(to)>;
  emulated_device<Threads> const on;
  char line[200];
  kvs::status const s = kvs::device::copy_kept<strategy>(on, made.plan, kvs::kv_group<from_type>(layers.data(), 1),
                                                         kvs::kv_group<to_type>(&to, 1));
  INFO(s.message(line));
  REQUIRE(s);
  REQUIRE(kvs::host::compact(kvs::host::on<>{}, made.plan, kvs::cs::span<from_type const>(layers.data(), 1),
                             kvs::cs::span<to_type const>(&want, 1)));
  CHECK(keys == want_keys);
  CHECK(values == want_values);
}
template <class Keys, class Values = Keys>
void check_all(kvs::state_of<Keys> keys_state = {}, kvs::state_of<Values> values_state = {}) {
  check_format<Keys, Values, 64, kvs::f16, 64>(150, 96, 0, keys_state, values_state);
  if constexpr (race_check) return;
  check_format<Keys, Values, 64, kvs::f16, 64>(150, 0, 1, keys_state, values_state);
  check_format<Keys, Values, 128, float, 32>(140, 128, 2, keys_state, values_state);
}
}  // namespace

TEST_CASE("encoding kernels: bytes are the host's, blocks of channels", "[device][encode]") {
  check_all<enc::q4_0>();
  check_format<enc::q4_0, enc::q8_0, 96, kvs::bf16, 64>(130, 128, 1);
  check_all<enc::q4_1>();
  check_all<enc::q5_0, enc::q5_1>();
  check_all<enc::q8_0>();
  check_all<enc::asymmetric>();
  check_all<enc::bits<2>, enc::bits<3>>();
  check_all<enc::bits<4>, enc::bits<5>>();
  check_all<enc::bits<6>, enc::bits<8>>();
  check_all<enc::bits<3, enc::scale_by::search>>();
}
TEST_CASE("encoding kernels: bytes are the host's, whole rows", "[device][encode]") {
  check_all<enc::int8_row>();
  check_all<enc::int4_row>();
  check_all<enc::fp8_row<enc::e4m3>, enc::fp8_row<enc::e5m2>>();
  check_all<enc::plain<float>, enc::plain<kvs::bf16>>();
  check_all<enc::plain<kvs::f16>>();
  check_all<enc::bitmap<38>, enc::bitmap<7>>();
}
TEST_CASE("encoding kernels: bytes are the host's, groups of tokens", "[device][encode]") {
  check_all<enc::kivi_keys<2>, enc::kivi_values<2>>();
  check_all<enc::kivi_keys<4>, enc::kivi_values<4>>();
  if constexpr (race_check) return;
  check_format<enc::kivi_keys<2, 64>, enc::kivi_values<2, 64>, 64, float, 64>(150, 128, 0);
  check_format<enc::kivi_keys<2, 128>, enc::kivi_values<4, 64>, 128, kvs::f16, 64>(300, 256, 2);
  check_format<enc::kivi_keys<4, 128>, enc::q8_0, 96, kvs::bf16, 32>(300, 256, 2);
}
TEST_CASE("encoding kernels: bytes are the host's, rotated rows", "[device][encode]") {
  check_all<enc::rotated<enc::bits<3>>, enc::rotated<enc::q4_0>>();
  check_all<enc::rotated<enc::int8_row>, enc::rotated<enc::asymmetric>>();
  check_all<enc::rotated<enc::bits<2, enc::scale_by::search>>, enc::q8_0>();
}
TEST_CASE("encoding kernels: bytes are the host's, formats with a state", "[device][encode]") {
  float const scale[2] = {0.03f, 0.7f};
  for (int const keep : {96, 41}) {
    enc::head_scales const scales{scale, keep + 1, 2};
    check_format<enc::fp8<enc::e4m3>, enc::fp8<enc::e5m2>, 64, kvs::f16, 64>(150, keep, 0, scales, scales);
    check_format<enc::nvfp4, enc::nvfp4, 128, float, 64>(150, keep, 2, scales, {});
    kvs::cs::uint64_t const words[4] = {0x00ff00ff00ff00ffu, 0x1u, 0x0f0f0f0f0f0f0f0fu, 0x0u};
    enc::channel_masks const masks{words, keep + 1, 2, nullptr};
    check_format<enc::kept_channels<64, enc::q8_0>, enc::kept_channels<32, enc::plain<kvs::f16>>, 128, kvs::f16, 64>(
        150, keep, 0, masks, {});
  }
}

TEST_CASE("encoding kernels: one tensor encoded and the other as it was, or of another type", "[device][encode]") {
  constexpr int D = 64, tokens = 150, keep = 130;
  auto c = wild_cache<kvs::f16, D>(tokens, 9u);
  std::vector const layers{c.layer()};
  auto const made = emulated_plan<strategy, 64>(layers, {.budget = {.tokens = keep}});
  using from_type = decltype(c.layer());
  auto const both = [&](auto const& to, auto const& want) {
    using to_type = std::remove_cvref_t<decltype(to)>;
    REQUIRE(kvs::device::copy_kept<strategy>(
        emulated_device<64>{}, made.plan, kvs::kv_group<from_type>(layers.data(), 1), kvs::kv_group<to_type>(&to, 1)));
    REQUIRE(kvs::host::compact(kvs::host::on<>{}, made.plan, kvs::cs::span<from_type const>(layers.data(), 1),
                               kvs::cs::span<to_type const>(&want, 1)));
  };
  auto const same = [](auto const& a, auto const& b) {
    return std::memcmp(a.memory.data(), b.memory.data(), a.memory.size() * sizeof(a.memory[0])) == 0;
  };
  tensor<kvs::f16, D> plain(heads, keep, 1), want_plain(heads, keep, 1);
  encoded_tensor<enc::q4_0, D> coded(keep, 0), want_coded(keep, 0);
  both(kvs::kv_layer{plain.view(), coded.view()}, kvs::kv_layer{want_plain.view(), want_coded.view()});
  CHECK(same(plain, want_plain));
  CHECK(same(coded, want_coded));
  tensor<float, D> wide(heads, keep, 2), want_wide(heads, keep, 2);
  tensor<kvs::bf16, D> narrow(heads, keep, 3), want_narrow(heads, keep, 3);
  both(kvs::kv_layer{wide.view(), narrow.view()}, kvs::kv_layer{want_wide.view(), want_narrow.view()});
  CHECK(same(wide, want_wide));
  CHECK(same(narrow, want_narrow));
}

TEST_CASE("encoding kernels: encoded rows are copied, decoded, encoded anew and moved in place", "[device][encode]") {
  constexpr int D = 64, tokens = 150, keep = 130;
  auto c = wild_cache<kvs::f16, D>(tokens, 11u);
  std::vector const plain_layers{c.layer()};
  auto const all = emulated_plan<strategy, 64>(plain_layers, {.budget = {.tokens = tokens}});
  encoded_tensor<enc::q8_0, D> keys(tokens, 0);
  encoded_tensor<enc::rotated<enc::q4_0>, D> values(tokens, 2);
  kvs::kv_layer const from{keys.view(), values.view()};
  using from_type = std::remove_const_t<decltype(from)>;
  using plain_type = decltype(c.layer());
  REQUIRE(kvs::device::copy_kept<strategy>(emulated_device<64>{}, all.plan,
                                           kvs::kv_group<plain_type>(plain_layers.data(), 1),
                                           kvs::kv_group<from_type>(&from, 1)));
  auto const made = emulated_plan<strategy, 64>(plain_layers, {.budget = {.tokens = keep}});
  auto const both = [&](auto const& to, auto const& want) {
    using to_type = std::remove_cvref_t<decltype(to)>;
    REQUIRE(kvs::device::copy_kept<strategy>(emulated_device<64>{}, made.plan, kvs::kv_group<from_type>(&from, 1),
                                             kvs::kv_group<to_type>(&to, 1)));
    REQUIRE(kvs::host::compact(kvs::host::on<>{}, made.plan, kvs::cs::span<from_type const>(&from, 1),
                               kvs::cs::span<to_type const>(&want, 1)));
  };
  encoded_tensor<enc::q8_0, D> same(keep, 2), want_same(keep, 2);
  tensor<kvs::f16, D> decoded(heads, keep, 1), want_decoded(heads, keep, 1);
  both(kvs::kv_layer{same.view(), decoded.view()}, kvs::kv_layer{want_same.view(), want_decoded.view()});
  CHECK(same == want_same);
  CHECK(std::memcmp(decoded.data(), want_decoded.data(), sizeof(kvs::f16) * heads * keep * D) == 0);
  encoded_tensor<enc::q4_0, D> fewer(keep, 2), want_fewer(keep, 2);
  encoded_tensor<enc::rotated<enc::q4_0>, D> turned(keep, 1), want_turned(keep, 1);
  both(kvs::kv_layer{fewer.view(), turned.view()}, kvs::kv_layer{want_fewer.view(), want_turned.view()});
  CHECK(fewer == want_fewer);
  CHECK(turned == want_turned);

  auto keys_by_host = keys;
  auto values_by_host = values;
  kvs::kv_layer const by_host{keys_by_host.view(), values_by_host.view()};
  REQUIRE(kvs::device::move_kept<strategy>(emulated_device<64>{}, made.plan, kvs::kv_group<from_type>(&from, 1)));
  REQUIRE(kvs::host::compact(kvs::host::on<>{}, made.plan, kvs::cs::span<from_type const>(&by_host, 1)));
  CHECK(keys == keys_by_host);
  CHECK(values == values_by_host);
}

TEST_CASE("encoding kernels: heads of their own lengths, packed by the plan's table", "[device][encode]") {
  constexpr int D = 64, tokens = 200;
  using by_heads = kvs::key_norm<kvs::budget::over_heads, kvs::store::ragged>;
  auto c = wild_cache<kvs::f16, D>(tokens, 13u);
  std::vector const layers{c.layer()};
  using from_type = decltype(c.layer());
  auto const made = emulated_plan<by_heads, 64>(layers, {.budget = {.keep = 0.4}});
  auto const counted = on_host(made.plan);
  kvs::index const rows = counted.offset[heads];
  std::vector<kvs::byte> keys(static_cast<std::size_t>(kvs::encoded_bytes<enc::q4_0, D>(rows)), kvs::byte{9}),
      values(static_cast<std::size_t>(kvs::encoded_bytes<enc::q8_0, D>(rows)), kvs::byte{9});
  auto want_keys = keys, want_values = values;
  auto const packed = [&](auto& k, auto& v, kvs::index const* offset, auto... most) {
    return kvs::kv_layer{kvs::make_encoded_ragged<enc::q4_0, D>(k.data(), heads, offset, most...),
                         kvs::make_encoded_ragged<enc::q8_0, D>(v.data(), heads, offset, most...)};
  };
  auto const to = packed(keys, values, made.plan.offsets(0), kvs::index{made.plan.most(0)});
  auto const want = packed(want_keys, want_values, counted.offset);
  using to_type = std::remove_const_t<decltype(to)>;
  REQUIRE(kvs::device::copy_kept<by_heads>(emulated_device<64>{}, made.plan, kvs::kv_group<from_type>(layers.data(), 1),
                                           kvs::kv_group<to_type>(&to, 1)));
  REQUIRE(kvs::host::compact(kvs::host::on<>{}, counted, kvs::cs::span<from_type const>(layers.data(), 1),
                             kvs::cs::span<to_type const>(&want, 1)));
  CHECK(keys == want_keys);
  CHECK(values == want_values);
}

TEST_CASE("encoding kernels: counts that leave a tile half full are refused", "[device][encode]") {
  constexpr int D = 64;
  auto c = wild_cache<float, D>(100, 15u);
  std::vector const layers{c.layer()};
  using from_type = decltype(c.layer());
  auto const made = emulated_plan<strategy, 64>(layers, {.budget = {.tokens = 33}});
  encoded_tensor<enc::kivi_keys<2>, D> keys(64, 0), before(64, 0);
  encoded_tensor<enc::kivi_values<2>, D> values(64, 0);
  kvs::kv_layer const to{keys.view(), values.view()};
  using to_type = std::remove_const_t<decltype(to)>;
  kvs::status const s = kvs::device::copy_kept<strategy>(
      emulated_device<64>{}, made.plan, kvs::kv_group<from_type>(layers.data(), 1), kvs::kv_group<to_type>(&to, 1));
  CHECK(s.code == kvs::errc::bad_plan);
  CHECK(s.got == 33);
  CHECK(s.expected == 32);
  CHECK(keys == before);
}
