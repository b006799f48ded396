// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Views of engines' tensors against addresses computed by hand from their layouts.
#include <kvsieve/core/check.hpp>
#include <kvsieve/engine/flashinfer.hpp>
#include <kvsieve/engine/tensorrt_llm.hpp>
#include <kvsieve/engine/vllm.hpp>

#include <numeric>
#include <vector>

#include <catch2/catch_all.hpp>

#include "refusal.hpp"

namespace engine_tests {
namespace {
using kvsieve::errc, kvsieve::index;
namespace engine = kvsieve::engine;
constexpr int P = 16, D = 8, H = 3, NB = 5;
using extents = std::vector<index>;

// Strides of a shape whose axes lie in memory in the order given, outermost first.
extents strides(extents const& shape, std::vector<int> const& order = {}) {
  std::vector<int> axes = order;
  if (axes.empty()) {
    axes.resize(shape.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  extents result(shape.size());
  index step = 1;
  for (std::size_t i = axes.size(); i-- > 0;) {
    auto const a = static_cast<std::size_t>(axes[i]);
    result[a] = step;
    step *= shape[a];
  }
  return result;
}
engine::tensor<float const> tensor(float const* data, extents const& shape, extents const& stride) {
  return {data, {shape.data(), shape.size()}, {stride.data(), stride.size()}};
}
std::vector<float> const memory(2 * NB * P * H * D);
int const table[] = {4, 0, 2};

// All elements of 40 tokens against at(page, head, offset, channel), from the start of the memory.
template <class Keys, class Values>
void check_addresses(engine::pages<float const, P, D> const& seen, Keys const& key, Values const& value) {
  auto const layer = seen.layer(40, {table, 3});
  for (index h = 0; h < H; ++h)
    for (index t = 0; t < 40; ++t)
      for (index d = 0; d < D; ++d) {
        REQUIRE(&layer.keys(h, t, d) - memory.data() == key(table[t / P], h, t % P, d));
        REQUIRE(&layer.values(h, t, d) - memory.data() == value(table[t / P], h, t % P, d));
      }
  CHECK(kvsieve::check::readable(layer.keys, "keys", 0));
  CHECK(kvsieve::check::readable(layer.values, "values", 0));
}
}  // namespace

TEST_CASE("vllm: FlashAttention's shape, tokens or heads outermost in memory") {
  extents const shape{2, NB, P, H, D};
  engine::pages<float const, P, D> seen;
  CHECK(engine::classify_vllm<P, D>({shape.data(), 5}, H) == engine::vllm_form::keys_then_nhd);
  auto const nhd = strides(shape), hnd = strides(shape, {0, 1, 3, 2, 4});
  REQUIRE(engine::see_vllm(tensor(memory.data(), shape, nhd), H, seen));
  auto const at_nhd = [](index b, index h, index n, index d) { return ((b * P + n) * H + h) * D + d; };
  check_addresses(seen, at_nhd,
                  [&](index b, index h, index n, index d) { return NB * P * H * D + at_nhd(b, h, n, d); });
  REQUIRE(engine::see_vllm(tensor(memory.data(), shape, hnd), H, seen));
  auto const at_hnd = [](index b, index h, index n, index d) { return ((b * H + h) * P + n) * D + d; };
  check_addresses(seen, at_hnd,
                  [&](index b, index h, index n, index d) { return NB * P * H * D + at_hnd(b, h, n, d); });
}

TEST_CASE("vllm: FlashInfer's shape") {
  engine::pages<float const, P, D> seen;
  extents const shape{NB, 2, P, H, D}, swapped{NB, 2, H, P, D};
  REQUIRE(engine::see_vllm(tensor(memory.data(), shape, strides(shape)), H, seen));
  auto const key = [](index b, index h, index n, index d) { return ((b * 2 * P + n) * H + h) * D + d; };
  check_addresses(seen, key, [&](index b, index h, index n, index d) { return key(b, h, n, d) + P * H * D; });
  CHECK(engine::classify_vllm<P, D>({swapped.data(), 5}, H) == engine::vllm_form::pages_then_hnd);
  REQUIRE(engine::see_vllm(tensor(memory.data(), swapped, strides(swapped)), H, seen));
  auto const in_heads = [](index b, index h, index n, index d) { return ((b * 2 * H + h) * P + n) * D + d; };
  check_addresses(seen, in_heads, [&](index b, index h, index n, index d) { return in_heads(b, h, n, d) + P * H * D; });
}

TEST_CASE("vllm: packed rows, LBNHC and LBHNC") {
  engine::pages<float const, P, D> seen;
  extents const shape{NB, H, P, 2 * D};
  CHECK(engine::classify_vllm<P, D>({shape.data(), 4}, H) == engine::vllm_form::packed_heads);
  REQUIRE(engine::see_vllm(tensor(memory.data(), shape, strides(shape, {0, 2, 1, 3})), H, seen));  // LBNHC
  auto const nhc = [](index b, index h, index n, index d) { return ((b * P + n) * H + h) * 2 * D + d; };
  check_addresses(seen, nhc, [&](index b, index h, index n, index d) { return nhc(b, h, n, d) + D; });
  REQUIRE(engine::see_vllm(tensor(memory.data(), shape, strides(shape)), H, seen));  // LBHNC
  auto const hnc = [](index b, index h, index n, index d) { return ((b * H + h) * P + n) * 2 * D + d; };
  check_addresses(seen, hnc, [&](index b, index h, index n, index d) { return hnc(b, h, n, d) + D; });
  REQUIRE(engine::see_vllm(tensor(memory.data(), shape, strides(shape, {1, 0, 2, 3})), H, seen));  // LHBNC
  auto const hbnc = [](index b, index h, index n, index d) { return ((h * NB + b) * P + n) * 2 * D + d; };
  check_addresses(seen, hbnc, [&](index b, index h, index n, index d) { return hbnc(b, h, n, d) + D; });
  CHECK(kvsieve::check::writable(
      seen.layer(40, {table, 3}).keys, "keys", 0, [](index) { return index{0}; }, [](index) { return index{40}; }));
  CHECK(engine::vllm_slot<P>({table, 3}, 37) == 2 * P + 5);
  int const block_table[] = {9, 9, 9, 4, 0, 2};
  CHECK(engine::vllm_table(block_table, 3, 1).pages[2] == 2);
}

TEST_CASE("vllm: shapes that fit nothing, or several forms, are refused") {
  engine::pages<float const, P, D> seen;
  auto const see = [&](extents const& shape, index heads, engine::vllm_form form = engine::vllm_form::unknown) {
    return engine::see_vllm(tensor(memory.data(), shape, strides(shape)), heads, seen, form);
  };
  support::check_refused(see({2, NB, 32, H, D}, H), errc::bad_shape, {"cache.page", "16"});
  support::check_refused(see({2, NB, P, 4, D}, H), errc::bad_shape, {"cache.heads is 4", "3"});
  support::check_refused(see({3, NB, P, H, D}, H), errc::bad_shape, {"cache.keys_and_values", "2"});
  support::check_refused(see({NB, H, P, D}, H), errc::bad_shape, {"cache.channels is 8", "16"});
  support::check_refused(see({NB, P, D}, H), errc::bad_shape, {"cache is 3", "axes"});
  support::check_refused(see({2, 2, P, H, D}, H), errc::bad_shape, {"several forms"});
  support::check_refused(see({2, NB, P, P, D}, P), errc::bad_shape, {"several forms"});
  CHECK(see({2, NB, P, P, D}, P, engine::vllm_form::keys_then_hnd));
  CHECK(seen.keys_pool.stride == kvsieve::hnd_pages(P, P, D));
  support::check_refused(see({NB, H, P, 2 * D}, H, engine::vllm_form::keys_then_nhd), errc::bad_shape, {"axes", "5"});
  extents const shape{NB, H, P, 2 * D}, wide{H * P * 4 * D, P * 4 * D, 4 * D, 2};
  support::check_refused(engine::see_vllm(tensor(memory.data(), shape, wide), H, seen), errc::bad_shape,
                         {"stride of channels"});
}

TEST_CASE("flashinfer: one tensor, two tensors, and page tables") {
  engine::pages<float const, P, D> seen;
  extents const nhd{NB, 2, P, H, D}, hnd{NB, 2, H, P, D};
  auto const key = [](index b, index h, index n, index d) { return ((b * 2 * P + n) * H + h) * D + d; };
  REQUIRE(engine::see_flashinfer(tensor(memory.data(), nhd, strides(nhd)), engine::order::nhd, seen));
  check_addresses(seen, key, [&](index b, index h, index n, index d) { return key(b, h, n, d) + P * H * D; });
  auto const in_heads = [](index b, index h, index n, index d) { return ((b * 2 * H + h) * P + n) * D + d; };
  REQUIRE(engine::see_flashinfer(tensor(memory.data(), hnd, strides(hnd)), engine::order::hnd, seen));
  check_addresses(seen, in_heads, [&](index b, index h, index n, index d) { return in_heads(b, h, n, d) + P * H * D; });
  // Values in a tensor of their own, at a page stride of their own.
  extents const four{NB, P, H, D}, wide{2 * P * H * D, H * D, D, 1};
  REQUIRE(engine::see_flashinfer(tensor(memory.data(), four, strides(four)),
                                 tensor(memory.data() + P * H * D, four, wide), engine::order::nhd, seen));
  check_addresses(
      seen, [](index b, index h, index n, index d) { return ((b * P + n) * H + h) * D + d; },
      [](index b, index h, index n, index d) { return P * H * D + ((b * 2 * P + n) * H + h) * D + d; });
  support::check_refused(engine::see_flashinfer(tensor(memory.data(), hnd, strides(hnd)), engine::order::nhd, seen),
                         errc::bad_shape, {"page is 3", "16"});

  int const indptr[] = {0, 3, 3, 4}, indices[] = {4, 0, 2, 1}, last[] = {8, 0, 16};
  engine::flashinfer_tables const tables{indptr, indices, last, 3};
  engine::flashinfer_request r;
  REQUIRE(engine::request_of<P>(tables, 0, r));
  CHECK(r.tokens == 40);
  CHECK(r.table.entries == 3);
  CHECK(r.table.pages[1] == 0);
  REQUIRE(engine::request_of<P>(tables, 1, r));
  CHECK(r.tokens == 0);
  REQUIRE(engine::request_of<P>(tables, 2, r));
  CHECK(r.tokens == 16);
  CHECK(engine::last_page_length<P>(40) == 8);
  CHECK(engine::last_page_length<P>(16) == 16);
  CHECK(engine::last_page_length<P>(0) == 0);
  int const bad[] = {17, 0, 16}, falling[] = {0, 3, 2, 4};
  support::check_refused(engine::request_of<P>({indptr, indices, bad, 3}, 0, r), errc::bad_shape,
                         {"last_page_len is 17", "16"});
  support::check_refused(engine::request_of<P>({falling, indices, last, 3}, 1, r), errc::bad_shape,
                         {"indptr is 2", "3"});
  support::check_refused(engine::request_of<P>(tables, 3, r), errc::bad_params, {"request is 3", "3"});
}

TEST_CASE("flashinfer: a head as a request, in every order") {
  auto const same = [](engine::pages<float const, P, D> const& seen, index unit) {
    engine::head_requests heads;
    REQUIRE(engine::see_heads(seen.keys_pool, H, heads));
    CHECK(heads.pool.stride.page == unit);
    for (index h = 0; h < H; ++h) {
      int ids[3];
      for (int i = 0; i < 3; ++i) ids[i] = static_cast<int>(heads.page(table[i], h));
      auto const own = kvsieve::make_paged<P, D>(seen.keys, 1, 40, heads.pool, {ids, 3});
      REQUIRE(kvsieve::check::readable(own, "keys", 0));
      auto const all = seen.layer(40, {table, 3});
      for (index t = 0; t < 40; ++t) REQUIRE(&own(0, t, 5) == &all.keys(h, t, 5));
    }
    return heads;
  };
  engine::pages<float const, P, D> seen;
  extents const nhd{NB, 2, P, H, D}, hnd{NB, 2, H, P, D}, packed{NB, H, P, 2 * D};
  REQUIRE(engine::see_flashinfer(tensor(memory.data(), hnd, strides(hnd)), engine::order::hnd, seen));
  CHECK(same(seen, P * D).page(4, 2) == 4 * 2 * H + 2);
  REQUIRE(engine::see_flashinfer(tensor(memory.data(), nhd, strides(nhd)), engine::order::nhd, seen));
  CHECK(same(seen, D).page(4, 2) == 4 * 2 * P * H + 2);
  REQUIRE(engine::see_vllm(tensor(memory.data(), packed, strides(packed)), H, seen));
  CHECK(same(seen, P * 2 * D).page(4, 2) == 4 * H + 2);
  REQUIRE(engine::see_vllm(tensor(memory.data(), packed, strides(packed, {1, 0, 2, 3})), H, seen));  // LHBNC
  CHECK(same(seen, P * 2 * D).page(4, 2) == 4 + 2 * NB);
  engine::head_requests heads;
  support::check_refused(engine::see_heads({4, {100, 64, 64}}, 2, heads), errc::bad_shape,
                         {"pool.stride is 100", "64"});
  support::check_refused(engine::see_heads({4, {100, 0, 64}}, 2, heads), errc::bad_shape,
                         {"pool.stride.head is 0", "100"});
}

TEST_CASE("tensorrt_llm: keys and values are blocks of their own") {
  engine::pages<float const, P, D> seen;
  REQUIRE(engine::see_tensorrt_llm(memory.data(), 2 * NB, H, seen));
  //                      keys        values      of beam 1: keys, values
  int const offsets[] = {8, 0, 4, 9, 1, 5, 7, 2, 6, 3, 3, 3};
  engine::tensorrt_llm_offsets const o{offsets, 1, 2, 3};
  kvsieve::page_table k, v;
  REQUIRE(engine::tables_of(o, 0, 0, k, v));
  auto const layer = seen.layer(40, k, v);
  auto const at = [](index block, index h, index t, index d) { return ((block * H + h) * P + t) * D + d; };
  for (index h = 0; h < H; ++h)
    for (index t = 0; t < 40; ++t) {
      REQUIRE(&layer.keys(h, t, 3) - memory.data() == at(offsets[t / P], h, t % P, 3));
      REQUIRE(&layer.values(h, t, 3) - memory.data() == at(offsets[3 + t / P], h, t % P, 3));
    }
  CHECK(!kvsieve::check::rows_meet(layer.keys, 40, layer.values, 40));
  REQUIRE(engine::tables_of(o, 0, 1, k, v));
  CHECK(k.pages[0] == 7);
  CHECK(v.pages[0] == 3);
  support::check_refused(engine::tables_of(o, 1, 0, k, v), errc::bad_params, {"sequence is 1", "1"});
  support::check_refused(engine::tables_of(o, 0, 2, k, v), errc::bad_params, {"beam is 2", "2"});
  int const on_host[] = {8, static_cast<int>(0x80000001u), 4};
  support::check_refused(kvsieve::check::readable(seen.layer(40, {on_host, 3}).keys, "keys", 0), errc::bad_shape,
                         {"keys", "page", "10"});
  CHECK(engine::cyclic_token(3, 4, 10) == 3);
  CHECK(engine::cyclic_token(10, 4, 10) == 4);
  CHECK(engine::cyclic_token(17, 4, 10) == 5);
}
}  // namespace engine_tests
