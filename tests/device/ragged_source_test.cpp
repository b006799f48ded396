// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compaction of heads that have numbers of tokens of their own, packed or in pages: out of place, and in place.
#include <kvsieve/core/paged.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/host/evict/compactor.hpp>

#include "emulated_plan.hpp"

namespace ragged_source_tests {
using namespace kvsieve_test;
using kvs::index;
using strategy = kvs::random<>;
constexpr int P = 16, heads = 3;

namespace {
/// Heads of 70, 0 and 33 tokens, lists among them, in the way of the host.
struct own_lengths {
  std::vector<int> length{70, 0, 33}, tokens{70}, list;
  std::vector<index> offset{0}, rows{0}, score_offset{0};
  std::vector<int> pages, first{0};
  std::vector<float> score = std::vector<float>(heads * 80);
  explicit own_lengths(unsigned seed) {
    std::mt19937 random(seed);
    for (int const n : length) {
      for (int t = 0; t < n; ++t)
        if (random() % 2 == 0) list.push_back(t);
      offset.push_back(static_cast<index>(list.size()));
      rows.push_back(rows.back() + n);
      first.push_back(first.back() + (n + P - 1) / P);
    }
    pages.resize(static_cast<std::size_t>(first.back()));
    for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int>((3 * i + 4) % (pages.size() + 2));
  }
  [[nodiscard]] kvs::token_plan plan() const {
    kvs::token_plan p;
    p.views = 1;
    p.heads = heads;
    p.logical_tokens = tokens.data();
    p.offset = offset.data();
    p.device_offset = offset.data();
    p.list = list.data();
    p.score = const_cast<float*>(score.data());
    p.score_offset = score_offset.data();
    return p;
  }
  [[nodiscard]] kvs::head_page_tables tables() const { return {pages.data(), first.data(), length.data(), 70}; }
  [[nodiscard]] index pool_pages() const { return static_cast<index>(pages.size()) + 2; }
};
template <class T>
std::vector<workspace_line> random_memory(std::size_t elements, unsigned seed) {
  std::vector<workspace_line> memory(elements * sizeof(T) / 64 + 1);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  T* const at = reinterpret_cast<T*>(memory.data());
  for (std::size_t i = 0; i < elements; ++i) {
    if constexpr (std::is_same_v<T, kvs::byte>)
      at[i] = static_cast<kvs::byte>(random() % 120);  // of scales in f16 finite ones
    else
      at[i] = kvs::from_float<T>(normal(random));
  }
  return memory;
}
bool same(std::vector<workspace_line> const& a, std::vector<workspace_line> const& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(workspace_line)) == 0;
}

/// Both move the rows of a cache that view(element 0 of keys or values) shows: in place, and into dense rows of T.
template <class Element, class T, int D, int Threads, class View>
void same_bytes(own_lengths const& g, std::size_t elements, View const& view) {
  CAPTURE(D, Threads);
  auto const plan = g.plan();
  emulated_device<Threads> const on;
  kvs::host::on<> const inline_;
  auto keys = random_memory<Element>(elements, 1), values = random_memory<Element>(elements, 2);
  auto const layer_of = [&](auto& k, auto& v) {
    return std::vector{
        kvs::kv_layer{view(reinterpret_cast<Element*>(k.data())), view(reinterpret_cast<Element*>(v.data()))}};
  };
  auto const layers = layer_of(keys, values);
  using layer_type = typename decltype(layer_of(keys, values))::value_type;
  kvs::cs::span<layer_type const> const from(layers.data(), 1);

  tensor<T, D> to_keys(heads, 70, 3), to_values(heads, 70, 4), want_keys = to_keys, want_values = to_values;
  std::vector const to{kvs::kv_layer{to_keys.view(), to_values.view()}},
      want{kvs::kv_layer{want_keys.view(), want_values.view()}};
  using target_type = kvs::kv_layer<kvs::rows<T, D>, kvs::rows<T, D>>;
  REQUIRE(kvs::device::copy_kept<strategy>(on, plan, from, kvs::cs::span<target_type const>(to.data(), 1)));
  REQUIRE(kvs::host::compact(inline_, plan, from, kvs::cs::span<target_type const>(want.data(), 1)));
  auto const alike = [](auto& x, auto& y) {
    return std::memcmp(x.memory.data(), y.memory.data(), x.memory.size() * 64) == 0;
  };
  CHECK(alike(to_keys, want_keys));
  CHECK(alike(to_values, want_values));

  auto host_keys = keys, host_values = values;
  auto const others = layer_of(host_keys, host_values);
  REQUIRE(kvs::device::move_kept<strategy>(on, plan, from));
  REQUIRE(kvs::host::compact(inline_, plan, kvs::cs::span<layer_type const>(others.data(), 1)));
  CHECK(same(keys, host_keys));
  CHECK(same(values, host_values));
}
template <class T, int D, int Threads>
void elements(unsigned seed) {
  own_lengths const g(seed);
  same_bytes<T, T, D, Threads>(g, static_cast<std::size_t>(g.rows.back() * D),
                               [&](T* data) { return kvs::make_ragged<D>(data, heads, g.rows.data(), index{70}); });
  kvs::page_pool_view const own{g.pool_pages(), {P * D, 0, D}}, shared{g.pool_pages(), {heads * P * D, P * D, D}};
  for (auto const& pool : {own, shared})
    same_bytes<T, T, D, Threads>(g, static_cast<std::size_t>(g.pool_pages() * heads * P * D),
                                 [&](T* data) { return kvs::make_ragged_paged<P, D>(data, heads, pool, g.tables()); });
}
template <int D, int Threads>
void encoded(unsigned seed) {
  using codec = kvs::encode::q8_0;
  own_lengths const g(seed);
  constexpr auto bytes = static_cast<std::size_t>(codec::tile_bytes<D>);
  same_bytes<kvs::byte, kvs::f16, D, Threads>(g, static_cast<std::size_t>(g.rows.back()) * bytes, [&](kvs::byte* data) {
    return kvs::make_encoded_ragged<codec, D>(data, heads, g.rows.data(), index{70});
  });
  kvs::page_pool_view const own{g.pool_pages(), {P, 0, 1}};
  same_bytes<kvs::byte, kvs::f16, D, Threads>(
      g, static_cast<std::size_t>(g.pool_pages() * P) * bytes,
      [&](kvs::byte* data) { return kvs::make_encoded_ragged_paged<codec, P, D>(data, heads, own, g.tables()); });
}
}  // namespace

