// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/reference/zero_merge.hpp>

#include <catch2/catch_all.hpp>

#include "merging.hpp"

using namespace kvsieve;

TEST_CASE("zero_merge averages what does not stay into slots in front of the kept rows") {
  using C = compressor<score::random, evict::zero_merge>;
  CHECK(support::holds("zero_merge", 100, [] {
    auto const s = *support::shapes(1, 300);
    C::params params{.score = {.seed = s.seed}, .budget = {.keep = *support::fractions()}};
    params.evict.residual = *rc::gen::element(1, 2, 7, 500);
    params.evict.most_bias = *rc::gen::element(2.0f, 15.9375f);
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      support::merged<C, T, D, Strided> const m(s, params);
      for (int v = 0; v < s.views(); ++v)
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const head = m.head(v, h);
          auto const want = reference::zero_merge(head, params.evict.residual);
          RC_ASSERT(static_cast<int>(want.keys.size()) == merged_rows<C>(m.p.plan, params, v, h));
          support::assert_merged(m, v, h, want, static_cast<double>(params.evict.most_bias));
        }
    });
  }));
}

TEST_CASE("zero_merge: alpha scales the bias, and all tokens are counted") {
  using C = compressor<score::random, evict::zero_merge>;
  support::shape s;
  s.kv_heads = 2;
  s.tokens = {200};
  C::params params{.budget = {.keep = 0.25}};
  params.evict = {.residual = 3, .alpha = 0.5f};
  support::merged<C, float, 64, false> const m(s, params);
  for (int h = 0; h < 2; ++h) {
    for (int i = 0; i < 3; ++i) CHECK(m.bias(0, h, i) == decode_bias(encode_bias(0.5f * std::log(50.0f))));
    for (int i = 3; i < 53; ++i) CHECK(m.bias(0, h, i) == 0.0f);
  }
}
