// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Eviction in pages: whole pages dropped from the table, states that follow the rows, pages of each head, bytes.
#include <kvsieve/host/compact_state.hpp>
#include <kvsieve/store/drop_pages.hpp>
#include <kvsieve/store/page_pool.hpp>
#include <kvsieve/store/paged.hpp>

#include <catch2/catch_all.hpp>

#include "hand_made_plan.hpp"
#include "page_pool.hpp"
#include "planned.hpp"
#include "refusal.hpp"

namespace pages_tests {
namespace {
using kvsieve::errc;
namespace host = kvsieve::host;
namespace store = kvsieve::store;

std::vector<int> pages_of(int n, int page, double keep, std::mt19937& random) {
  std::vector<int> kept;
  for (int first = 0; first < n; first += page)
    if (static_cast<double>(random() % 1000) < 1000 * keep)
      for (int t = first; t < n && t < first + page; ++t) kept.push_back(t);
  return kept;
}
}  // namespace

TEST_CASE("pages: a selection of whole pages frees the others without a row being moved") {
  constexpr int P = 16, D = 64;
  using strategy = kvsieve::paged_eviction<kvsieve::store::paged<P>>;
  for (int const tokens : {200, 208, 17, 16, 5}) {
    support::layer<float, D> dense(2, 1, tokens, 1, support::layout::packed, support::content::normal, 7u);
    support::page_pool<float, P, D> pages(2, {tokens}, support::page_order::hnd, 3);
    pages.take(0, dense.const_view());
    host::on const on;
    strategy::params params{};
    params.budget.keep = 0.5;
    params.select.page = 32;
    support::workspace memory(kvsieve::workspace_bytes<strategy>(on, pages.const_layer(0), params));
    auto const plan = kvsieve::plan<strategy>(on, pages.const_layer(0), params, memory.span());
    REQUIRE(plan);
    auto const before = pages.memory;
    auto const old = pages.tables[0];
    std::vector<int> freed(old.size());
    auto const dropped = store::drop_pages<P>(plan, 0, pages.tables[0], freed);
    REQUIRE(dropped.state);
    CHECK(std::memcmp(before.data(), pages.memory.data(), before.size() * sizeof(float)) == 0);
    CHECK(dropped.kept == (plan.count() + P - 1) / P);
    CHECK(dropped.kept + dropped.dropped == static_cast<index>(old.size()));
    auto const left = kvsieve::first_tokens(pages.keys(0), plan.count());
    for (int h = 0; h < 2; ++h)
      for (int i = 0; i < plan.count(); ++i)
        for (int d = 0; d < D; ++d)
          REQUIRE(left(h, i, d) == dense.keys.get(h, plan.kept(0, h)[static_cast<std::size_t>(i)], d));
    // Every page is either kept or freed, once.
    std::vector<int> all(pages.tables[0].begin(), pages.tables[0].begin() + dropped.kept);
    all.insert(all.end(), freed.begin(), freed.begin() + dropped.dropped);
    auto sorted = old;
    std::sort(sorted.begin(), sorted.end());
    std::sort(all.begin(), all.end());
    CHECK(all == sorted);
  }
}

TEST_CASE("pages: dropped from the table of each head by itself") {
  constexpr int P = 16;
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    int const n = 1 + static_cast<int>(random() % 200);
    hand_made const m(n, {pages_of(n, P, 0.5, random), pages_of(n, P, 0.2, random)});
    for (int h = 0; h < 2; ++h) {
      std::vector<int> table(static_cast<std::size_t>((n + P - 1) / P)), freed(table.size());
      for (std::size_t i = 0; i < table.size(); ++i) table[i] = 100 + static_cast<int>(i);
      auto const d = store::drop_pages<P>(m.plan, 0, h, n, table, freed);
      REQUIRE(d.state);
      std::vector<int> want_kept, want_freed;
      for (int p = 0; p < (n + P - 1) / P; ++p) {
        auto const& l = m.lists[static_cast<std::size_t>(h)];
        bool const stays = std::find(l.begin(), l.end(), p * P) != l.end();
        (stays ? want_kept : want_freed).push_back(100 + p);
      }
      REQUIRE(std::vector<int>(table.begin(), table.begin() + d.kept) == want_kept);
      REQUIRE(std::vector<int>(freed.begin(), freed.begin() + d.dropped) == want_freed);
    }
  }
}

