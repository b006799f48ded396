// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Caches in pages against the same rows in dense memory: attention and compaction, byte for byte.
#include "paged_cases.hpp"
#include "raw_bits.hpp"

namespace paged_tests {
namespace {
template <class T, int D>
bool same_row(auto const& a, index head, index token, auto const& b, index other) {
  for (int d = 0; d < D; ++d)
    if (!support::same_bits(T(a(head, token, d)), T(b(head, other, d)))) return false;
  return true;
}

template <class T, int P, int D>
void attends_alike(std::uint32_t seed) {
  std::mt19937 random(seed);
  twice<T, P, D> s(1 + static_cast<int>(random() % 4), 1 + static_cast<int>(random() % 5), random_tokens(random, P),
                   support::page_orders[seed % 5], seed);
  index const asked = 1;
  std::vector<std::vector<float>> out[2];
  auto const run = [&](auto const& views, std::vector<std::vector<float>>& to) {
    std::vector<decltype(kvsieve::make_rows<D>(static_cast<T const*>(nullptr), 0, 0))> queries;
    std::vector<decltype(kvsieve::make_rows<D>(static_cast<float*>(nullptr), 0, 0))> outs;
    for (std::size_t v = 0; v < s.dense.size(); ++v) to.emplace_back(static_cast<std::size_t>(s.heads * s.group * D));
    for (std::size_t v = 0; v < s.dense.size(); ++v) {
      auto const& q = s.dense[v].queries;
      queries.push_back(
          kvsieve::make_rows<D>(q.view().data_handle(), s.heads * s.group, asked, index{q.tokens()} * D, D));
      outs.push_back(kvsieve::make_rows<D>(to[v].data(), s.heads * s.group, asked));
    }
    return support::with_executor(static_cast<int>(seed % 3), [&](auto const& on) {
      support::workspace memory(kvsieve::attend_workspace_bytes(on, span_of(queries), span_of(views)));
      return kvsieve::attend(on, span_of(queries), span_of(views), span_of(outs), memory.span());
    });
  };
  REQUIRE(run(s.dense_views(), out[0]));
  REQUIRE(run(s.paged_views(), out[1]));
  REQUIRE(out[0] == out[1]);
}

// Plans at random, applied to pages in every way.
template <class T, int P, int D>
void compacts_alike(std::uint32_t seed) {
  std::mt19937 random(seed);
  using strategy = kvsieve::random<>;
  twice<T, P, D> s(1 + static_cast<int>(random() % 3), 1, random_tokens(random, P), support::page_orders[seed % 5],
                   seed);
  double const keep[] = {0.0, 0.1, 0.5, 0.9, 1.0};
  auto const p = plan_of<strategy>(s.dense_views(), s.queries(),
                                   {.score = {.seed = seed}, .budget = {.keep = keep[random() % 5]}});
  REQUIRE(p.plan);
  int const views = p.plan.views;
  std::vector<int> counts;
  for (int v = 0; v < views; ++v) counts.push_back(p.plan.count(v));
  auto const before = s.pool.memory;
  auto const dense = s.dense_views();
  auto const paged = s.paged_views();
  auto const holds = [&](auto const& to, auto const& layers) {
    for (int v = 0; v < views; ++v)
      for (int h = 0; h < s.heads; ++h)
        for (int i = 0; i < p.plan.count(v, h); ++i) {
          auto const from = p.plan.kept(v, h)[static_cast<std::size_t>(i)];
          auto const at = static_cast<std::size_t>(v);
          REQUIRE(same_row<T, D>(to[at].keys, h, i, layers[at].keys, from));
          REQUIRE(same_row<T, D>(to[at].values, h, i, layers[at].values, from));
        }
  };
  int const executor = static_cast<int>(seed % 3);
  auto const apply = [&](auto const&... views_of) {
    return support::with_executor(
        executor, [&](auto const& on) { return kvsieve::apply<strategy>(on, p.plan, span_of(views_of)...); });
  };
  {  // into other pages, of another order
    support::page_pool<T, P, D> other(s.heads, counts, support::page_orders[(seed + 2) % 5], seed + 1);
    std::vector<decltype(other.layer(0))> to;
    for (int v = 0; v < views; ++v) to.push_back(other.layer(v));
    REQUIRE(apply(paged, to));
    holds(to, dense);
    // and nothing else was written: spare pages and the rest of the last ones hold NaN
    std::size_t written = 0;
    for (T const x : other.memory) written += kvsieve::to_float(x) == kvsieve::to_float(x) ? 1 : 0;
    std::size_t rows = 0;
    for (int const c : counts) rows += static_cast<std::size_t>(2 * c * s.heads);
    REQUIRE(written == rows * D);
  }
  {  // dense to pages, and pages to dense
    support::page_pool<T, P, D> other(s.heads, counts, support::page_orders[(seed + 1) % 5], seed + 2);
    std::vector<decltype(other.layer(0))> to;
    for (int v = 0; v < views; ++v) to.push_back(other.layer(v));
    REQUIRE(apply(dense, to));
    holds(to, dense);
    std::vector<support::layer<T, D>> plain;
    for (int const c : counts) plain.emplace_back(s.heads, 1, c, 1, support::layout::nhd, support::content::zero, 1u);
    std::vector<decltype(plain[0].view())> back;
    for (auto& l : plain) back.push_back(l.view());
    REQUIRE(apply(paged, back));
    holds(back, dense);
  }
  {  // into pages of each head
    std::vector<int> lists, first{0}, length;
    for (int v = 0; v < views; ++v)
      for (int h = 0; h < s.heads; ++h) {
        first.push_back(first.back() + (p.plan.count(v, h) + P - 1) / P + (h == 0 ? 1 : 0));
        length.push_back(p.plan.count(v, h));
      }
    lists.resize(static_cast<std::size_t>(first.back()));
    std::iota(lists.begin(), lists.end(), 0);
    std::shuffle(lists.begin(), lists.end(), random);
    kvsieve::page_pool_view const pool{first.back(), kvsieve::hnd_pages(P, 1, 2 * D)};
    std::vector<T> memory(static_cast<std::size_t>(pool.pages * P * 2 * D));
    auto const shared = kvsieve::page_pool_view{pool.pages, {pool.stride.page, 0, pool.stride.token}};
    auto const head_view = [&](int v, int behind) {
      return kvsieve::make_ragged_paged<P, D>(memory.data() + behind, s.heads, shared,
                                              {lists.data(), first.data() + v * s.heads, length.data() + v * s.heads});
    };
    std::vector<decltype(kvsieve::kv_layer{head_view(0, 0), head_view(0, D)})> to;
    for (int v = 0; v < views; ++v) to.push_back({head_view(v, 0), head_view(v, D)});
    REQUIRE(apply(paged, to));
    holds(to, dense);
  }
  // in place
  REQUIRE(apply(paged));
  holds(paged, dense);
  // no page of nobody was touched
  for (int const page : s.pool.unused) {
    bool const halves = before.size() == static_cast<std::size_t>(s.pool.pool.stride.page * s.pool.pool.pages);
    if (!halves) continue;  // separate pools: checked by the others
    auto const at = static_cast<std::ptrdiff_t>(page * s.pool.pool.stride.page);
    REQUIRE(std::memcmp(before.data() + at, s.pool.memory.data() + at,
                        static_cast<std::size_t>(s.pool.pool.stride.page) * sizeof(T)) == 0);
  }
  // pages behind the last kept row are free
  for (int v = 0; v < views; ++v) {
    auto const at = static_cast<std::size_t>(v);
    auto const free = kvsieve::store::free_pages(p.plan, paged[at].keys, v);
    auto const& table = s.pool.tables[at];
    std::size_t const stay = static_cast<std::size_t>((p.plan.count(v) + P - 1) / P);
    REQUIRE(std::vector<int>(free.begin(), free.end()) ==
            std::vector<int>(table.begin() + static_cast<std::ptrdiff_t>(stay), table.end()));
    auto const left = kvsieve::first_tokens(paged[at].keys, p.plan.count(v));
    REQUIRE(left.extent(1) == p.plan.count(v));
    if (p.plan.count(v) > 0) REQUIRE(&left(0, 0, 0) == &paged[at].keys(0, 0, 0));
  }
}
}  // namespace

TEST_CASE("paged: rows may be read a vector at a time, and lie where the table says") {
  std::vector<float> memory(4 * 2 * 16 * 64);
  int const table[] = {3, 1};
  kvsieve::page_pool_view const nhd{4, kvsieve::nhd_pages(16, 2, 64)}, hnd{4, kvsieve::hnd_pages(16, 2, 64)};
  auto const a = kvsieve::make_paged<16, 64>(memory.data(), 2, 20, nhd, {table, 2});
  STATIC_CHECK(kvsieve::contiguous_rows<std::remove_const_t<decltype(a)>>);
  STATIC_CHECK(!kvsieve::ragged_rows<std::remove_const_t<decltype(a)>>);
  CHECK(&a(1, 5, 7) == memory.data() + (3 * 16 + 5) * 2 * 64 + 64 + 7);
  CHECK(&a(0, 18, 0) == memory.data() + (1 * 16 + 2) * 2 * 64);
  auto const b = kvsieve::make_paged<16, 64>(memory.data(), 2, 20, hnd, {table, 2});
  CHECK(&b(1, 18, 7) == memory.data() + ((1 * 2 + 1) * 16 + 2) * 64 + 7);
  CHECK(b.mapping().required_span_size() == static_cast<index>(memory.size()));
  CHECK(kvsieve::row_of(b, 1, 18) == &b(1, 18, 0));
  int const list[] = {2, 0, 3}, first[] = {0, 1, 3}, length[] = {4, 17};
  auto const c = kvsieve::make_ragged_paged<16, 64>(memory.data(), 2, {8, {16 * 64, 0, 64}}, {list, first, length});
  STATIC_CHECK(kvsieve::contiguous_rows<std::remove_const_t<decltype(c)>>);
  STATIC_CHECK(kvsieve::ragged_rows<std::remove_const_t<decltype(c)>>);
  CHECK(c.extent(1) == 17);
  CHECK(kvsieve::tokens_of(c, 0) == 4);
  CHECK(&c(0, 3, 1) == memory.data() + (2 * 16 + 3) * 64 + 1);
  CHECK(&c(1, 16, 1) == memory.data() + 3 * 16 * 64 + 1);
}

TEST_CASE("paged: attention gives the bytes of dense rows") {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    attends_alike<float, 16, 64>(seed);
    attends_alike<kvsieve::bf16, 64, 64>(seed);
    attends_alike<kvsieve::f16, 256, 64>(seed);
  }
}

