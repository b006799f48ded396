// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merging of encoded rows, into encoded rows and into pages, on emulated blocks: the bytes of the host. Numbers are of
// few bits, so that sums are the same in any order.
#include <kvsieve/core/paged.hpp>
#include <kvsieve/device/evict/merger.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/int8_row.hpp>
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/host/run.hpp>
#include <workspace.hpp>

#include "emulated_plan.hpp"

namespace merge_stored_tests {
using namespace kvsieve_test;
namespace evict = kvs::evict;
namespace enc = kvs::encode;
using kvs::index;
using kvs::cs::span;

namespace {
constexpr int heads = 2, tokens = 90;

/// Multiples of a quarter; one of every 32 is the 127th, so that q8_0 holds all of them as they are.
template <int D>
cache<float, D> of_few_bits(unsigned seed) {
  cache<float, D> c(heads, tokens, seed);
  for (auto* const side : {&c.keys, &c.values})
    for (int h = 0; h < heads; ++h)
      for (int t = 0; t < tokens; ++t)
        for (int d = 0; d < D; ++d) {
          float& x = side->at(h, t, d);
          x = d % 32 == 5 ? 31.75f : std::floor(x * 4) / 4;
        }
  return c;
}
/// Rows in a format, some bytes behind them.
template <class Codec, int D>
struct stored {
  std::vector<workspace_line> memory;
  explicit stored(index rows) : memory(static_cast<std::size_t>(kvs::encoded_bytes<Codec, D>(rows)) / 64 + 2) {
    std::memset(static_cast<void*>(memory.data()), 0x5c, memory.size() * 64);
  }
  kvs::byte* data() { return reinterpret_cast<kvs::byte*>(memory.data()); }
  auto view(index rows, kvs::state_of<Codec> state = {}) {
    return kvs::make_encoded<Codec, D>(data(), heads, rows, state);
  }
  bool operator==(stored const& o) const {
    return std::memcmp(memory.data(), o.memory.data(), memory.size() * 64) == 0;
  }
};
template <class Codec, int D>
void fill(tensor<float, D>& from, kvs::byte* to) {
  for (int h = 0; h < heads; ++h)
    for (int t = 0; t < tokens; ++t)
      Codec::template encode<D>(&from.at(h, t, 0), to + (h * tokens + t) * Codec::template tile_bytes<D>);
}

/// Merges by both into targets that make(side) shows, side 0 that of the blocks; biases are the same.
template <class Evict, int Threads, class Layer, class Plan, class Make>
void both_merge(Plan const& plan, Layer const& layer, typename Evict::params const& p, Make const& make) {
  using C = kvs::random<Evict>;
  typename C::params params{};
  params.evict = p;
  std::vector const from{layer};
  std::vector const to{make(0)}, want{make(1)};
  using target = std::remove_cvref_t<decltype(to[0])>;
  std::vector<kvs::cs::uint8_t> codes[2] = {std::vector<kvs::cs::uint8_t>(heads * (tokens + 1), 99),
                                            std::vector<kvs::cs::uint8_t>(heads * (tokens + 1), 99)};
  kvs::entry_bias_target const bias[2] = {{codes[0].data(), tokens + 1, nullptr},
                                          {codes[1].data(), tokens + 1, nullptr}};
  emulated_device<Threads> const on;
  kvs::device::merge_call<C, emulated_device<Threads>, Plan, Layer> const call(on, plan, {from.data(), 1},
                                                                               params.evict);
  support::workspace memory(call.bytes());
  char line[200];
  kvs::status s = call.run(span<target const>(to.data(), 1), memory.span(), {&bias[0], 1});
  INFO(s.message(line));
  REQUIRE(s);
  CHECK(memory.guards_hold());
  kvs::host::on<> const inline_;
  support::workspace host_memory(
      kvs::apply_workspace_bytes<C>(inline_, plan, span<Layer const>(from.data(), 1), params));
  s = kvs::apply<C>(inline_, plan, span<Layer const>(from.data(), 1), span<target const>(want.data(), 1), params,
                    host_memory.span(), span<kvs::entry_bias_target const>(&bias[1], 1));
  INFO(s.message(line));
  REQUIRE(s);
  CHECK(codes[0] == codes[1]);
}
template <int Threads, class Layer>
auto planned(Layer const& layer) {
  return emulated_plan<kvs::random<>, Threads>(std::vector{layer}, {.budget = {.keep = 0.3}, .select = {.sink = 2}});
}

/// From floats of few bits, and from the same in q8_0, into two formats.
template <class Evict, class Keys, class Values, int D, int Threads>
void into_formats(typename Evict::params const& p = {}, kvs::state_of<Keys> state = {}) {
  CAPTURE(Keys::name, Values::name, D, Threads);
  auto c = of_few_bits<D>(3);
  auto const made = planned<Threads>(c.layer());
  index const rows = made.plan.count(0) + 1;
  auto const both = [&](auto const& layer) {
    stored<Keys, D> keys[2] = {stored<Keys, D>(heads * rows), stored<Keys, D>(heads * rows)};
    stored<Values, D> values[2] = {stored<Values, D>(heads * rows), stored<Values, D>(heads * rows)};
    both_merge<Evict, Threads>(made.plan, layer, p, [&](int side) {
      return kvs::kv_layer{keys[side].view(rows, state), values[side].view(rows)};
    });
    CHECK(keys[0] == keys[1]);
    CHECK(values[0] == values[1]);
  };
  both(c.layer());
  stored<enc::q8_0, D> keys(heads * tokens), values(heads * tokens);
  fill<enc::q8_0, D>(c.keys, keys.data());
  fill<enc::q8_0, D>(c.values, values.data());
  both(kvs::kv_layer{keys.view(tokens), values.view(tokens)});
}
}  // namespace

TEST_CASE("merging kernels: into encoded rows", "[device][evict]") {
  using enc::rotated, enc::bits;
  into_formats<evict::merge_nearest, enc::q8_0, enc::plain<float>, 64, 32>();
  if (race_check) return into_formats<evict::merge_runs, rotated<bits<4>>, enc::int8_row, 64, 64>();
  into_formats<evict::merge_nearest, rotated<bits<8>>, rotated<bits<4>>, 128, 64>();
  into_formats<evict::merge_on_evict, enc::int8_row, enc::q8_0, 64, 128>();
  into_formats<evict::look_m_pivot, enc::plain<kvs::f16>, enc::q8_0, 96, 64>();
  into_formats<evict::d2o_merge, enc::q8_0, enc::q8_0, 64, 64>();
  into_formats<evict::merge_runs, enc::q8_0, rotated<enc::int8_row>, 512, 64>();
  kvs::cs::uint64_t const mask = 0x0ff0f0f00ff0f0f0u;
  into_formats<evict::merge_nearest, enc::kept_channels<32, enc::q8_0>, enc::q8_0, 64, 64>({}, {&mask, 1, 1, nullptr});
}

TEST_CASE("merging kernels: one side encoded, and encoded rows into floats", "[device][evict]") {
  constexpr int D = 64;
  auto c = of_few_bits<D>(5);
  auto const made = planned<64>(c.layer());
  int const rows = made.plan.count(0) + 1;
  stored<enc::q8_0, D> keys[2] = {stored<enc::q8_0, D>(heads * rows), stored<enc::q8_0, D>(heads * rows)};
  tensor<float, D> values[2] = {{heads, rows, 7}, {heads, rows, 7}}, plain[2] = {{heads, rows, 8}, {heads, rows, 8}};
  auto const alike = [](tensor<float, D> const(&x)[2]) {
    return std::memcmp(x[0].memory.data(), x[1].memory.data(), x[0].memory.size() * 64) == 0;
  };
  both_merge<evict::merge_nearest, 64>(
      made.plan, c.layer(), {}, [&](int side) { return kvs::kv_layer{keys[side].view(rows), values[side].view()}; });
  CHECK(keys[0] == keys[1]);
  CHECK(alike(values));
  stored<enc::q8_0, D> k(heads * tokens), v(heads * tokens);
  fill<enc::q8_0, D>(c.keys, k.data());
  fill<enc::q8_0, D>(c.values, v.data());
  kvs::kv_layer const layer{k.view(tokens), v.view(tokens)};
  auto const floats = [&](int side) { return kvs::kv_layer{plain[side].view(), values[side].view()}; };
  both_merge<evict::merge_nearest, 64>(made.plan, layer, {}, floats);
  CHECK((alike(plain) && alike(values)));
  both_merge<evict::cam, 64>(made.plan, layer, {.candidates = 20, .followers = 6, .drawn = false}, floats);
  CHECK((alike(plain) && alike(values)));
  both_merge<evict::cam_prefill, 64>(made.plan, layer, {.start = 0.1, .window = 9, .drawn = false}, floats);
  CHECK((alike(plain) && alike(values)));
}

namespace {
/// Memory of a pool, twice, and views of it with one table or one for each head.
template <int D>
struct pools {
  static constexpr int P = 16, pages = 24;
  std::vector<workspace_line> keys[2], values[2];
  std::vector<int> table, first{0, 10, 20}, length{160, 160};
  pools() {
    for (int side = 0; side < 2; ++side) {
      keys[side].resize(heads * pages * P * D * sizeof(float) / 64);
      std::memset(static_cast<void*>(keys[side].data()), 0x3c, keys[side].size() * 64);
      values[side] = keys[side];
    }
    for (int i = 0; i < 20; ++i) table.push_back((7 * i + 2) % pages);
  }
  auto shared(int side) {
    kvs::page_pool_view const pool{pages, {heads * P * D, P * D, D}};
    auto const view = [&](std::vector<workspace_line>& m) {
      return kvs::make_paged<P, D>(reinterpret_cast<float*>(m.data()), heads, 160, pool, {table.data(), 10});
    };
    return kvs::kv_layer{view(keys[side]), view(values[side])};
  }
  auto apart(int side) {
    kvs::page_pool_view const pool{pages, {P * D, 0, D}};
    auto const view = [&](std::vector<workspace_line>& m) {
      return kvs::make_ragged_paged<P, D>(reinterpret_cast<float*>(m.data()), heads, pool,
                                          {table.data(), first.data(), length.data(), 160});
    };
    return kvs::kv_layer{view(keys[side]), view(values[side])};
  }
  bool alike() const {
    auto const same = [](auto const& x) { return std::memcmp(x[0].data(), x[1].data(), x[0].size() * 64) == 0; };
    return same(keys) && same(values);
  }
};
template <class Evict, int D, int Threads>
void into_pages(typename Evict::params const& p = {}) {
  auto c = of_few_bits<D>(4);
  auto const made = planned<Threads>(c.layer());
  pools<D> shared, apart;
  both_merge<Evict, Threads>(made.plan, c.layer(), p, [&](int side) { return shared.shared(side); });
  CHECK(shared.alike());
  both_merge<Evict, Threads>(made.plan, c.layer(), p, [&](int side) { return apart.apart(side); });
  CHECK(apart.alike());
}
}  // namespace

TEST_CASE("merging kernels: into pages", "[device][evict][pages]") {
  into_pages<evict::merge_nearest, 64, 64>();
  if (race_check) return into_pages<evict::merge_nearest, 64, 32>();
  into_pages<evict::d2o_merge, 80, 32>();
  into_pages<evict::zero_merge, 64, 64>({.residual = 9});
  into_pages<evict::cam, 64, 64>({.candidates = 20, .followers = 6, .drawn = false});
  into_pages<evict::cam_prefill, 64, 64>({.start = 0.1, .window = 9, .drawn = false});
}

TEST_CASE("merging kernels: pages that the pool does not have, and tables that are too short", "[device][pages]") {
  constexpr int D = 64;
  using C = kvs::random<evict::merge_nearest>;
  auto c = of_few_bits<D>(4);
  auto const made = planned<64>(c.layer());
  REQUIRE(made.plan.count(0) > 16);
  pools<D> memory;
  memory.table[1] = 1 << 20;   // of head 0
  memory.first = {0, 10, 11};  // head 1 has one page
  auto const target = memory.apart(0);
  using target_type = std::remove_cvref_t<decltype(target)>;
  std::vector const from{c.layer()};
  using layer = std::remove_cvref_t<decltype(from[0])>;
  emulated_device<64> const on;
  C::params const params{};
  kvs::device::merge_call<C, emulated_device<64>, kvs::token_plan, layer> const call(on, made.plan, {from.data(), 1},
                                                                                     params.evict);
  support::workspace room(call.bytes());
  REQUIRE(call.run(span<target_type const>(&target, 1), room.span(), {}));
  for (int page = 0; page < pools<D>::pages; ++page) {
    bool const written =
        std::memcmp(reinterpret_cast<float*>(memory.keys[0].data()) + page * 16 * D,
                    reinterpret_cast<float*>(memory.keys[1].data()) + page * 16 * D, sizeof(float) * 16 * D) != 0;
    CHECK(written == (page == memory.table[0] || page == memory.table[10] ||
                      (made.plan.count(0) > 32 && page == memory.table[2])));
  }
}
}  // namespace merge_stored_tests
