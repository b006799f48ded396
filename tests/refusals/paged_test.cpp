// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Tables of pages that must not be used, or not be written: the code, the argument and both values, and nothing
// written. Hostile tables are refused or give what a plain loop gives.
#include <kvsieve/core/paged.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/store/page_pool.hpp>

#include <catch2/catch_all.hpp>

#include "page_pool.hpp"
#include "planned.hpp"
#include "raw_bits.hpp"
#include "refusal.hpp"

namespace paged_refusals {
namespace {
using kvsieve::errc, kvsieve::index, kvsieve::status;
namespace host = kvsieve::host;
constexpr int P = 16, D = 16;
host::on const on;

// 40 tokens of two heads in pages 3, 0 and 2 of 5, of which 0 to 9 and 20 to 29 stay.
struct setting {
  std::vector<int> table{3, 0, 2}, references = std::vector<int>(5, 1);
  kvsieve::page_pool_view pool{5, kvsieve::hnd_pages(P, 2, D)};
  std::vector<float> keys, values;
  std::vector<int> list;
  index offset[3] = {0, 20, 40};
  int tokens[2] = {40, 40};
  kvsieve::token_plan plan;

  setting() : keys(5 * 2 * P * D), values(keys.size()) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      keys[i] = static_cast<float>(i);
      values[i] = -static_cast<float>(i);
    }
    for (int h = 0; h < 2; ++h)
      for (int i = 0; i < 20; ++i) list.push_back(i < 10 ? i : i + 10);
    plan.views = 1;
    plan.heads = 2;
    plan.logical_tokens = tokens;
    plan.offset = offset;
    plan.list = list.data();
  }
  [[nodiscard]] auto view(std::vector<float>& memory, index entries = 3) {
    return kvsieve::make_paged<P, D>(memory.data(), 2, 40, pool, {table.data(), entries});
  }
  [[nodiscard]] auto layer() { return kvsieve::kv_layer{view(keys), view(values)}; }
  [[nodiscard]] status apply() { return kvsieve::apply<kvsieve::random<>>(on, plan, layer()); }
};
// Refused in place, and by attention where `reading`; nothing written.
void refused(setting& s, errc code, std::vector<std::string> const& parts, bool reading = false) {
  auto const keys = s.keys, values = s.values;
  support::check_refused(s.apply(), code, parts);
  std::vector<float> q(2 * D), out(2 * D, 9.0f);
  auto const query = kvsieve::make_rows<D>(q.data(), 2, 1);
  support::workspace memory(kvsieve::attend_workspace_bytes(on, query, s.layer()));
  auto const attended = kvsieve::attend(on, query, s.layer(), kvsieve::make_rows<D>(out.data(), 2, 1), memory.span());
  if (reading) {
    support::check_refused(attended, code, parts);
    CHECK(out == std::vector<float>(2 * D, 9.0f));
  } else {
    CHECK(attended);
  }
  CHECK(s.keys == keys);
  CHECK(s.values == values);
}
}  // namespace

TEST_CASE("paged: tables that are not there, too short, or of pages outside the pool are refused") {
  setting s;
  s.table[1] = 5;
  refused(s, errc::bad_shape, {"keys is 5", "page", "less than", "5"}, true);
  s.table[1] = -1;
  refused(s, errc::bad_shape, {"keys is -1", "at least 0", "5"}, true);
  setting t;
  kvsieve::kv_layer const shorter{t.view(t.keys, 2), t.view(t.values)};
  support::check_refused(kvsieve::apply<kvsieve::random<>>(on, t.plan, shorter), errc::bad_shape,
                         {"keys is 2", "entries", "3"});
  kvsieve::kv_layer const none{t.view(t.keys), kvsieve::make_paged<P, D>(t.values.data(), 2, 40, t.pool, {nullptr, 3})};
  support::check_refused(kvsieve::apply<kvsieve::random<>>(on, t.plan, none), errc::bad_pointer, {"values", "table"});
  t.pool.pages = -1;
  refused(t, errc::bad_shape, {"keys is -1", "pages of a pool"}, true);
  setting u;
  u.pool.stride.token = -D;
  refused(u, errc::bad_shape, {"keys is -16", "token stride"}, true);
  u.pool.stride.token = D;
  u.pool.stride.page = index{1} << 60;
  refused(u, errc::bad_shape, {"keys", "page stride"}, true);
}