TEST_CASE("compaction of heads with lengths of their own: the bytes of the host", "[device][evict]") {
  elements<kvs::f16, 64, 64>(1);
  encoded<64, 32>(1);
  if (race_check) return;
  elements<float, 80, 32>(2);
  elements<kvs::bf16, 128, 128>(3);
  encoded<128, 64>(4);
}

TEST_CASE("compaction of heads with lengths of their own: lists and tables that say too much", "[device][pages]") {
  constexpr int D = 64;
  own_lengths g(7);
  // The list of the last head names rows that it does not have, and its table an unknown page.
  g.list.back() = 69;
  g.pages.back() = 1 << 20;
  int const entry = g.first[2] + (g.length[2] - 1) / P;
  REQUIRE(entry == static_cast<int>(g.pages.size()) - 1);
  auto const plan = g.plan();
  kvs::page_pool_view const pool{g.pool_pages(), {P * D, 0, D}};
  auto memory = random_memory<float>(static_cast<std::size_t>(g.pool_pages() * P * D), 9);
  auto const before = memory;
  auto others = memory;
  auto* const data = reinterpret_cast<float*>(memory.data());
  auto const view = kvs::make_ragged_paged<P, D>(data, heads, pool, g.tables());
  std::vector const layers{kvs::kv_layer{
      view, kvs::make_ragged_paged<P, D>(reinterpret_cast<float*>(others.data()), heads, pool, g.tables())}};
  using layer_type = std::remove_cvref_t<decltype(layers[0])>;
  emulated_device<64> const on;
  tensor<float, D> keys(heads, 70, 3), values(heads, 70, 4);
  std::vector const to{kvs::kv_layer{keys.view(), values.view()}};
  using target_type = std::remove_cvref_t<decltype(to[0])>;
  REQUIRE(kvs::device::copy_kept<strategy>(on, plan, kvs::kv_group<layer_type>(layers.data(), 1),
                                           kvs::kv_group<target_type>(to.data(), 1)));
  int const count = plan.count(0, 2);
  for (int i = 0; i < count; ++i) {
    int const t = plan.kept(0, 2)[static_cast<std::size_t>(i)];
    bool const there = t < 2 * P;
    for (int d = 0; d < D; ++d) CHECK(keys.at(2, i, d) == (there ? view(2, t, d) : 0.0f));
  }
  // In place nothing is written but pages that the tables name.
  REQUIRE(kvs::device::move_kept<strategy>(on, plan, kvs::kv_group<layer_type>(layers.data(), 1)));
  auto const* const old = reinterpret_cast<float const*>(before.data());
  for (index page = 0; page < g.pool_pages(); ++page) {
    bool named = false;
    for (int const id : g.pages) named = named || id == page;
    if (!named) CHECK(std::memcmp(data + page * P * D, old + page * P * D, sizeof(float) * P * D) == 0);
  }
}
}  // namespace ragged_source_tests
