// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels between scoring and selection: lift, weight, pool, scale and heads give what the host gives.
#include "emulated_plan.hpp"

#include <kvsieve/host/run.hpp>
#include <kvsieve/lift/mean.hpp>
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/weigh/value_norm.hpp>

using namespace kvsieve_test;

namespace {
/// Plans on emulated blocks and on the host; scores agree, and what is kept follows from them.
template <class C, int D, int Threads>
void agrees(int heads, int tokens, typename C::params params, double least = 1e-3) {
  CAPTURE(D, Threads, tokens);
  cache<float, D> c(heads, tokens, 3);
  tensor<float, D> q(2 * heads, tokens, 9);
  if (tokens > 20) c.values.at(0, 5, 1) = infinite;
  params.score.window = tokens < 8 ? tokens : 8;
  std::vector const layers{c.layer()};
  std::vector const queries{q.view()};
  auto const made = emulated_plan<C, Threads>(layers, params, queries);
  kvs::host::on const on;
  std::size_t const bytes = kvs::workspace_bytes<C>(on, layers[0], queries[0], params);
  std::vector<workspace_line> memory(bytes / 64 + 1);
  auto const whole =
      kvs::plan<C>(on, layers[0], queries[0], params, std::span(reinterpret_cast<std::byte*>(memory.data()), bytes));
  REQUIRE(whole);
  for (int h = 0; h < heads; ++h) CHECK(near(scores(made.plan, 0, h), scores(whole, 0, h), 2e-5, least));
}
}  // namespace

TEST_CASE("kernels between scoring and selection agree with the host", "[device][score]") {
  using kvs::snap_kv;
  for (int const n : {1, 9, 70, 300}) {
    agrees<snap_kv<kvs::lift::mean>, 64, 64>(2, n, {});
    agrees<snap_kv<kvs::weigh::value_norm>, 64, 64>(2, n, {.weigh = {.epsilon = 0.01f}});
    agrees<snap_kv<kvs::scale::z_score>, 64, 32>(3, n, {}, 1);  // deviations of about 1, some near 0
  }
  agrees<snap_kv<kvs::lift::mean, kvs::weigh::value_norm, kvs::scale::z_score, kvs::aggregate::heads_sum>, 80, 64>(
      2, 130, {}, 1);
  agrees<snap_kv<kvs::smooth::max, kvs::aggregate::heads_own_and_mean>, 96, 128>(2, 130, {});
}

TEST_CASE("kernels between scoring and selection pass over first tokens that the score forces", "[device][score]") {
  using strategy = kvs::streaming_llm<kvs::lift::mean, kvs::smooth::average, kvs::scale::z_score>;
  for (int const n : {3, 12, 70, 2100}) {
    CAPTURE(n);
    cache<float, 64> c(2, n, 3);
    std::vector const layers{c.layer()};
    strategy::params const params{.score = {.sink = 5}, .smooth = {.kernel = 3}};
    auto const made = emulated_plan<strategy, 64>(layers, params);
    kvs::host::on const on;
    std::size_t const bytes = kvs::workspace_bytes<strategy>(on, layers[0], params);
    std::vector<workspace_line> memory(bytes / 64 + 1);
    auto const whole =
        kvs::plan<strategy>(on, layers[0], params, std::span(reinterpret_cast<std::byte*>(memory.data()), bytes));
    REQUIRE(whole);
    for (int h = 0; h < 2; ++h) CHECK(near(scores(made.plan, 0, h), scores(whole, 0, h), 2e-5, 1));
  }
}
