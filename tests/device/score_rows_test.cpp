// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "emulated_plan.hpp"

#include <cuda/std/array>
#include <kvsieve/reference/key_diff.hpp>
#include <kvsieve/reference/key_norm.hpp>
#include <kvsieve/reference/random.hpp>
#include <kvsieve/reference/top_k.hpp>

using namespace kvsieve_test;

namespace {
/// Scores by both per-row policies and compares with the reference; what is kept has to follow from the scores.
template <class T, int D, int Threads>
void check_rows(int heads, int tokens, bool hostile) {
  CAPTURE(D, Threads, tokens, hostile);
  cache<T, D> c(heads, tokens, static_cast<unsigned>(tokens + D));
  if (hostile) {
    for (int h = 0; h < heads; ++h) {
      c.keys.at(h, 0, D - 1) = kvs::from_float<T>(not_a_number);
      c.keys.at(h, tokens / 2, 3) = kvs::from_float<T>(-infinite);
      for (int d = 0; d < D; ++d) c.keys.at(h, tokens - 1, d) = T{};
    }
  }
  using layer_type = decltype(c.layer());
  std::vector<layer_type> const layers{c.layer()};
  std::vector<double> expected(static_cast<std::size_t>(tokens));
  {
    auto const made = emulated_plan<kvs::key_norm<>, Threads>(layers, {.budget = {.keep = 0.4}});
    for (int h = 0; h < heads; ++h) {
      kvs::reference::key_norm(c.keys.view(), h, expected);
      CHECK(near(scores(made.plan, 0, h), expected, 2e-6));
      CHECK(kept(made.plan, 0, h) == kvs::reference::top_k(scores(made.plan, 0, h), made.plan.count(0, h)));
    }
  }
  auto const made = emulated_plan<kvs::key_diff<>, Threads>(layers, {.budget = {.keep = 0.4}});
  for (int h = 0; h < heads; ++h) {
    kvs::reference::key_diff(c.keys.view(), h, expected);
    CHECK(near(scores(made.plan, 0, h), expected, 1e-5));
    CHECK(kept(made.plan, 0, h) == kvs::reference::top_k(scores(made.plan, 0, h), made.plan.count(0, h)));
  }
}
}  // namespace

TEST_CASE("per-row kernels: key norm and KeyDiff agree with the reference", "[device][score]") {
  for (int const n : {1, 5, 63, 64, 65}) check_rows<float, 64, 64>(2, n, false);
  check_rows<float, 128, 32>(1, 65, true);
  check_rows<kvs::f16, 80, 64>(1, 131, true);
  check_rows<kvs::bf16, 96, 128>(1, 70, true);
  check_rows<kvs::bf16, 256, 64>(2, 33, false);
  if constexpr (race_check) {
    check_rows<kvs::bf16, 128, 64>(1, 520, true);
  } else {
    check_rows<kvs::bf16, 128, 64>(2, 1000, true);
    check_rows<float, 64, 128>(1, 3001, true);
  }
}

TEST_CASE("per-row kernels: sums do not depend on the other views of a call", "[device][score]") {
  cache<float, 64> a(2, 600, 1), b(2, 70, 2);
  std::vector const both{a.layer(), b.layer()}, alone{b.layer()};
  auto const grouped = emulated_plan<kvs::key_diff<>, 64>(both, {});
  auto const single = emulated_plan<kvs::key_diff<>, 64>(alone, {});
  for (int h = 0; h < 2; ++h) {
    CHECK(scores(grouped.plan, 1, h) == scores(single.plan, 0, h));
    CHECK(kept(grouped.plan, 1, h) == kept(single.plan, 0, h));
  }
}

TEST_CASE("position and random kernels: scores are those of the policy", "[device][score]") {
  cache<float, 64> a(2, 130, 1), b(2, 70, 2);
  std::vector const layers{a.layer(), b.layer()};
  auto const drawn = emulated_plan<kvs::random<>, 64>(layers, {.score = {.seed = 7}});
  auto const newest = emulated_plan<kvs::streaming_llm<>, 64>(layers, {.score = {.sink = 4}, .budget = {.keep = 0.2}});
  for (int v = 0; v < 2; ++v) {
    for (int h = 0; h < 2; ++h) {
      int const n = drawn.plan.tokens(v);
      std::vector<double> expected(static_cast<std::size_t>(n));
      kvs::reference::random(7, static_cast<std::uint64_t>(2 * v + h), expected);
      CHECK(scores(drawn.plan, v, h) == expected);
      CHECK(kept(drawn.plan, v, h) == kvs::reference::top_k(expected, n / 4));
      for (int t = 0; t < n; ++t) expected[static_cast<std::size_t>(t)] = t;
      CHECK(kept(newest.plan, v, h) == kvs::reference::top_k(expected, n / 5, {.sink = 4}));
    }
  }
}

TEST_CASE("kernels read and write rows of any layout, an element at a time", "[device][score][evict]") {
  constexpr int tokens = 70, D = 64;
  cache<float, D> c(2, tokens, 8);
  // The same cache with its channels far apart: [heads, channels, tokens] in memory.
  std::vector<float> keys(2 * D * tokens), values(2 * D * tokens);
  using strided = kvs::rows<float, D, kvs::cs::layout_stride>;
  auto const across = [](float* data) {
    return strided(data, kvs::cs::layout_stride::mapping<kvs::row_extents<D>>(
                             kvs::row_extents<D>(2, tokens), kvs::cs::array<kvs::index, 3>{D * tokens, 1, tokens}));
  };
  kvs::kv_layer const layer{across(keys.data()), across(values.data())};
  for (int h = 0; h < 2; ++h) {
    for (int t = 0; t < tokens; ++t) {
      for (int d = 0; d < D; ++d) {
        layer.keys(h, t, d) = c.keys.at(h, t, d);
        layer.values(h, t, d) = c.values.at(h, t, d);
      }
    }
  }
  std::vector const plain{c.layer()};
  std::vector const far{layer};
  auto const a = emulated_plan<kvs::key_diff<>, 64>(plain, {});
  auto const b = emulated_plan<kvs::key_diff<>, 64>(far, {});
  using far_type = std::remove_const_t<decltype(layer)>;
  REQUIRE(kvs::device::move_kept<kvs::key_diff<>>(emulated_device<64>{}, b.plan, kvs::kv_group<far_type>(&layer, 1)));
  for (int h = 0; h < 2; ++h) {
    CHECK(scores(a.plan, 0, h) == scores(b.plan, 0, h));
    CHECK(kept(a.plan, 0, h) == kept(b.plan, 0, h));
    for (int i = 0; i < b.plan.count(0); ++i) {
      int const t = kept(b.plan, 0, h)[static_cast<std::size_t>(i)];
      for (int d = 0; d < D; ++d) CHECK(layer.values(h, i, d) == c.values.at(h, t, d));
    }
  }
}
