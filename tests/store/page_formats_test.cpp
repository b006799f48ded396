// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Formats of rows in pages, parts in pages, and attention over some pages only.
#include <kvsieve/encode/q8_0.hpp>
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

// Floats of eight tokens together.
struct eight_rows {
  static constexpr char const* name = "eight_rows";
  static constexpr int tile_tokens = 8;
  static constexpr bool fits(int) { return true; }
  template <int D>
  static constexpr int tile_bytes = 8 * D * static_cast<int>(sizeof(float));
  template <int D>
  static float decode(kvsieve::byte const* tile, int token, int channel) {
    float x;
    std::memcpy(&x, tile + (token * D + channel) * static_cast<int>(sizeof x), sizeof x);
    return x;
  }
  template <int D>
  static void encode(float const* rows, kvsieve::byte* tile) {
    std::memcpy(tile, rows, tile_bytes<D>);
  }
};
}  // namespace

TEST_CASE("pages: encoded rows in pages are read and written as in one piece") {
  constexpr int P = 16, D = 64;
  using q8 = kvsieve::encode::q8_0;
  int const tokens = 75, heads = 2;
  support::layer<float, D> dense(heads, 2, tokens, 1, support::layout::packed, support::content::normal, 9u);
  auto const p = [&] {
    std::vector<support::layer<float, D>> one{dense};
    return support::make_plan<kvsieve::random<>>(0, one, {.budget = {.keep = 0.6}});
  }();
  REQUIRE(p.plan);
  int const count = p.plan.count();
  auto const bytes = [&](index rows) {
    return std::vector<kvsieve::byte>(static_cast<std::size_t>(kvsieve::encoded_bytes<q8, D>(rows)));
  };
  auto plain_keys = bytes(heads * count), plain_values = plain_keys;
  kvsieve::kv_layer const plain{kvsieve::make_encoded<q8, D>(plain_keys.data(), heads, count),
                                kvsieve::make_encoded<q8, D>(plain_values.data(), heads, count)};
  REQUIRE(kvsieve::apply<kvsieve::random<>>(host::on{}, p.plan, dense.const_view(), plain));
  int const table[] = {6, 2, 5, 0};
  for (bool const nhd : {false, true}) {
    kvsieve::page_pool_view const pool{7, nhd ? kvsieve::nhd_pages(P, heads, 1) : kvsieve::hnd_pages(P, heads, 1)};
    auto paged_keys = bytes(7 * P * heads), paged_values = paged_keys;
    auto const view = [&](auto& b) {
      return kvsieve::make_encoded_paged<q8, P, D>(b.data(), heads, count, pool, {table, 4});
    };
    kvsieve::kv_layer const paged{view(paged_keys), view(paged_values)};
    REQUIRE(kvsieve::apply<kvsieve::random<>>(host::on{}, p.plan, dense.const_view(), paged));
    for (int h = 0; h < heads; ++h)
      for (int t = 0; t < count; ++t)
        for (int d = 0; d < D; ++d) REQUIRE(float(paged.keys(h, t, d)) == float(plain.keys(h, t, d)));
    float out[2][4 * D] = {};
    for (int which = 0; which < 2; ++which) {
      host::on const on;
      auto const q = dense.queries.view();
      auto const o = kvsieve::make_rows<D>(out[which], 4, 1);
      auto const run = [&](auto const& layer) {
        support::workspace memory(kvsieve::attend_workspace_bytes(on, q, layer));
        return kvsieve::attend(on, q, layer, o, memory.span());
      };
      REQUIRE((which == 0 ? run(plain) : run(paged)));
    }
    CHECK(std::memcmp(out[0], out[1], sizeof out[0]) == 0);
    // in place, of encoded rows as they are
    std::mt19937 random(6);
    hand_made const half(count, {some_of(count, 0.5, random), some_of(count, 0.2, random)});
    REQUIRE(kvsieve::apply<kvsieve::random<>>(host::on{}, half.plan, paged));
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < half.plan.count(0, h); ++i)
        for (int d = 0; d < D; ++d)
          REQUIRE(float(paged.values(h, i, d)) ==
                  float(plain.values(h, half.plan.kept(0, h)[static_cast<std::size_t>(i)], d)));
    // strides that cut a row of the format
    auto m = paged.keys.mapping();
    m.pool.stride.token = D / 2;
    kvsieve::kv_layer const bad{decltype(paged.keys)(paged_keys.data(), m), paged.values};
    CHECK(kvsieve::apply<kvsieve::random<>>(host::on{}, half.plan, bad).code == errc::bad_shape);
  }
}

