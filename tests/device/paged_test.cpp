// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans and compaction of caches in pages, on emulated blocks: bit for bit what the same rows in dense memory give, and
// nothing outside the pool whatever a table says.
#include <climits>
#include <kvsieve/device/call/count_absent_pages.hpp>

#include "emulated_plan.hpp"
#include "page_pool.hpp"
#include "refusal.hpp"

using namespace kvsieve_test;

namespace {
constexpr int P = 16;
using support::page_order;

/// Two sequences of different lengths, dense and in one pool.
template <class T, int D>
struct both {
  cache<T, D> a, b;
  support::page_pool<T, P, D> pool;

  both(int heads, int a_tokens, int b_tokens, page_order order)
      : a(heads, a_tokens, 1), b(heads, b_tokens, 2), pool(heads, {a_tokens, b_tokens}, order, 7) {
    for (T& x : pool.memory) x = kvs::from_float<T>(not_a_number);
    pool.take(0, a.layer());
    pool.take(1, b.layer());
  }
  auto dense() { return std::vector{a.layer(), b.layer()}; }
  auto paged() { return std::vector{pool.layer(0), pool.layer(1)}; }
};
template <class Layer>
kvs::kv_group<Layer> group_of(std::vector<Layer> const& layers) {
  return {layers.data(), layers.size()};
}

template <class Plan>
void same_plan(Plan const& got, Plan const& want) {
  for (int v = 0; v < want.views; ++v)
    for (int h = 0; h < want.heads; ++h) {
      CAPTURE(v, h);
      CHECK(kept(got, v, h) == kept(want, v, h));
      auto const x = got.scores(v, h), y = want.scores(v, h);
      REQUIRE(x.size() == y.size());
      CHECK(std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0);
    }
}

template <class C, class T, int D, int Threads = 64>
void check_plan(page_order order, typename C::params const& p) {
  both<T, D> caches(2, 90, 41, order);
  auto const dense = caches.dense();
  auto const paged = caches.paged();
  if constexpr (C::observes_queries) {
    tensor<T, D> qa(4, 8, 3), qb(4, 8, 4);
    std::vector const queries{qa.view(), qb.view()};
    same_plan(emulated_plan<C, Threads>(paged, p, queries).plan, emulated_plan<C, Threads>(dense, p, queries).plan);
  } else {
    same_plan(emulated_plan<C, Threads>(paged, p).plan, emulated_plan<C, Threads>(dense, p).plan);
  }
}
}  // namespace

TEST_CASE("paged kernels: plans are those of dense rows, bit for bit", "[device][plan][pages]") {
  using P = page_order;
  check_plan<kvs::key_diff<>, float, 64>(P::nhd, {.budget = {.keep = 0.4}, .select = {.sink = 2, .recent = 3}});
  check_plan<kvs::key_diff<>, kvs::f16, 80, 32>(P::hnd_packed, {.budget = {.keep = 0.4}});
  check_plan<kvs::lag_kv<>, kvs::bf16, 64>(P::halves, {.score = {.lag = 16}, .budget = {.keep = 0.5}});
  check_plan<kvs::snap_kv<>, kvs::bf16, 64>(P::hnd, {.score = {.window = 8}, .budget = {.keep = 0.5}});
  check_plan<kvs::snap_kv<kvs::aggregate::max>, float, 64>(P::nhd_packed,
                                                           {.score = {.window = 8}, .budget = {.keep = 0.5}});
}

TEST_CASE("paged kernels: kept rows move to the front of the table's order", "[device][evict][pages]") {
  using strategy = kvs::random<>;
  for (page_order const order : {page_order::nhd, page_order::hnd_packed, page_order::halves}) {
    both<kvs::bf16, 64> caches(2, 90, 41, order);
    auto const dense = caches.dense();
    auto const paged = caches.paged();
    auto const made = emulated_plan<strategy, 64>(dense, {.budget = {.keep = 0.4}});
    emulated_device<64> const on;

    // Beside, into dense rows.
    cache<kvs::bf16, 64> to_a(2, made.plan.count(0)), to_b(2, made.plan.count(1)), want_a = to_a, want_b = to_b;
    std::vector const to{to_a.layer(), to_b.layer()}, want{want_a.layer(), want_b.layer()};
    REQUIRE(kvs::device::copy_kept<strategy>(on, made.plan, group_of(paged), group_of(to)));
    REQUIRE(kvs::device::copy_kept<strategy>(on, made.plan, group_of(dense), group_of(want)));
    auto const same = [](auto& x, auto& y) {
      return std::memcmp(x.memory.data(), y.memory.data(), x.memory.size() * 64) == 0;
    };
    CHECK(same(to_a.keys, want_a.keys));
    CHECK(same(to_b.values, want_b.values));

    // In place: what is behind the kept rows, and pages of nobody, keep what they hold.
    both<kvs::bf16, 64> expected(2, 90, 41, order);
    for (int v = 0; v < 2; ++v) {
      auto const rows = expected.paged()[static_cast<std::size_t>(v)];
      auto const& from = want[static_cast<std::size_t>(v)];
      for (int h = 0; h < 2; ++h)
        for (int i = 0; i < made.plan.count(v, h); ++i)
          for (int d = 0; d < 64; ++d) {
            rows.keys(h, i, d) = from.keys(h, i, d);
            rows.values(h, i, d) = from.values(h, i, d);
          }
    }
    REQUIRE(kvs::device::move_kept<strategy>(on, made.plan, group_of(paged)));
    CHECK(std::memcmp(caches.pool.memory.data(), expected.pool.memory.data(),
                      caches.pool.memory.size() * sizeof(kvs::bf16)) == 0);
  }
}