TEST_CASE("paged: tables with a page twice, and rows that overlap, are read and not written") {
  setting s;
  s.table[2] = 3;
  refused(s, errc::overlap, {"keys is 3", "twice", "entry 2"});
  setting t;
  t.pool.stride.page = 2 * P * D - D;
  refused(t, errc::overlap, {"keys is 496", "page stride", "16"});
  setting u;
  u.pool.stride.head = 0;
  refused(u, errc::overlap, {"keys is 512", "page stride"});
}

TEST_CASE("paged: pages that other tables name are copied first, those before the first moved row may stay shared") {
  setting s;
  s.pool.references = s.references.data();
  s.references[2] = 2;  // its rows move, none of them into it
  s.references[3] = 7;
  refused(s, errc::shared_page, {"keys is 3", "copy it first", "7"});
  s.references[3] = 1;
  s.references[0] = 2;
  refused(s, errc::shared_page, {"keys is 0", "copy it first", "2"});
  s.references[0] = 0;
  refused(s, errc::bad_params, {"keys is 0", "nobody", "0"});
  s.references[0] = 1;
  REQUIRE(s.apply());
  setting t;  // the first page stays as it is
  t.pool.references = t.references.data();
  t.references[3] = 2;
  for (int i = 0; i < 40; ++i) t.list[static_cast<std::size_t>(i)] = i % 20 < 16 ? i % 20 : i % 20 + 20;
  auto const before = t.keys;
  REQUIRE(t.apply());
  auto const old = t.keys;
  for (std::size_t i = 0; i < 2 * P * D; ++i) REQUIRE(before[3 * 2 * P * D + i] == old[3 * 2 * P * D + i]);
}

TEST_CASE("paged: a target's pages are all its own; caches and targets that share a page are refused") {
  setting s, to;
  to.pool.references = to.references.data();
  to.references[0] = 2;
  auto const apply = [&](auto const& target) {
    return kvsieve::apply<kvsieve::random<>>(on, s.plan, s.layer(), target);
  };
  support::check_refused(apply(to.layer()), errc::shared_page, {"to.keys is 0", "2"});
  to.references[0] = 1;
  CHECK(apply(to.layer()));
  to.table = {1, 1, 4};
  support::check_refused(apply(to.layer()), errc::overlap, {"to.keys is 1", "entry 1"});
  int const own[] = {1, 4}, shared[] = {1, 2};
  auto const in_pool = [&](int const* table) {
    return kvsieve::kv_layer{kvsieve::make_paged<P, D>(s.keys.data(), 2, 20, s.pool, {table, 2}),
                             kvsieve::make_paged<P, D>(s.values.data(), 2, 20, s.pool, {table, 2})};
  };
  support::check_refused(apply(in_pool(shared)), errc::overlap, {"to.keys"});
  CHECK(apply(in_pool(own)));
  // Two sequences of one call.
  setting two;
  two.plan.views = 2;
  index const offset[] = {0, 20, 40, 60, 80};
  two.plan.offset = offset;
  auto list = two.list;
  list.insert(list.end(), two.list.begin(), two.list.end());
  two.plan.list = list.data();
  int const apart[] = {1, 4, 0};
  auto const second = [&](std::vector<float>& m) {
    return kvsieve::make_paged<P, D>(m.data(), 2, 20, two.pool, {apart, 3});
  };
  int const tokens[] = {40, 20};
  two.plan.logical_tokens = tokens;
  for (std::size_t i = 40; i < 80; ++i) list[i] = static_cast<int>(i % 20);
  std::vector const views{two.layer(), kvsieve::kv_layer{second(two.keys), second(two.values)}};
  CHECK(kvsieve::apply<kvsieve::random<>>(on, two.plan, kvsieve::cs::span(views.data(), 2)));
  two.table[2] = 4;
  auto const keys = two.keys;
  support::check_refused(kvsieve::apply<kvsieve::random<>>(on, two.plan, kvsieve::cs::span(views.data(), 2)),
                         errc::overlap, {"keys"});
  CHECK(two.keys == keys);
}