TEST_CASE("pages: formats that hold tokens together are written a tile at a time, never across pages") {
  constexpr int P = 16, D = 64, heads = 2;
  support::layer<float, D> dense(heads, 1, 90, 1, support::layout::packed, support::content::normal, 2u);
  std::mt19937 random(3);
  std::vector<std::vector<int>> lists;
  std::vector<int> const length{40, 24};
  for (int const n : length) {
    auto l = some_of(90, 0.6, random);
    l.resize(static_cast<std::size_t>(n));
    lists.push_back(l);
  }
  hand_made const m(90, lists);
  std::vector<int> const list{4, 1, 0, 3, 2}, first{0, 3, 5};
  std::vector<int> references(5, 1);
  kvsieve::page_pool_view pool{5, {P, 0, 1}, references.data()};
  std::vector<kvsieve::byte> keys(5 * P * D * sizeof(float)), values(keys.size());
  auto const layer = [&] {
    auto const view = [&](auto& bytes) {
      return kvsieve::make_encoded_ragged_paged<eight_rows, P, D>(bytes.data(), heads, pool,
                                                                  {list.data(), first.data(), length.data()});
    };
    return kvsieve::kv_layer{view(keys), view(values)};
  };
  REQUIRE(kvsieve::apply<kvsieve::random<>>(host::on{}, m.plan, dense.const_view(), layer()));
  auto const to = layer();
  for (int h = 0; h < heads; ++h)
    for (int i = 0; i < m.plan.count(0, h); ++i)
      for (int d = 0; d < D; ++d) {
        int const from = lists[static_cast<std::size_t>(h)][static_cast<std::size_t>(i)];
        REQUIRE(float(to.keys(h, i, d)) == dense.keys.get(h, from, d));
        REQUIRE(float(to.values(h, i, d)) == dense.values.get(h, from, d));
      }
  // In place every tile is encoded anew, the first ones too.
  std::vector<std::vector<int>> again(2);
  for (int i = 0; i < 24; ++i) again[0].push_back(i < 16 ? i : i + 16);
  for (int i = 0; i < 8; ++i) again[1].push_back(2 * i);
  hand_made const half(40, again);
  references[4] = 2;
  auto const before = keys;
  support::check_refused(kvsieve::apply<kvsieve::random<>>(host::on{}, half.plan, layer()), errc::shared_page,
                         {"keys is 4", "2"});
  CHECK(keys == before);
  references[4] = 1;
  REQUIRE(kvsieve::apply<kvsieve::random<>>(host::on{}, half.plan, layer()));
  for (int h = 0; h < heads; ++h)
    for (int i = 0; i < half.plan.count(0, h); ++i) {
      int const was = again[static_cast<std::size_t>(h)][static_cast<std::size_t>(i)];
      REQUIRE(float(to.values(h, i, 5)) ==
              dense.values.get(h, lists[static_cast<std::size_t>(h)][static_cast<std::size_t>(was)], 5));
    }
  pool.stride.page = P + 4;
  CHECK(kvsieve::apply<kvsieve::random<>>(host::on{}, half.plan, layer()).code == errc::bad_shape);
}

TEST_CASE("pages: a part without tokens needs no table") {
  constexpr int P = 16, D = 64;
  support::layer<float, D> dense(2, 2, 40, 1, support::layout::packed, support::content::normal, 4u);
  float none[1] = {};
  kvsieve::page_pool_view const pool{0, kvsieve::hnd_pages(P, 2, D)};
  auto const empty = kvsieve::make_paged<P, D>(static_cast<float const*>(none), 2, 0, pool, {nullptr, 0});
  auto const layer = dense.const_view();
  auto const parts = kvsieve::make_parts(kvsieve::kv_layer{empty, empty}, layer);
  std::vector<float> out[2];
  host::on const on;
  auto const q = dense.queries.view();
  auto const run = [&](auto const& l, std::vector<float>& to) {
    to.assign(4 * D, 0.0f);
    support::workspace memory(kvsieve::attend_workspace_bytes(on, q, l));
    return kvsieve::attend(on, q, l, kvsieve::make_rows<D>(to.data(), 4, 1), memory.span());
  };
  REQUIRE(run(layer, out[0]));
  REQUIRE(run(parts, out[1]));
  CHECK(out[0] == out[1]);
  support::check_refused(run(kvsieve::kv_layer{empty, empty}, out[1]), errc::bad_shape, {"keys.tokens is 0", "1"});
}

