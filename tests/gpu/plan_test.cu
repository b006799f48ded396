// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The device's plans and compactions on a real GPU: equal to the plain reference and to the host's, the same in every
// run, and the same when replayed from a CUDA graph.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <kvsieve/reference/attention.hpp>
#include <kvsieve/reference/average.hpp>
#include <kvsieve/reference/group.hpp>
#include <kvsieve/reference/key_diff.hpp>
#include <kvsieve/reference/key_norm.hpp>
#include <kvsieve/reference/lag_relative.hpp>
#include <kvsieve/reference/mean.hpp>
#include <kvsieve/reference/top_k.hpp>

#include "plan.hpp"

using namespace kvsieve_test;

namespace {
/// Scores near the expected ones, forced tokens apart; and the kept set that follows from the scores themselves.
void check(result const& got, std::vector<double> const& expected, double bound,
           kvs::reference::forced_tokens const& forced) {
  int far = 0;
  for (std::size_t t = 0; t < expected.size(); ++t) {
    double const s = static_cast<double>(got.score[t]);
    if (std::isinf(s) || (std::isnan(s) && std::isnan(expected[t]))) continue;
    if (!(std::abs(s - expected[t]) <= bound)) ++far;
  }
  CHECK(far == 0);
  std::vector<double> const wide(got.score.begin(), got.score.end());
  CHECK(got.kept == kvs::reference::top_k(wide, static_cast<int>(got.kept.size()), forced));
}

void several_lengths() {
  constexpr int D = 128;
  stream s;
  kvs::device::on const on{s.handle};
  std::vector<std::unique_ptr<tensor<kvs::bf16, D>>> keys;
  std::vector<kvs::kv_layer<kvs::rows<kvs::bf16, D>>> layers;
  for (int n : {1, 5, 63, 64, 65, 1000, 3001, 70001}) {
    keys.push_back(std::make_unique<tensor<kvs::bf16, D>>(2, n, static_cast<unsigned>(n)));
    if (n > 100) keys.back()->host[7 * D + 3] = kvs::from_float<kvs::bf16>(std::nanf(""));
    keys.back()->upload();
    layers.push_back({keys.back()->on_device(), keys.back()->on_device()});
  }
  kvs::kv_group<kvs::kv_layer<kvs::rows<kvs::bf16, D>>> const group(layers.data(), layers.size());
  auto const run = [&]<class C>(C, auto const& reference) {
    typename C::params const p{.budget = {.keep = 0.4}, .select = {.sink = 2, .recent = 16}};
    auto const size = kvs::workspace_bytes<C>(on, group, p);
    buffer const memory(size.device), again(size.device);
    std::vector<std::byte> host(size.host), host_again(size.host);
    kvs::token_plan const plan = kvs::plan<C>(on, group, p, workspace_of(memory, host));
    kvs::token_plan const twice = kvs::plan<C>(on, group, p, workspace_of(again, host_again));
    REQUIRE(plan);
    REQUIRE(twice);
    s.wait();
    for (int v = 0; v < plan.views; ++v) {
      for (int h = 0; h < plan.heads; ++h) {
        CAPTURE(v, h);
        std::vector<double> expected(static_cast<std::size_t>(plan.tokens(v)));
        reference(keys[static_cast<std::size_t>(v)]->on_host(), h, expected);
        result const got = fetch(plan, v, h), other = fetch(twice, v, h);
        check(got, expected, 2e-4, {.sink = 2, .recent = 16});
        CHECK(got.kept == other.kept);
        CHECK(std::memcmp(got.score.data(), other.score.data(), got.score.size() * sizeof(float)) == 0);
      }
    }
  };
  run(kvs::key_diff<>{}, [](auto const& k, int h, auto& e) { kvs::reference::key_diff(k, h, e); });
  run(kvs::key_norm<>{}, [](auto const& k, int h, auto& e) { kvs::reference::key_norm(k, h, e); });
}

void white_list() {
  constexpr int D = 64, tokens = 3000, window = 32, group = 4;
  stream s;
  kvs::device::on const on{s.handle};
  tensor<kvs::f16, D> const keys(2, tokens, 1), queries(2 * group, window, 2);
  keys.upload();
  queries.upload();
  std::vector<int> const listed{10, 700, 701, 2990};
  buffer const list(listed.size() * sizeof(int));
  REQUIRE(cudaMemcpy(list.as<int>(), listed.data(), listed.size() * sizeof(int), cudaMemcpyHostToDevice) ==
          cudaSuccess);
  kvs::kv_layer const layer{keys.on_device(), keys.on_device()};
  kvs::snap_kv<>::params const p{.score = {.window = window},
                                 .smooth = {.kernel = 7},
                                 .budget = {.tokens = 500},
                                 .select = {.sink = 4, .white_list = {list.as<int>(), listed.size()}}};
  auto const size = kvs::workspace_bytes<kvs::snap_kv<>>(on, layer, queries.on_device(), p);
  buffer const memory(size.device);
  std::vector<std::byte> host(size.host);
  kvs::token_plan const plan = kvs::plan<kvs::snap_kv<>>(on, layer, queries.on_device(), p, workspace_of(memory, host));
  REQUIRE(plan);
  s.wait();
  for (int h = 0; h < 2; ++h) {
    std::vector<double> each(static_cast<std::size_t>(group) * tokens), prob(static_cast<std::size_t>(window) * tokens),
        mean(tokens);
    for (int g = 0; g < group; ++g) {
      kvs::reference::attention(queries.on_host(), h * group + g, keys.on_host(), h, window, prob);
      kvs::reference::mean(prob, window, mean);
      std::copy(mean.begin(), mean.end(), each.begin() + static_cast<std::ptrdiff_t>(g) * tokens);
    }
    kvs::reference::group_mean(each, group, mean);
    std::vector<double> pooled(mean);
    kvs::reference::average_pool(std::span<double const>(mean).first(tokens - window), 7,
                                 std::span(pooled).first(tokens - window));
    check(fetch(plan, 0, h), pooled, 1e-6, {.sink = 4, .recent = window, .white_list = listed});
  }
}

void same_plan() {
  grouped_cache<kvs::bf16, 128> const c(2, 4, {2500, 64, 999}, 11);
  same_as_host<kvs::key_norm<>>(c, {.budget = {.keep = 0.3}, .select = {.sink = 4, .recent = 8}});
  same_as_host<kvs::key_diff<>>(c, {.budget = {.keep = 0.5}});
  same_as_host<kvs::lag_kv_streaming<>>(c, {.score = {.lag = 256}, .budget = {.keep = 0.3}});
  same_as_host<kvs::streaming_llm<>>(c, {.budget = {.keep = 0.2}});
  same_as_host<kvs::random<>>(c, {.score = {.seed = 3}});
  same_as_host<kvs::snap_kv<>>(c, {.score = {.window = 64}});
  same_as_host<kvs::tova<>>(c, {.budget = {.keep = 0.1}});
  same_as_host<kvs::h2o<>>(c, {.budget = {.keep = 0.4}});
}

void streaming_partitions() {
  constexpr int D = 128, tokens = 1000, sink = 4, lag = 128;
  stream s;
  kvs::device::on const on{s.handle};
  tensor<float, D> const keys(2, tokens, 3), values(2, tokens, 4);
  keys.upload();
  values.upload();
  kvs::kv_layer const layer{keys.on_device(), values.on_device()};
  using lag_kv = kvs::lag_kv_streaming<>;
  lag_kv::params const p{.score = {.sink = sink, .lag = lag}, .budget = {.keep = 0.25}};
  auto const size = kvs::workspace_bytes<lag_kv>(on, layer, p);
  buffer const memory(size.device);
  std::vector<std::byte> host(size.host);
  kvs::token_plan const plan = kvs::plan<lag_kv>(on, layer, p, workspace_of(memory, host));
  REQUIRE(plan);
  s.wait();
  for (int h = 0; h < 2; ++h) {
    std::vector<double> expected(tokens);
    kvs::reference::lag_relative_streaming(keys.on_host(), values.on_host(), h, sink, lag, 1.0, expected);
    result const got = fetch(plan, 0, h);
    for (std::size_t t = 0; t < tokens; ++t) {
      if (std::isinf(expected[t]) ? got.score[t] != INFINITY : !(std::abs(got.score[t] - expected[t]) < 1e-5))
        FAIL_CHECK("token " << t);
    }
    std::vector<double> const wide(got.score.begin(), got.score.end());
    CHECK(got.kept == kvs::reference::top_k_in_partitions(wide, sink, lag, (tokens - sink) / lag - 1, lag / 4));
  }
}

void compaction() {
  constexpr int D = 80, tokens = 2000, keep = 777;
  using strategy = kvs::key_diff<>;
  stream s;
  kvs::device::on const on{s.handle};
  tensor<kvs::f16, D> const keys(3, tokens, 5), values(3, tokens, 6);
  tensor<kvs::f16, D> const to_keys(3, keep, 7), to_values(3, keep, 8);
  kvs::kv_layer const layer{keys.on_device(), values.on_device()}, to{to_keys.on_device(), to_values.on_device()};
  strategy::params const p{.budget = {.tokens = keep}, .select = {.sink = 4, .recent = 8}};
  auto const size = kvs::workspace_bytes<strategy>(on, layer, p);
  buffer const memory(size.device);
  std::vector<std::byte> host(size.host);

  auto const work = [&](kvs::token_plan& plan) {
    plan = kvs::plan<strategy>(on, layer, p, workspace_of(memory, host));
    REQUIRE(plan);
    REQUIRE(kvs::apply<strategy>(on, plan, layer, to));
    REQUIRE(kvs::apply<strategy>(on, plan, layer));
  };
  auto const verify = [&](kvs::token_plan const& plan) {
    auto const beside = to_keys.download(), beside_v = to_values.download(), in_place = keys.download(),
               in_place_v = values.download();
    int wrong = 0;
    for (int h = 0; h < 3; ++h) {
      auto const list = fetch(plan, 0, h).kept;
      REQUIRE(list.size() == keep);
      for (std::size_t i = 0; i < keep; ++i) {
        for (std::size_t d = 0; d < D; ++d) {
          auto const head = static_cast<std::size_t>(h);
          std::size_t const from = (head * tokens + static_cast<std::size_t>(list[i])) * D + d;
          std::size_t const at = (head * keep + i) * D + d, front = (head * tokens + i) * D + d;
          wrong += beside[at] == keys.host[from] && beside_v[at] == values.host[from] &&
                           in_place[front] == keys.host[from] && in_place_v[front] == values.host[from]
                       ? 0
                       : 1;
        }
      }
    }
    CHECK(wrong == 0);
  };
  keys.upload();
  values.upload();
  kvs::token_plan plan;
  work(plan);
  s.wait();
  verify(plan);
  auto const direct = fetch(plan, 0, 1).kept;

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  REQUIRE(cudaStreamBeginCapture(s.handle, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  work(plan);
  REQUIRE(cudaStreamEndCapture(s.handle, &graph) == cudaSuccess);
  REQUIRE(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
  for (int replay = 0; replay < 2; ++replay) {
    keys.upload();
    values.upload();
    REQUIRE(cudaMemset(memory.as<void>(), 0xcd, size.device) == cudaSuccess);
    REQUIRE(cudaMemset(to_keys.device.as<void>(), 0, to_keys.host.size() * 2) == cudaSuccess);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
    REQUIRE(cudaGraphLaunch(exec, s.handle) == cudaSuccess);
    s.wait();
    verify(plan);
    CHECK(fetch(plan, 0, 1).kept == direct);
  }
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
}
}  // namespace

std::span<gpu_case const> kvsieve_test::plan_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: KeyDiff and key norm over views of several lengths", "[gpu][score]", several_lengths},
      {"GPU: SnapKV, with a white list on the device", "[gpu][score]", white_list},
      {"GPU: the host makes the same plan", "[gpu][plan]", same_plan},
      {"GPU: streaming LagKV keeps the same share of every partition", "[gpu][score][sanitize]", streaming_partitions},
      {"GPU: compaction beside and in place, directly and from a graph", "[gpu][evict][sanitize]", compaction}};
  return all;
}
