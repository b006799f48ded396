// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels of decode attention on emulated blocks: dense rows at any stride, ragged heads, pages, biases, several new
// queries; and what the call refuses.
#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/core/paged.hpp>

#include "attend_cases.hpp"
#include "refusal.hpp"

namespace attend_cases {
using kvsieve_test::race_check;

namespace {
/// Two views of dense rows: packed, and heads and tokens interleaved.
template <class T, int D, int Threads>
void dense(index tokens, unsigned seed) {
  CAPTURE(D, sizeof(T), Threads, tokens, seed);
  std::mt19937 random(seed);
  std::vector<shape> const shapes{random_shape(random), random_shape(random, 2)};
  index const other = 8 + below(random, 40);
  std::vector<room<T>> rooms;
  std::vector<kvs::rows<T const, D>> queries;
  std::vector<kvs::kv_layer<kvs::rows<T const, D>>> layers;
  for (std::size_t v = 0; v < 2; ++v) {
    auto const& [heads, group, asked] = shapes[v];
    index const n = std::max(v == 0 ? tokens : other, asked);
    auto const fill = [&](index rows, float size) {
      rooms.push_back(normal_room<T>(random, rows * D, size));
      return static_cast<T const*>(rooms.back().data());
    };
    queries.push_back(kvs::make_rows<D>(fill(shapes[v].rows(), 2.0f), heads * group, asked));
    auto const rows = [&] {
      T const* const data = fill(heads * n, 1.0f);
      return v == 0 ? kvs::make_rows<D>(data, heads, n) : kvs::make_rows<D>(data, heads, n, D, heads * D);
    };
    auto const keys = rows();
    layers.push_back({keys, rows()});
  }
  agree<Threads>(shapes, queries, layers);
}

/// Heads of their own lengths, some empty, with a bias for each entry.
template <class T, int D, int Threads>
void ragged(unsigned seed) {
  CAPTURE(D, sizeof(T), Threads, seed);
  std::mt19937 random(seed);
  shape s = random_shape(random);
  s.heads += 1;
  std::vector<index> offset{0};
  for (index h = 0; h < s.heads; ++h) offset.push_back(offset.back() + (h == 0 ? 0 : s.asked + below(random, 200)));
  if (s.asked > 1) s.asked = 1;  // the empty head has no rows of new queries
  room<T> const keys = normal_room<T>(random, offset.back() * D), values = normal_room<T>(random, offset.back() * D),
                query = normal_room<T>(random, s.rows() * D, 2.0f);
  std::vector<kvs::cs::uint8_t> codes(static_cast<std::size_t>(offset.back()));
  for (auto& c : codes) c = static_cast<kvs::cs::uint8_t>(random() % 40);
  std::vector const queries{kvs::make_rows<D>(query.data(), s.heads * s.group, s.asked)};
  auto const rows = [&](room<T> const& r) {
    return kvs::make_ragged<D>(static_cast<T const*>(r.data()), s.heads, offset.data());
  };
  std::vector const layers{kvs::kv_layer{rows(keys), rows(values), kvs::entry_bias{codes.data(), 0, offset.data()}}};
  results const got = agree<Threads>({s}, queries, layers);
  CHECK(got.sums[0][0] == -INFINITY);
  CHECK(got.out[0][0] == 0.0f);
}

/// Pages of a pool in any order; with `Own`, a table for each head.
template <class T, int D, int P, int Threads, bool Own>
void paged(unsigned seed, bool one_is_not_there = false) {
  CAPTURE(D, P, Own, seed, one_is_not_there);
  std::mt19937 random(seed);
  shape s = random_shape(random);
  std::vector<int> length, first{0}, list;
  int longest = 0;
  for (index h = 0; h < s.heads; ++h) {
    if (h == 0 || Own) length.push_back(static_cast<int>(s.asked + below(random, 3 * P)));
    if (h > 0 && !Own) length.push_back(length[0]);
    longest = std::max(longest, length.back());
    if (h == 0 || Own) {
      first.push_back(first.back() + (length.back() + P - 1) / P);
    } else {
      first.push_back(first.back());
    }
  }
  int const pages = first.back() + 3;
  std::vector<int> ids;
  for (int p = 0; p < pages; ++p) ids.push_back(p);
  std::shuffle(ids.begin(), ids.end(), random);
  list.assign(ids.begin(), ids.begin() + first.back());
  auto const stride = Own ? kvs::page_strides{P * D, 0, D} : kvs::nhd_pages(P, s.heads, D);
  kvs::page_pool_view const pool{pages, stride};
  room<T> const keys = normal_room<T>(random, pages * stride.page), values = normal_room<T>(random, keys.size()),
                query = normal_room<T>(random, s.rows() * D, 2.0f);
  std::vector const queries{kvs::make_rows<D>(query.data(), s.heads * s.group, s.asked)};
  auto const rows = [&](room<T> const& r) {
    if constexpr (Own)
      return kvs::make_ragged_paged<P, D>(static_cast<T const*>(r.data()), s.heads, pool,
                                          {list.data(), first.data(), length.data(), longest});
    else
      return kvs::make_paged<P, D>(static_cast<T const*>(r.data()), s.heads, longest, pool,
                                   {list.data(), static_cast<index>(list.size())});
  };
  std::vector const layers{kvs::kv_layer{rows(keys), rows(values)}};
  if (!one_is_not_there) {
    agree<Threads>({s}, queries, layers);
    return;
  }
  // Outside of the pool there is nothing, wherever that is.
  list[0] = pages;
  results const above = on_blocks<Threads>({s}, queries, layers);
  list[0] = -1;
  results const below_0 = on_blocks<Threads>({s}, queries, layers);
  CHECK(above.out == below_0.out);
  CHECK(above.sums == below_0.sums);
  for (float const x : above.out[0]) REQUIRE(std::isfinite(x));
}
}  // namespace

TEST_CASE("device attend: dense rows give what host and reference do") {
  if (race_check) return dense<float, 64, 32>(70, 1);
  unsigned seed = 100;
  for (index const n : {1, 2, 63, 65, 130}) {
    dense<float, 64, 64>(n, ++seed);
    dense<kvs::f16, 80, 32>(n, ++seed);
    dense<kvs::bf16, 128, 128>(n, ++seed);
    if constexpr (all_combinations) dense<kvs::bf16, 96, 64>(n, ++seed);
    if constexpr (all_combinations) dense<kvs::f16, 256, 32>(n, ++seed);
  }
  dense<float, 272, 32>(9, ++seed);
  if constexpr (all_combinations) dense<float, 16, 32>(50, ++seed);
  if constexpr (all_combinations) dense<kvs::bf16, 512, 64>(70, ++seed);
}
TEST_CASE("device attend: many tokens") {
  if (race_check) return;
  dense<kvs::bf16, 64, 64>(3001, 7);
}
TEST_CASE("device attend: ragged heads with biases; an empty one gives 0 and -inf") {
  ragged<kvs::bf16, 64, 32>(2);
  if (race_check) return;
  for (unsigned seed = 3; seed < 8; ++seed) {
    ragged<kvs::f16, 80, 64>(seed);
    if constexpr (all_combinations) ragged<float, 128, 32>(seed);
  }
}
TEST_CASE("device attend: pages, of all heads or of each; what is not in the pool is not there") {
  paged<kvs::bf16, 64, 16, 32, true>(4, true);
  if (race_check) return;
  for (unsigned seed = 3; seed < 7; ++seed) {
    paged<kvs::bf16, 64, 16, 32, false>(seed);
    paged<kvs::bf16, 64, 16, 32, true>(seed);
    if constexpr (all_combinations) paged<float, 128, 48, 64, false>(seed);
    if constexpr (all_combinations) paged<kvs::f16, 80, 32, 32, true>(seed);
  }
  paged<kvs::bf16, 64, 16, 32, false>(9, true);
}
TEST_CASE("device attend: rows that are read an element at a time") {
  if (race_check) return;
  std::mt19937 random(5);
  constexpr int D = 64;
  shape const s{2, 3, 2};
  room<float> const keys = normal_room<float>(random, 2 * 40 * 2 * D), values = normal_room<float>(random, keys.size()),
                    query = normal_room<float>(random, s.rows() * D);
  using view = kvs::rows<float, D, kvs::cs::layout_stride>;
  auto const rows = [&](room<float> const& r) {
    return view(r.data(), kvs::cs::layout_stride::mapping<kvs::row_extents<D>>(
                              kvs::row_extents<D>(2, 40), kvs::cs::array<index, 3>{40 * 2 * D, 2 * D, 2}));
  };
  agree<32>({s}, std::vector{kvs::make_rows<D>(query.data(), 6, 2)},
            std::vector{kvs::kv_layer{rows(keys), rows(values)}});
}

TEST_CASE("device attend: a view gives the same alone and among others, and again") {
  if (race_check) return;
  std::mt19937 random(11);
  constexpr int D = 64;
  std::vector<shape> const shapes{{1, 1, 1}, {2, 3, 1}, {1, 8, 4}, {1, 2, 2}, {1, 1, 1}};
  std::vector<room<float>> rooms;
  std::vector<kvs::rows<float, D>> queries;
  std::vector<kvs::kv_layer<kvs::rows<float, D>>> layers;
  for (shape const& s : shapes) {
    index const n = 10 + below(random, 150);
    for (index const count : {s.rows(), s.heads * n, s.heads * n})
      rooms.push_back(normal_room<float>(random, count * D));
    auto const* const r = rooms.data() + rooms.size() - 3;
    queries.push_back(kvs::make_rows<D>(r[0].data(), s.heads * s.group, s.asked));
    layers.push_back({kvs::make_rows<D>(r[1].data(), s.heads, n), kvs::make_rows<D>(r[2].data(), s.heads, n)});
  }
  int launches = 0;
  results const all = on_blocks<64>(shapes, queries, layers, &launches);
  CHECK(launches == 6);  // five runs of passes of 1, 4, 8, 4 and 1 query rows, and one that joins
  for (std::size_t v = 0; v < shapes.size(); ++v) {
    launches = 0;
    results const one = on_blocks<64>({shapes[v]}, std::vector{queries[v]}, std::vector{layers[v]}, &launches);
    CHECK(launches == 2);
    CHECK(one.out[0] == all.out[v]);
    CHECK(one.sums[0] == all.sums[v]);
  }
}

TEST_CASE("device attend: many views take several launches") {
  if (race_check) return;
  std::mt19937 random(12);
  constexpr int D = 64, count = 40;
  std::vector<shape> const shapes(count, shape{1, 2, 1});
  room<float> const data = normal_room<float>(random, 60 * D);
  std::vector<kvs::rows<float, D>> queries;
  std::vector<kvs::kv_layer<kvs::rows<float, D>>> layers;
  for (int v = 0; v < count; ++v) {
    queries.push_back(kvs::make_rows<D>(data.data() + v * D / 16 * 16, 2, 1));
    auto const rows = kvs::make_rows<D>(data.data() + v % 7 * D, 1, 1 + v % 13);
    layers.push_back({rows, rows});
  }
  agree<32>(shapes, queries, layers);
}

TEST_CASE("device attend: numbers that are not finite give what the host gives") {
  if (race_check) return;
  constexpr int D = 64, tokens = 40;
  float const hostile[] = {NAN, INFINITY, -INFINITY};
  for (float const x : hostile)
    for (bool const all : {false, true}) {
      CAPTURE(x, all);
      std::mt19937 random(13);
      room<float> const keys = normal_room<float>(random, tokens * D), values = normal_room<float>(random, tokens * D),
                        query = normal_room<float>(random, 2 * D);
      for (index t = 0; t < tokens; ++t)
        if (all || t == 21) keys[t * D + 5] = x;
      query[5] = 1.0f;
      query[D + 5] = -1.0f;
      shape const s{1, 2, 1};
      std::vector const queries{kvs::make_rows<D>(query.data(), 2, 1)};
      std::vector const layers{
          kvs::kv_layer{kvs::make_rows<D>(keys.data(), 1, tokens), kvs::make_rows<D>(values.data(), 1, tokens)}};
      CHECK(distance(on_blocks<32>({s}, queries, layers), on_host({s}, queries, layers)) <= bound);
    }
}

TEST_CASE("device attend: logits far apart neither overflow nor lose the largest") {
  if (race_check) return;
  constexpr int D = 64, tokens = 300;
  std::mt19937 random(6);
  room<float> const keys(tokens * D), values = normal_room<float>(random, tokens * D), query(D);
  for (int t = 0; t < tokens; ++t)
    for (int d = 0; d < D; ++d) keys[t * D + d] = t == 131 ? 100.0f : t % 2 == 0 ? -100.0f : 0.0f;
  for (int d = 0; d < D; ++d) query[d] = 10.0f;
  results const got = on_blocks<64>({{1, 1, 1}}, std::vector{kvs::make_rows<D>(query.data(), 1, 1)},
                                    std::vector{kvs::kv_layer{kvs::make_rows<D>(keys.data(), 1, tokens),
                                                              kvs::make_rows<D>(values.data(), 1, tokens)}});
  for (int d = 0; d < D; ++d) CHECK(got.out[0][static_cast<std::size_t>(d)] == values[131 * D + d]);
}

namespace {
template <class Layer>
void refused(Layer const& layer, kvs::errc code, std::vector<std::string> const& parts, std::size_t less = 0,
             index query_heads = 4, index asked = 1, kvs::attend_options const& options = {}) {
  constexpr int D = Layer::head_dim;
  std::vector<float> query(static_cast<std::size_t>(query_heads * asked * D)), out(query.size(), -7.0f);
  using view = kvs::rows<float, D>;
  view const q = kvs::make_rows<D>(query.data(), query_heads, asked);
  view const o = kvs::make_rows<D>(out.data(), query_heads, asked);
  kvsieve_test::emulated_device<32> const on;
  kvs::device::attention<kvsieve_test::emulated_device<32>, view, Layer> const call(
      on, kvs::cs::span<view const>(&q, 1), kvs::cs::span<Layer const>(&layer, 1));
  support::workspace memory(call.bytes() - less);
  support::check_refused(call.run(kvs::cs::span<view const>(&o, 1), options, memory.span()), code, parts);
  CHECK(memory.untouched());
  for (float const x : out) REQUIRE(x == -7.0f);
}
}  // namespace

TEST_CASE("device attend refuses what kernels cannot read") {
  constexpr int D = 64;
  room<kvs::bf16> const data(4 * 40 * D);
  auto const at = [&](index past, index stride) {
    auto const rows = kvs::make_rows<D>(data.data() + past, 2, 30, 40 * D, stride);
    return kvs::kv_layer{rows, rows};
  };
  refused(at(4, D), kvs::errc::bad_pointer, {"keys is 8", "16"});
  refused(at(0, D + 4), kvs::errc::bad_shape, {"keys is 68", "8"});
  refused(at(0, D), kvs::errc::workspace_too_small, {"workspace is"}, 1);
  refused(at(0, D), kvs::errc::bad_shape, {"query.heads is 3", "2"}, 0, 3);
  refused(at(0, D), kvs::errc::bad_shape, {"query.tokens is 9", "8"}, 0, 4, 9);
  kvs::low_rank_sums const sums{};
  refused(at(0, D), kvs::errc::bad_shape, {"features.in is 0"}, 0, 4, 1, {.evicted = {&sums, 1}});

  int const table[] = {0, 1};
  kvs::page_pool_view const pool{4, kvs::nhd_pages(16, 2, D)};
  auto const pages = [&](int const* list, index entries, kvs::page_pool_view const& of) {
    auto const rows = kvs::make_paged<16, D>(data.data(), 2, 30, of, {list, entries});
    return kvs::kv_layer{rows, rows};
  };
  refused(pages(table, 1, pool), kvs::errc::bad_shape, {"keys is 1", "2"});
  refused(pages(nullptr, 2, pool), kvs::errc::bad_pointer, {"keys is 0", "table"});
  refused(pages(table, 2, {4, {16 * 2 * D, D, 2 * D + 2}}), kvs::errc::bad_shape, {"keys is 130", "8"});
  refused(pages(table, 2, {-1, pool.stride}), kvs::errc::bad_shape, {"keys is -1"});
  auto const no_offsets = kvs::make_ragged<D>(data.data(), 2, nullptr, 30);
  refused(kvs::kv_layer{no_offsets, no_offsets}, kvs::errc::bad_pointer, {"keys is 0", "offsets"});
}
}  // namespace attend_cases
