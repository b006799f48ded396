// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "emulated_plan.hpp"

#include <kvsieve/reference/compact.hpp>

using namespace kvsieve_test;

namespace {
using strategy = kvs::random<>;

template <class V>
bool same_rows(V const& a, V const& b, int head, int rows) {
  std::size_t const bytes = static_cast<std::size_t>(rows) * kvs::head_dim_of<V> * sizeof(kvs::element_of<V>);
  return std::memcmp(&a(head, 0, 0), &b(head, 0, 0), bytes) == 0;
}

template <class T, int D, int Threads>
void check_compaction(int heads, int tokens, int keep) {
  CAPTURE(D, Threads, tokens, keep);
  cache<T, D> a(heads, tokens, 1), b(heads, tokens + 3, 2);
  std::vector const layers{a.layer(), b.layer()};
  auto const made = emulated_plan<strategy, Threads>(layers, {.budget = {.tokens = keep}});
  cache<T, D> to_a(heads, made.plan.count(0) + 1, 3), to_b(heads, made.plan.count(1) + 1, 4);
  cache<T, D> want_a = to_a, want_b = to_b;
  for (int h = 0; h < heads; ++h) {
    kvs::reference::compact(a.keys.view(), h, made.plan.kept(0, h), want_a.keys.view());
    kvs::reference::compact(a.values.view(), h, made.plan.kept(0, h), want_a.values.view());
    kvs::reference::compact(b.keys.view(), h, made.plan.kept(1, h), want_b.keys.view());
    kvs::reference::compact(b.values.view(), h, made.plan.kept(1, h), want_b.values.view());
  }
  emulated_device<Threads> const on;
  using layer_type = decltype(a.layer());
  std::vector<layer_type> const to{to_a.layer(), to_b.layer()};
  REQUIRE(kvs::device::copy_kept<strategy>(on, made.plan, kvs::kv_group<layer_type>(layers.data(), 2),
                                           kvs::kv_group<layer_type>(to.data(), 2)));
  REQUIRE(kvs::device::move_kept<strategy>(on, made.plan, kvs::kv_group<layer_type>(layers.data(), 2)));
  for (int h = 0; h < heads; ++h) {
    CHECK(same_rows(to_a.keys.view(), want_a.keys.view(), h, made.plan.count(0) + 1));  // the row behind is untouched
    CHECK(same_rows(to_a.values.view(), want_a.values.view(), h, made.plan.count(0) + 1));
    CHECK(same_rows(to_b.keys.view(), want_b.keys.view(), h, made.plan.count(1) + 1));
    CHECK(same_rows(a.keys.view(), want_a.keys.view(), h, made.plan.count(0)));
    CHECK(same_rows(a.values.view(), want_a.values.view(), h, made.plan.count(0)));
    CHECK(same_rows(b.values.view(), want_b.values.view(), h, made.plan.count(1)));
  }
}
}  // namespace

TEST_CASE("compaction kernels: copies and moves equal the reference bit for bit", "[device][evict]") {
  for (int const keep : {0, 1, 30, 64}) check_compaction<kvs::bf16, 64, 64>(2, 65, keep);
  check_compaction<float, 64, 32>(1, 100, 99);
  check_compaction<kvs::f16, 80, 64>(2, 63, 31);
  check_compaction<float, 128, 128>(1, 5, 3);
  check_compaction<kvs::bf16, 128, 64>(1, 400, 150);
  if constexpr (!race_check) check_compaction<float, 256, 64>(1, 1000, 700);
}

TEST_CASE("compaction kernels: rows that are not aligned to 16 bytes move by elements", "[device][evict]") {
  constexpr int tokens = 40, stride = 67;
  std::vector<float> k(tokens * stride + 1), v(tokens * stride + 1), out_k(20 * 64), out_v(20 * 64);
  for (std::size_t i = 0; i < k.size(); ++i) {
    k[i] = static_cast<float>(i);
    v[i] = -static_cast<float>(i);
  }
  kvs::kv_layer const layer{kvs::make_rows<64>(k.data() + 1, 1, tokens, 0, stride),
                            kvs::make_rows<64>(v.data() + 1, 1, tokens, 0, stride)};
  kvs::kv_layer const to{kvs::make_rows<64>(out_k.data(), 1, 20), kvs::make_rows<64>(out_v.data(), 1, 20)};
  std::vector const layers{layer};
  auto const made = emulated_plan<strategy, 64>(layers, {.budget = {.tokens = 20}});
  emulated_device<64> const on;
  using layer_type = std::remove_const_t<decltype(layer)>;
  REQUIRE(kvs::device::copy_kept<strategy>(on, made.plan, kvs::kv_group<layer_type>(&layer, 1),
                                           kvs::kv_group<layer_type>(&to, 1)));
  REQUIRE(kvs::device::move_kept<strategy>(on, made.plan, kvs::kv_group<layer_type>(&layer, 1)));
  for (int i = 0; i < 20; ++i) {
    int const t = kept(made.plan, 0, 0)[static_cast<std::size_t>(i)];
    for (int d = 0; d < 64; ++d) {
      CHECK(out_k[static_cast<std::size_t>(i * 64 + d)] == static_cast<float>(1 + t * stride + d));
      CHECK(layer.values(0, i, d) == -static_cast<float>(1 + t * stride + d));
    }
  }
}