TEST_CASE("drop_pages refuses lists of rows, heads that differ, and tables that are too short") {
  constexpr int P = 16;
  std::vector<int> table{5, 6, 7}, freed(3);
  auto const unchanged = [&] { return table == std::vector<int>{5, 6, 7}; };
  auto const range = [](int a, int b) {
    std::vector<int> l;
    for (int t = a; t < b; ++t) l.push_back(t);
    return l;
  };
  auto const drop = [&](std::vector<std::vector<int>> kept, std::size_t entries = 3, std::size_t room = 3) {
    hand_made const m(40, std::move(kept));
    return store::drop_pages<P>(m.plan, 0, std::span(table).first(entries), std::span(freed).first(room)).state;
  };
  support::check_refused(drop({range(1, 17)}), errc::bad_plan, {"plan.kept is 1", "multiple", "16"});
  support::check_refused(drop({range(16, 31)}), errc::bad_plan, {"plan.kept is 16", "must be kept", "16"});
  support::check_refused(drop({range(32, 39)}), errc::bad_plan, {"plan.kept is 32", "must be kept", "8"});
  support::check_refused(drop({range(0, 16), range(16, 32)}), errc::bad_plan,
                         {"plan.kept is 16", "first one keeps", "0"});
  support::check_refused(drop({range(0, 16), range(0, 32)}), errc::bad_plan, {"plan.count is 32", "16"});
  support::check_refused(drop({range(0, 16)}, 2), errc::bad_shape, {"table is 2", "3"});
  support::check_refused(drop({range(0, 16)}, 3, 1), errc::bad_shape, {"freed is 1", "2"});
  CHECK(unchanged());
  CHECK(drop({range(32, 40)}));
  CHECK(table[0] == 7);
}

TEST_CASE("compact_state: numbers and structs of each token follow the rows") {
  struct pair {
    int position;
    float sum;
  };
  std::mt19937 random(2);
  for (int round = 0; round < 100; ++round) {
    int const n = 1 + static_cast<int>(random() % 90), heads = 1 + static_cast<int>(random() % 3);
    std::vector<std::vector<int>> lists;
    for (int h = 0; h < heads; ++h) lists.push_back(some_of(n, 0.5, random));
    hand_made const m(n, lists);
    std::vector<int> positions(static_cast<std::size_t>(heads * n));
    std::vector<unsigned char> codes(positions.size());
    std::vector<pair> pairs(positions.size());
    for (std::size_t i = 0; i < positions.size(); ++i) {
      positions[i] = static_cast<int>(i);
      codes[i] = static_cast<unsigned char>(random());
      pairs[i] = {static_cast<int>(i), 0.5f * static_cast<float>(i)};
    }
    auto const old = codes;
    using shape = kvsieve::cs::dextents<index, 2>;
    kvsieve::cs::mdspan<int, shape> const a(positions.data(), heads, n);
    kvsieve::cs::mdspan<unsigned char, shape> const b(codes.data(), heads, n);
    kvsieve::cs::mdspan<pair, shape> const c(pairs.data(), heads, n);
    auto const done = support::with_executor(
        round % 3, [&](auto const& on) { return kvsieve::compact_state(on, m.plan, 0, a, b, c); });
    REQUIRE(done);
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < m.plan.count(0, h); ++i) {
        int const from = h * n + m.lists[static_cast<std::size_t>(h)][static_cast<std::size_t>(i)];
        REQUIRE(a(h, i) == from);
        REQUIRE(b(h, i) == old[static_cast<std::size_t>(from)]);
        REQUIRE(c(h, i).position == from);
        REQUIRE(c(h, i).sum == 0.5f * static_cast<float>(from));
      }
    if (n < 2) continue;
    auto const before = positions;
    kvsieve::cs::mdspan<int, shape> const shorter(positions.data(), heads, n - 1), none(nullptr, heads, n),
        more(positions.data(), heads + 1, n / 2);
    host::on const on;
    support::check_refused(kvsieve::compact_state(on, m.plan, 0, a, shorter), errc::bad_shape,
                           {"state.tokens", std::to_string(n)});
    support::check_refused(kvsieve::compact_state(on, m.plan, 0, a, none), errc::bad_pointer, {"state", "null"});
    support::check_refused(kvsieve::compact_state(on, m.plan, 0, a, more), errc::bad_shape,
                           {"state.heads", std::to_string(heads)});
    support::check_refused(kvsieve::compact_state(on, m.plan, 1, a), errc::bad_params, {"view is 1", "1"});
    REQUIRE(positions == before);
  }
}

