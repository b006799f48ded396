// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans applied into pages, of one table and of a table for each head, on emulated blocks: what dense rows would get,
// and nothing outside of the pages that tables name.
#include <kvsieve/device/call/copy_counts.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/q8_0.hpp>

#include "emulated_plan.hpp"
#include "refusal.hpp"

namespace paged_target_tests {
using namespace kvsieve_test;
using kvs::index;

namespace {
constexpr int D = 64, P = 32, heads = 2;
using strategy = kvs::key_norm<kvs::budget::over_all, kvs::store::ragged>;
template <class T>
kvs::kv_group<T> group(std::vector<T> const& v) {
  return {v.data(), v.size()};
}
/// Bytes of a pool, aligned, all of them marked.
struct pool_bytes {
  std::vector<workspace_line> memory;
  explicit pool_bytes(std::size_t bytes) : memory(bytes / 64 + 1) {
    std::memset(static_cast<void*>(memory.data()), 0x5a, memory.size() * 64);
  }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(memory.data());
  }
};

/// Two sequences, planned by a budget whose counts the device alone has.
template <int Threads>
struct planned_caches {
  cache<float, D> a{heads, 150, 61}, b{heads, 90, 62};
  std::vector<decltype(a.layer())> layers{a.layer(), b.layer()};
  decltype(emulated_plan<strategy, Threads>(layers, {})) made =
      emulated_plan<strategy, Threads>(layers, {.budget = {.keep = 0.5}});
  kvs::token_plan counted = on_host(made.plan);
};
}  // namespace

TEST_CASE("apply into pages: rows of heads with tables of their own", "[device][pages]") {
  planned_caches<32> c;
  constexpr int pages = 2 * heads * 5;
  pool_bytes keys(pages * P * D * sizeof(float)), values(pages * P * D * sizeof(float));
  // Pages in an order of their own; the last head's table is one page short of what it keeps, or names none.
  std::vector<int> list(pages), first(heads + 1);
  for (int i = 0; i < pages; ++i) list[static_cast<std::size_t>(i)] = (i * 7 + 3) % pages;
  for (int h = 0; h <= heads; ++h) first[static_cast<std::size_t>(h)] = 5 * h;
  list[5] = -1;
  std::vector<int> lengths(2 * heads, 0);
  kvs::page_pool_view const pool{pages, {P * D, 0, D}};
  auto const view = [&](pool_bytes& of, int v) {
    kvs::head_page_tables const tables{list.data() + v * heads * 5, first.data(), lengths.data() + v * heads, 150};
    return kvs::make_ragged_paged<P, D>(of.as<float>(), heads, pool, tables);
  };
  std::vector const to{kvs::kv_layer{view(keys, 0), view(values, 0)}, kvs::kv_layer{view(keys, 1), view(values, 1)}};
  emulated_device<32> const on{nullptr, 5};
  kvs::status const done = kvs::device::copy_kept<strategy>(on, c.made.plan, group(c.layers), group(to));
  char line[200];
  INFO(done.message(line));
  REQUIRE(done);
  REQUIRE(kvs::device::write_counts(on, c.made.plan, kvs::cs::span<int>(lengths.data(), lengths.size())));
  int wrong = 0, compared = 0;
  std::vector<bool> named(pages * P, false);
  for (int v = 0; v < 2; ++v)
    for (int h = 0; h < heads; ++h) {
      CHECK(lengths[static_cast<std::size_t>(v * heads + h)] == c.counted.count(v, h));
      auto const kept = c.counted.kept(v, h);
      for (int i = 0; i < c.counted.count(v, h) && i < 5 * P; ++i) {
        int const page = list[static_cast<std::size_t>((v * heads + h) * 5 + i / P)];
        if (page < 0) continue;
        named[static_cast<std::size_t>(page * P + i % P)] = true;
        for (int d = 0; d < D; ++d) {
          auto const at = (page * P + i % P) * D + d;
          auto& from = v == 0 ? c.a : c.b;
          wrong += keys.as<float>()[at] != from.keys.at(h, kept[static_cast<std::size_t>(i)], d);
          wrong += values.as<float>()[at] != from.values.at(h, kept[static_cast<std::size_t>(i)], d);
          ++compared;
        }
      }
    }
  CHECK(wrong == 0);
  CHECK(compared > 0);
  for (std::size_t r = 0; r < named.size(); ++r)  // and no other row was touched
    if (!named[r]) wrong += std::memcmp(keys.as<char>() + r * D * 4, std::string(D * 4, 0x5a).data(), D * 4) != 0;
  CHECK(wrong == 0);
}