TEST_CASE("paged: tables of heads that do not fit are refused") {
  std::vector<float> memory(6 * P * D);
  int list[] = {0, 1, 2, 3, 4}, first[] = {0, 3, 5}, length[] = {40, 20};
  kvsieve::page_pool_view pool{6, {P * D, 0, D}};
  auto const check = [&] {
    auto const v = kvsieve::make_ragged_paged<P, D>(memory.data(), 2, pool, {list, first, length});
    if (auto const s = kvsieve::check::readable(v, "keys", 0); !s) return s;
    return kvsieve::check::writable(
        v, "keys", 0, [](index) { return index{0}; }, [&](index h) { return index{length[h]}; });
  };
  CHECK(check());
  length[1] = 33;
  support::check_refused(check(), errc::bad_shape, {"keys is 2", "entries", "3"});
  length[1] = -1;
  support::check_refused(check(), errc::bad_shape, {"keys is -1", "tokens of a head"});
  length[1] = 20;
  first[1] = 6;
  support::check_refused(check(), errc::bad_shape, {"keys is 5", "offset", "6"});
  first[1] = 3;
  list[4] = 6;
  support::check_refused(check(), errc::bad_shape, {"keys is 6", "page", "6"});
  list[4] = 0;  // of the first head
  support::check_refused(check(), errc::overlap, {"keys is 0", "entry 4"});
  list[4] = 4;
  pool.stride.page = P * D - 1;
  support::check_refused(check(), errc::overlap, {"keys is 255", "page stride"});
}

TEST_CASE("paged: views of heads meet where they share a page, and where rows of their pages overlap") {
  std::vector<float> memory(12 * P * D);
  int const own[] = {0, 1, 2}, others[] = {3, 4, 5}, shared[] = {3, 4, 2}, first[] = {0, 2, 3}, length[] = {32, 16};
  kvsieve::page_pool_view const packed{6, {2 * P * D, 0, 2 * D}};
  auto const view = [&](index behind, int const* list) {
    return kvsieve::make_ragged_paged<P, D>(memory.data() + behind, 2, packed, {list, first, length});
  };
  using kvsieve::check::rows_meet;
  CHECK(!rows_meet(view(0, own), 32, view(0, others), 32));
  CHECK(rows_meet(view(0, own), 32, view(0, shared), 32));
  CHECK(!rows_meet(view(0, own), 32, view(D, own), 32));  // keys and values of each row
  CHECK(rows_meet(view(0, own), 32, view(D - 1, own), 32));
  CHECK(rows_meet(view(0, own), 32, view(1, own), 32));
  CHECK(!rows_meet(view(0, own), 32, view(1, others), 32));
  // A pool that begins a page later in the same memory: page p of one is page p + 1 of the other.
  int const before[] = {0}, same[] = {1}, from[] = {0, 1}, one[] = {16};
  auto const head = [&](index behind, int const* list) {
    return kvsieve::make_ragged_paged<P, D>(memory.data() + behind, 1, packed, {list, from, one});
  };
  CHECK(rows_meet(head(2 * P * D, before), 16, head(0, same), 16));
  CHECK(!rows_meet(head(2 * P * D, same), 16, head(0, same), 16));
}