TEST_CASE("pages of each head: bytes, free pages, and compaction in place") {
  constexpr int P = 16, D = 64;
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    int const heads = 1 + static_cast<int>(random() % 4);
    std::vector<int> length, first{0}, list;
    std::vector<std::vector<int>> kept;
    for (int h = 0; h < heads; ++h) {
      length.push_back(random() % 4 == 0 ? 0 : static_cast<int>(random() % 150));
      first.push_back(first.back() + (length.back() + P - 1) / P);
      kept.push_back(some_of(length.back(), 0.4, random));
    }
    int const longest = *std::max_element(length.begin(), length.end());
    if (longest == 0) continue;
    list.resize(static_cast<std::size_t>(first.back()));
    std::iota(list.begin(), list.end(), 0);
    std::shuffle(list.begin(), list.end(), random);
    kvsieve::page_pool_view const pool{first.back(), {P * D, 0, D}};
    std::vector<float> keys(static_cast<std::size_t>(first.back() * P * D)), values = keys;
    for (float& x : keys) x = static_cast<float>(random() % 1000);
    for (float& x : values) x = static_cast<float>(random() % 1000);
    kvsieve::head_page_tables const tables{list.data(), first.data(), length.data()};
    auto const view = [&](float* data) { return kvsieve::make_ragged_paged<P, D>(data, heads, pool, tables); };
    kvsieve::kv_layer const layer{view(keys.data()), view(values.data())};
    CHECK(keys.size() * 8 + list.size() * 4 + first.size() * 4 + length.size() * 4 ==
          store::ragged_paged<P>::bytes(heads, first.back(), D * 4));
    hand_made const m(longest, kept);
    auto const old_keys = keys, old_values = values;
    REQUIRE(kvsieve::apply<kvsieve::random<>>(host::on{}, m.plan, layer));
    auto const old = view(const_cast<float*>(old_keys.data())), old_v = view(const_cast<float*>(old_values.data()));
    index pages = 0;
    for (int h = 0; h < heads; ++h) {
      auto const& l = kept[static_cast<std::size_t>(h)];
      for (std::size_t i = 0; i < l.size(); ++i)
        for (int d = 0; d < D; ++d) {
          REQUIRE(layer.keys(h, static_cast<index>(i), d) == old(h, l[i], d));
          REQUIRE(layer.values(h, static_cast<index>(i), d) == old_v(h, l[i], d));
        }
      auto const free = store::free_pages(m.plan, layer.keys, 0, h);
      index const stay = (static_cast<index>(l.size()) + P - 1) / P;
      REQUIRE(static_cast<index>(free.size()) ==
              first[static_cast<std::size_t>(h) + 1] - first[static_cast<std::size_t>(h)] - stay);
      if (!free.empty()) REQUIRE(free.data() == list.data() + first[static_cast<std::size_t>(h)] + stay);
      pages += stay;
    }
    CHECK(store::ragged_paged<P>::pages(m.plan) == pages);
  }
}

TEST_CASE("pages: bytes are those of pages and table") {
  using paged = store::paged<16>;
  for (int const tokens : {0, 1, 16, 17, 160}) {
    support::page_pool<kvsieve::bf16, 16, 64> const p(3, {tokens}, support::page_order::halves, 1, 0);
    CHECK(paged::bytes(3, tokens, 64 * 2) == p.memory.size() * 2 + p.tables[0].size() * sizeof(int));
  }
  STATIC_CHECK(kvsieve::key_norm<store::paged<16>>::uniformity_class == kvsieve::uniformity::U1);
  STATIC_CHECK(kvsieve::key_norm<kvsieve::budget::over_all, store::ragged_paged<16>>::uniformity_class ==
                   kvsieve::uniformity::U3 ||
               kvsieve::key_norm<kvsieve::budget::over_all, store::ragged_paged<16>>::uniformity_class ==
                   kvsieve::uniformity::F);
}
}  // namespace pages_tests