TEST_CASE("paged kernels: a corrupt table leads nowhere else and is counted", "[device][pages]") {
  using strategy = kvs::key_diff<>;
  both<float, 64> caches(2, 90, 41, page_order::nhd);
  auto& table = caches.pool.tables[0];
  std::vector<int> const good = table;
  table[1] = -1;
  table[2] = static_cast<int>(caches.pool.pool.pages);
  table[4] = INT_MIN;
  auto const paged = caches.paged();
  emulated_device<64> const on;
  unsigned absent = 5;
  REQUIRE(kvs::device::count_absent(on, group_of(paged), &absent));
  CHECK(absent == 5 + 2 * 3);  // of keys and of values

  // Planned and applied all the same: only pages that the table names are written, wherever the rows come from.
  auto const before = caches.pool.memory;
  auto const made = emulated_plan<strategy, 64>(paged, {.budget = {.keep = 0.6}});
  std::vector<int> const other = caches.pool.tables[1];
  REQUIRE(kvs::device::move_kept<strategy>(on, made.plan, group_of(paged)));
  auto const page = static_cast<std::size_t>(caches.pool.pool.stride.page);
  int touched = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    int const own = static_cast<int>(i % (before.size() / 2) / page);
    bool const named = std::find(table.begin(), table.end(), own) != table.end() ||
                       std::find(other.begin(), other.end(), own) != other.end();
    touched += !named && std::memcmp(&before[i], &caches.pool.memory[i], sizeof(float)) != 0 ? 1 : 0;
  }
  CHECK(touched == 0);
}

TEST_CASE("paged kernels: tables of heads that say too much are counted", "[device][pages]") {
  std::vector<float> memory(4 * P * 64);
  int const list[] = {0, 9, 1, 2}, first[] = {0, 2, 4};
  int length[] = {20, 33};  // of two pages
  kvs::page_pool_view const pool{4, {P * 64, 0, 64}};
  auto const rows = kvs::make_ragged_paged<P, 64>(memory.data(), 2, pool, {list, first, length, 40});
  kvs::kv_layer const layer{rows, rows};
  emulated_device<32> const on;
  unsigned absent = 0;
  std::vector const layers{layer};
  REQUIRE(kvs::device::count_absent(on, group_of(layers), &absent));
  CHECK(absent == 2 * 2);
  length[1] = -1;
  REQUIRE(kvs::device::count_absent(on, group_of(layers), &absent));
  CHECK(absent == 4 + 2 * 2);
  support::check_refused(kvs::device::count_absent(on, group_of(layers), static_cast<unsigned*>(nullptr)),
                         kvs::errc::bad_pointer, {"absent", "null"});
}

TEST_CASE("paged kernels: what is refused before a launch", "[device][pages]") {
  using strategy = kvs::key_diff<>;
  constexpr std::ptrdiff_t apart = 4 * P * 64 + 4;  // values behind keys
  std::vector<float> memory(2 * apart);
  int const table[] = {0, 1, 2};
  auto const plan = [&](float* data, kvs::page_pool_view const& pool, kvs::page_table const& pages) {
    auto const rows = [&](float* from) { return kvs::make_paged<P, 64>(from, 1, 40, pool, pages); };
    std::vector const layers{kvs::kv_layer{rows(data), rows(data == nullptr ? data : data + apart)}};
    int launches = 0;
    emulated_device<32> const on{&launches};
    strategy::params const p{};
    kvs::device::planner<strategy, emulated_device<32>, std::remove_cvref_t<decltype(layers[0])>,
                         kvs::device::no_queries>
        planner(on, group_of(layers), {}, p);
    workspace_memory room(planner.bytes());
    kvs::status const s = planner.run(room.get()).state;
    CHECK((s || launches == 0));
    kvs::token_plan made;
    made.views = made.heads = 1;
    int const tokens = 40;
    made.logical_tokens = &tokens;
    kvs::index const offset[] = {0, 1};
    made.offset = offset;
    int const list[] = {3};
    made.list = list;
    if (!s && s.argument == std::string("keys")) {
      kvs::status const moved = kvs::device::move_kept<strategy>(on, made, group_of(layers));
      CHECK((moved || launches == 0));
    }
    return s;
  };
  kvs::page_pool_view const pool{4, {P * 64, 64, 64}};
  using kvs::errc;
  CHECK(plan(memory.data(), pool, {table, 3}));
  support::check_refused(plan(nullptr, pool, {table, 3}), errc::bad_pointer, {"keys", "null"});
  support::check_refused(plan(memory.data() + 1, pool, {table, 3}), errc::bad_pointer, {"keys is 4", "16"});
  support::check_refused(plan(memory.data(), pool, {nullptr, 3}), errc::bad_pointer, {"keys", "table"});
  support::check_refused(plan(memory.data(), pool, {table, 2}), errc::bad_shape, {"keys is 2", "3"});
  support::check_refused(plan(memory.data(), {0, pool.stride}, {table, 3}), errc::bad_shape, {"keys is 0", "pages"});
  support::check_refused(plan(memory.data(), {4, {P * 64, 64, 66}}, {table, 3}), errc::bad_shape, {"keys is 66", "4"});
  support::check_refused(plan(memory.data(), {-4, pool.stride}, {table, 3}), errc::bad_shape, {"keys is -4"});
}