TEST_CASE("paged: hostile tables and strides are refused, or give what a plain loop gives") {
  int outcomes[3] = {};  // refused, read, read and written
  CHECK(support::holds("paged: hostile tables", 400, [&] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    auto const below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    int const heads = 1 + below(3), pages = 1 + below(8), n = 1 + below(100);
    kvsieve::page_pool_view pool{pages,
                                 below(2) == 0 ? kvsieve::nhd_pages(P, heads, D) : kvsieve::hnd_pages(P, heads, D)};
    if (below(3) == 0) {
      index* const which[] = {&pool.stride.page, &pool.stride.head, &pool.stride.token};
      index const to[] = {0, 1, D - 1, D, D + 1, 2 * D, P * D, P * D - 1, P * D * heads - D, -1};
      *which[below(3)] = to[below(10)];
    }
    index const size =
        (pages - 1) * pool.stride.page + (heads - 1) * pool.stride.head + (P - 1) * pool.stride.token + D;
    std::vector<float> memory[2];
    for (auto& m : memory) {
      m.resize(static_cast<std::size_t>(size > 0 ? size : 1));
      for (float& x : m) x = static_cast<float>(below(1 << 20));
    }
    bool const ragged = below(2) == 0;
    int const tables = ragged ? heads : 1;
    std::vector<int> list, first{0}, length;
    for (int t = 0; t < tables; ++t) {
      int const tokens = ragged ? below(n + 1) : n, entries = (tokens + P - 1) / P + (below(8) == 0 ? below(3) - 1 : 0);
      std::vector<int> ids(static_cast<std::size_t>(pages));
      std::iota(ids.begin(), ids.end(), 0);
      std::shuffle(ids.begin(), ids.end(), random);
      for (int i = 0; i < entries; ++i) list.push_back(i < pages ? ids[static_cast<std::size_t>(i)] : below(pages));
      if (below(6) == 0 && !list.empty())
        list[static_cast<std::size_t>(below(static_cast<int>(list.size())))] = below(pages + 2) - 1;
      first.push_back(static_cast<int>(list.size()));
      length.push_back(tokens);
    }
    int const longest = *std::max_element(length.begin(), length.end());
    if (longest == 0) return;
    // Exactly as long as they say: a step too far is seen by the sanitizer.
    std::vector<int> kept;
    std::vector<index> offset{0};
    for (int h = 0; h < heads; ++h) {
      for (int i = 0; i < length[static_cast<std::size_t>(ragged ? h : 0)]; ++i)
        if (below(2) == 0) kept.push_back(i);
      offset.push_back(static_cast<index>(kept.size()));
    }
    kvsieve::token_plan plan;
    plan.views = 1;
    plan.heads = heads;
    plan.logical_tokens = &longest;
    plan.offset = offset.data();
    plan.list = kept.data();
    auto const check = [&](auto const& layer, auto const& at) {
      std::vector<float> const before[2] = {memory[0], memory[1]};
      // Reading first.
      std::vector<float> q(static_cast<std::size_t>(heads * D), 0.01f), out(q.size());
      auto const query = kvsieve::make_rows<D>(q.data(), heads, 1);
      support::workspace room(kvsieve::attend_workspace_bytes(on, query, layer));
      bool const read = static_cast<bool>(
          kvsieve::attend(on, query, layer, kvsieve::make_rows<D>(out.data(), heads, 1), room.span()));
      bool const wrote = static_cast<bool>(kvsieve::apply<kvsieve::random<>>(on, plan, layer));
      if (read) {  // what attention over copied rows gives
        std::vector<float> rows[2];
        std::vector<index> begin{0};
        for (int h = 0; h < heads; ++h) {
          int const tokens = length[static_cast<std::size_t>(ragged ? h : 0)];
          begin.push_back(begin.back() + tokens);
          for (int t = 0; t < tokens; ++t)
            for (int d = 0; d < D; ++d)
              for (int which = 0; which < 2; ++which)
                rows[which].push_back(before[which][static_cast<std::size_t>(at(h, t) + d)]);
        }
        kvsieve::kv_layer const copied{kvsieve::make_ragged<D>(rows[0].data(), heads, begin.data()),
                                       kvsieve::make_ragged<D>(rows[1].data(), heads, begin.data())};
        std::vector<float> want(q.size());
        support::workspace more(kvsieve::attend_workspace_bytes(on, query, copied));
        RC_ASSERT(static_cast<bool>(
            kvsieve::attend(on, query, copied, kvsieve::make_rows<D>(want.data(), heads, 1), more.span())));
        RC_ASSERT(out == want);
      }
      RC_ASSERT(read || !wrote);
      ++outcomes[wrote ? 2 : read ? 1 : 0];
      for (int which = 0; which < 2; ++which) {
        if (!wrote) RC_ASSERT(before[which] == memory[which]);
        for (int h = 0; wrote && h < heads; ++h)
          for (int i = 0; i < plan.count(0, h); ++i)
            for (int d = 0; d < D; ++d)
              RC_ASSERT(
                  memory[which][static_cast<std::size_t>(at(h, i) + d)] ==
                  before[which][static_cast<std::size_t>(at(h, plan.kept(0, h)[static_cast<std::size_t>(i)]) + d)]);
      }
    };
    auto const at = [&](int h, int t) {
      int const begin = ragged ? first[static_cast<std::size_t>(h)] : 0;
      return index{list[static_cast<std::size_t>(begin + t / P)]} * pool.stride.page + h * pool.stride.head +
             t % P * pool.stride.token;
    };
    if (ragged) {
      kvsieve::head_page_tables const t{list.data(), first.data(), length.data()};
      check(kvsieve::kv_layer{kvsieve::make_ragged_paged<P, D>(memory[0].data(), heads, pool, t),
                              kvsieve::make_ragged_paged<P, D>(memory[1].data(), heads, pool, t)},
            at);
    } else {
      kvsieve::page_table const t{list.data(), static_cast<index>(list.size())};
      check(kvsieve::kv_layer{kvsieve::make_paged<P, D>(memory[0].data(), heads, n, pool, t),
                              kvsieve::make_paged<P, D>(memory[1].data(), heads, n, pool, t)},
            at);
    }
  }));
  for (int const count : outcomes) CHECK(count >= 20);
}
}  // namespace paged_refusals