TEST_CASE("paged: compaction from, to and within pages moves the kept rows") {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    compacts_alike<float, 16, 64>(seed);
    compacts_alike<kvsieve::bf16, 64, 80>(seed);
    compacts_alike<kvsieve::f16, 256, 64>(seed);
  }
}

TEST_CASE("paged: large results are streamed to pages, and are the same") {
  twice<float, 16, 64> s(4, 1, {6000}, support::page_order::hnd, 3);
  auto const p =
      plan_of<kvsieve::random<>>(s.dense_views(), s.queries(), {.score = {.seed = 5}, .budget = {.keep = 0.5}});
  REQUIRE(p.plan);
  support::page_pool<float, 16, 64> to(4, {p.plan.count()}, support::page_order::nhd_packed, 4);
  REQUIRE(kvsieve::apply<kvsieve::random<>>(host::on{}, p.plan, s.pool.const_layer(0), to.layer(0)));
  for (int h = 0; h < 4; ++h)
    for (int i = 0; i < p.plan.count(); ++i) {
      auto const from = p.plan.kept(0, h)[static_cast<std::size_t>(i)];
      REQUIRE(same_row<float, 64>(to.keys(0), h, i, s.dense[0].keys.view(), from));
      REQUIRE(same_row<float, 64>(to.values(0), h, i, s.dense[0].values.view(), from));
    }
}

}  // namespace paged_tests