// Quest and LServe: each head attends to the pages that its queries may find most in, and to the newest page.
TEST_CASE("pages: attention over the pages that each head chose is dense attention over their tokens") {
  constexpr int P = 16, D = 64;
  int const heads = 3, group = 2, tokens = 16 * 9 + 5, pages = 10, chosen = 4;
  support::layer<float, D> dense(heads, group, tokens, 1, support::layout::packed, support::content::normal, 21u);
  for (auto const order : support::page_orders) {
    support::page_pool<float, P, D> pool(heads, {tokens}, order, 8);
    pool.take(0, dense.const_view());
    // Upper bounds of the products of a page, the largest over the queries of the group.
    std::vector<int> list, first{0}, length;
    std::vector<index> offset{0};
    std::vector<float> gathered[2];
    for (int h = 0; h < heads; ++h) {
      std::vector<std::pair<float, int>> bound;
      for (int p = 0; p + 1 < pages; ++p) {
        float most = -INFINITY;
        for (int g = 0; g < group; ++g) {
          float sum = 0;
          for (int d = 0; d < D; ++d) {
            float low = INFINITY, high = -INFINITY, q = dense.queries.get(h * group + g, 0, d);
            for (int t = p * P; t < p * P + P; ++t) {
              low = std::min(low, dense.keys.get(h, t, d));
              high = std::max(high, dense.keys.get(h, t, d));
            }
            sum += std::max(q * low, q * high);
          }
          most = std::max(most, sum);
        }
        bound.emplace_back(-most, p);
      }
      std::sort(bound.begin(), bound.end());
      std::vector<int> picked{pages - 1};
      for (int i = 0; i + 1 < chosen + h; ++i) picked.push_back(bound[static_cast<std::size_t>(i)].second);
      std::sort(picked.begin(), picked.end());  // the newest one last: it may be partial
      for (int const p : picked) {
        list.push_back(pool.tables[0][static_cast<std::size_t>(p)]);
        for (int t = p * P; t < tokens && t < p * P + P; ++t)
          for (int d = 0; d < D; ++d) {
            gathered[0].push_back(dense.keys.get(h, t, d));
            gathered[1].push_back(dense.values.get(h, t, d));
          }
      }
      first.push_back(static_cast<int>(list.size()));
      length.push_back((static_cast<int>(picked.size()) - 1) * P + tokens - (pages - 1) * P);
      offset.push_back(static_cast<index>(gathered[0].size()) / D);
    }
    kvsieve::head_page_tables const tables{list.data(), first.data(), length.data()};
    auto const all = pool.const_layer(0);
    kvsieve::kv_layer const few{kvsieve::make_ragged_paged<P, D>(all.keys.data_handle(), heads, pool.pool, tables),
                                kvsieve::make_ragged_paged<P, D>(all.values.data_handle(), heads, pool.pool, tables)};
    kvsieve::kv_layer const same{kvsieve::make_ragged<D>(gathered[0].data(), heads, offset.data()),
                                 kvsieve::make_ragged<D>(gathered[1].data(), heads, offset.data())};
    std::vector<float> out[2];
    host::on const on;
    auto const q = dense.queries.view();
    auto const run = [&](auto const& layer, std::vector<float>& to) {
      to.assign(static_cast<std::size_t>(heads * group * D), 0.0f);
      support::workspace memory(kvsieve::attend_workspace_bytes(on, q, layer));
      return kvsieve::attend(on, q, layer, kvsieve::make_rows<D>(to.data(), heads * group, 1), memory.span());
    };
    REQUIRE(run(few, out[0]));
    REQUIRE(run(same, out[1]));
    CHECK(out[0] == out[1]);
  }
}
}  // namespace pages_tests