TEST_CASE("apply into pages: encoded rows and tiles, one table", "[device][pages]") {
  using k = kvs::encode::kivi_keys<2>;
  using q = kvs::encode::q8_0;
  static_assert(P % k::tile_tokens == 0);
  cache<float, D> c(heads, 150, 63);
  std::vector const layers{c.layer()};
  auto const made = emulated_plan<kvs::key_norm<>, 64>(layers, {.budget = {.tokens = 96}});
  constexpr int pages = 5;
  int const table[] = {4, 0, 2};
  pool_bytes keys(static_cast<std::size_t>(kvs::encoded_bytes<k, D>(pages * heads * P))),
      values(static_cast<std::size_t>(kvs::encoded_bytes<q, D>(pages * heads * P)));
  kvs::page_pool_view const pool{pages, kvs::hnd_pages(P, heads, 1)};
  kvs::kv_layer const to{kvs::make_encoded_paged<k, P, D>(keys.as<kvs::byte>(), heads, 96, pool, {table, 3}),
                         kvs::make_encoded_paged<q, P, D>(values.as<kvs::byte>(), heads, 96, pool, {table, 3})};
  std::vector const targets{to};
  REQUIRE(kvs::device::copy_kept<kvs::key_norm<>>(emulated_device<64>{}, made.plan, group(layers), group(targets)));
  // The same rows, encoded without pages.
  pool_bytes dense_keys(static_cast<std::size_t>(kvs::encoded_bytes<k, D>(heads * 96))),
      dense_values(static_cast<std::size_t>(kvs::encoded_bytes<q, D>(heads * 96)));
  kvs::kv_layer const dense{kvs::make_encoded<k, D>(dense_keys.as<kvs::byte>(), heads, 96),
                            kvs::make_encoded<q, D>(dense_values.as<kvs::byte>(), heads, 96)};
  std::vector const plain{dense};
  REQUIRE(kvs::device::copy_kept<kvs::key_norm<>>(emulated_device<64>{}, made.plan, group(layers), group(plain)));
  int wrong = 0;
  for (int h = 0; h < heads; ++h)
    for (int t = 0; t < 96; ++t)
      for (int d = 0; d < D; ++d) {
        wrong += kvs::to_float(to.keys(h, t, d)) != kvs::to_float(dense.keys(h, t, d));
        wrong += kvs::to_float(to.values(h, t, d)) != kvs::to_float(dense.values(h, t, d));
      }
  CHECK(wrong == 0);
}

TEST_CASE("apply into pages: what is refused before a launch", "[device][pages]") {
  planned_caches<64> c;
  int launches = 0;
  emulated_device<64> const on{&launches};
  constexpr int pages = 20;
  pool_bytes keys(pages * P * D * sizeof(float)), values(pages * P * D * sizeof(float));
  int const table[] = {0, 1, 2, 3, 4};
  kvs::page_pool_view const pool{pages, kvs::hnd_pages(P, heads, D)};
  auto const into = [&](float* k, float* v, index tokens, int entries) {
    auto const rows = [&](float* of) { return kvs::make_paged<P, D>(of, heads, tokens, pool, {table, entries}); };
    std::vector const to{kvs::kv_layer{rows(k), rows(v)}, kvs::kv_layer{rows(k), rows(v)}};
    return kvs::device::copy_kept<strategy>(on, c.made.plan, group(c.layers), group(to));
  };
  using kvs::errc;
  support::check_refused(into(keys.as<float>(), values.as<float>(), 10, 5), errc::bad_shape, {"to.tokens is 10"});
  support::check_refused(into(nullptr, values.as<float>(), 150, 5), errc::bad_pointer, {"to.keys", "null"});
  support::check_refused(into(keys.as<float>(), values.as<float>(), 150, 4), errc::bad_shape, {"to.keys is 4", "5"});
  support::check_refused(into(keys.as<float>(), keys.as<float>(), 150, 5), errc::overlap, {"to"});
  support::check_refused(into(c.a.keys.data(), values.as<float>(), 150, 5), errc::overlap, {"to"});
  // Two views of one table.
  support::check_refused(into(keys.as<float>(), values.as<float>(), 150, 5), errc::overlap, {"another view"});
  support::check_refused(kvs::device::write_counts(on, c.made.plan, {}), errc::bad_shape, {"counts is 0", "4"});
  CHECK(launches == 0);
}
}  // namespace paged_target_tests
