// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The same bits of scores and the same kept tokens, whoever does the work.
#include <cstring>
#include <memory>
#include <thread>

#include <catch2/catch_all.hpp>

#include <kvsieve/aggregate/last_above.hpp>
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/aggregate/worst_case.hpp>
#include <kvsieve/lift/mean.hpp>
#include <kvsieve/weigh/projected_value.hpp>

#include "planned.hpp"
#include "race_check.hpp"

namespace {
using namespace kvsieve;

struct outcome {
  std::vector<std::vector<float>> scores;
  std::vector<std::vector<int>> kept;
  bool operator==(outcome const& o) const {
    if (kept != o.kept || scores.size() != o.scores.size()) return false;
    for (std::size_t i = 0; i < scores.size(); ++i)
      if (scores[i].size() != o.scores[i].size() ||
          std::memcmp(scores[i].data(), o.scores[i].data(), scores[i].size() * sizeof(float)) != 0)
        return false;
    return true;
  }
};

// A standing team, or threads of the caller's own, as many as it likes, each taking every third job: one type, so that
// each strategy is compiled once.
struct pool {
  host::team* team = nullptr;

  template <class Job>
  void operator()(int n, Job const& job) const {
    if (team != nullptr) return team->run(job);
    std::vector<std::thread> threads;
    for (int w = 0; w < 3; ++w)
      threads.emplace_back([&job, n, w] {
        for (int i = w; i < n; i += 3) job(i);
      });
    for (auto& t : threads) t.join();
  }
};

template <class C, class On, class Layers>
outcome run(On const& on, Layers const& layers, typename C::params const& params) {
  std::vector<decltype(layers[0].const_view())> views;
  std::vector<decltype(layers[0].queries.view())> queries;
  for (auto const& l : layers) {
    views.push_back(l.const_view());
    queries.push_back(l.queries.view());
  }
  using view = typename decltype(views)::value_type;
  using query = typename decltype(queries)::value_type;
  cs::span<view const> const all(views.data(), views.size());
  cs::span<query const> const asked(queries.data(), queries.size());
  auto const make = [&](auto const&... arguments) {
    support::workspace memory(workspace_bytes<C>(on, arguments..., params));
    token_plan const plan = kvsieve::plan<C>(on, arguments..., params, memory.span());
    REQUIRE(plan);
    outcome o;
    for (int v = 0; v < plan.views; ++v)
      for (int h = 0; h < plan.heads; ++h) {
        auto const scores = plan.scores(v, h);
        auto const kept = plan.kept(v, h);
        o.scores.emplace_back(scores.begin(), scores.end());
        o.kept.emplace_back(kept.begin(), kept.end());
      }
    return o;
  };
  if constexpr (C::observes_queries)
    return make(all, asked);
  else
    return make(all);
}

// ThreadSanitizer looks for races, of which a few threads tell; without it every number is the same.
std::vector<int> const standing_workers =
                           kvsieve_test::race_check ? std::vector{3, 8} : std::vector{1, 2, 3, 4, 5, 6, 7, 8},
                       own_workers = kvsieve_test::race_check ? std::vector{3} : std::vector{2, 3, 7};

// Few heads over many tokens, and many heads of different lengths: drivers cut their work differently.
template <class C>
void same_for_all(int query_tokens, typename C::params const& params, int long_tokens = 5000) {
  std::vector<std::vector<support::layer<bf16, 64>>> caches(2);
  auto const queries = [&](int n) { return query_tokens < 0 ? n : std::min(n, query_tokens); };
  caches[0].emplace_back(1, 3, long_tokens, queries(long_tokens), support::layout::packed, support::content::normal,
                         1u);
  for (int const n : {900, 70, long_tokens / 2, 300})
    caches[1].emplace_back(3, 2, n, queries(n), support::layout::nhd, support::content::non_finite, 2u);
  for (auto const& layers : caches) {
    pool const threads;
    outcome const alone = run<C>(host::on{1, threads}, layers, params);
    for (int const workers : standing_workers) {
      CAPTURE(workers, layers.size());
      host::team team{workers};
      pool const standing{&team};
      CHECK(run<C>(host::on{workers, standing}, layers, params) == alone);
      if (!kvsieve_test::race_check) CHECK(run<C>(host::on{workers, standing}, layers, params) == alone);  // and again
    }
    for (int const workers : own_workers) {
      CAPTURE(workers, layers.size());
      CHECK(run<C>(host::on{workers, threads}, layers, params) == alone);
    }
  }
}
}  // namespace

TEST_CASE("key_norm gives the same for 1 to 8 threads") { same_for_all<key_norm<>>(1, {}); }
TEST_CASE("key_norm gives the same in the calling thread and on a team") {
  std::vector<support::layer<bf16, 64>> layers;
  layers.emplace_back(3, 1, 5000, 1, support::layout::packed, support::content::normal, 1u);
  host::team team{3};
  CHECK(run<key_norm<>>(host::on{team}, layers, {}) == run<key_norm<>>(host::on{}, layers, {}));
}
TEST_CASE("key_diff gives the same for 1 to 8 threads") { same_for_all<key_diff<>>(1, {}); }
TEST_CASE("cur gives the same for 1 to 8 threads") { same_for_all<cur<>>(1, {.score = {.block_size = 7}}); }
TEST_CASE("redundancy gives the same for 1 to 8 threads") { same_for_all<redundancy<>>(1, {}, 1500); }
TEST_CASE("projected values give the same for 1 to 8 threads") {
  std::vector<float> output(6 * 5 * 64);
  for (std::size_t i = 0; i < output.size(); ++i) output[i] = static_cast<float>(i % 23) - 11.0f;
  cs::span<float const> const table(output.data(), output.size());
  using lengths = key_norm<weigh::projected_value<projected::length>>;
  same_for_all<lengths>(1, {.weigh = {.output = table, .query_heads = 6, .hidden = 5}});
  using shares = key_norm<weigh::projected_value<projected::magnitudes, aggregate::group_max, true>>;
  same_for_all<shares>(1, {.weigh = {.output = table, .query_heads = 6, .hidden = 5}}, 1500);
}
TEST_CASE("lag_kv gives the same for 1 to 8 threads") { same_for_all<lag_kv<>>(1, {.score = {.sink = 4, .lag = 16}}); }
TEST_CASE("lag_kv_streaming gives the same for 1 to 8 threads") {
  same_for_all<lag_kv_streaming<>>(1, {.score = {.sink = 4, .lag = 16}});
}
TEST_CASE("snap_kv gives the same for 1 to 8 threads") { same_for_all<snap_kv<>>(64, {}); }
TEST_CASE("snap_kv with maxima gives the same for 1 to 8 threads") {
  same_for_all<snap_kv<aggregate::max, aggregate::group_max, smooth::max>>(64, {});
}
TEST_CASE("snap_kv with a state for each token gives the same for 1 to 8 threads") {
  same_for_all<snap_kv<aggregate::mean_variance>>(64, {});
  same_for_all<snap_kv<aggregate::last_above, aggregate::group_max>>(64, {});
  same_for_all<snap_kv<aggregate::worst_case, aggregate::group_max, lift::mean>>(64, {});
}
TEST_CASE("tova gives the same for 1 to 8 threads") { same_for_all<tova<>>(1, {}); }
TEST_CASE("observed_attention gives the same for 1 to 8 threads") { same_for_all<observed_attention<>>(-1, {}, 2100); }
TEST_CASE("h2o gives the same for 1 to 8 threads") { same_for_all<h2o<>>(-1, {}, 2100); }
TEST_CASE("streaming_llm gives the same for 1 to 8 threads") { same_for_all<streaming_llm<>>(1, {}); }
TEST_CASE("random gives the same for 1 to 8 threads") { same_for_all<kvsieve::random<>>(1, {.score = {.seed = 9}}); }

TEST_CASE("compactor gives the same for 1 to 8 threads") { same_for_all<compactor<>>(-1, {}, 1100); }
TEST_CASE("expected_attention gives the same for 1 to 8 threads") { same_for_all<expected_attention<>>(-1, {}, 1100); }
TEST_CASE("cap_kv gives the same for 1 to 8 threads") { same_for_all<cap_kv<>>(-1, {}, 1100); }

TEST_CASE("attend gives the same for 1 to 8 threads") {
  support::layer<f16, 128> const l(2, 5, 5000, 1, support::layout::packed, support::content::normal, 3);
  auto const run_on = [&](auto const& on) {
    support::tensor<float, 128> out(10, 1);
    support::workspace memory(attend_workspace_bytes(on, l.queries.view(), l.const_view()));
    REQUIRE(attend(on, l.queries.view(), l.const_view(), out.view(), memory.span()));
    return out.memory();
  };
  auto const alone = run_on(host::on{});
  for (int workers = 1; workers <= 8; ++workers) {
    host::team team{workers};
    auto const together = run_on(host::on{team});
    CHECK(std::memcmp(together.data(), alone.data(), alone.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("a token's score does not depend on the views beside its own") {
  std::vector<support::layer<float, 96>> layers;
  for (int const n : {40, 1500, 900})
    layers.emplace_back(2, 2, n, 16, support::layout::packed, support::content::normal, 4u);
  auto const apart = [&]<class C>(typename C::params const& params) {
    outcome const together = run<C>(host::on{}, layers, params);
    std::size_t row = 0;
    for (auto const& l : layers) {
      outcome const alone = run<C>(host::on{}, std::vector{l}, params);
      for (std::size_t h = 0; h < 2; ++h, ++row) {
        CHECK(std::memcmp(alone.scores[h].data(), together.scores[row].data(), alone.scores[h].size() * 4) == 0);
        CHECK(alone.kept[h] == together.kept[row]);
      }
    }
  };
  apart.operator()<key_diff<>>({});
  apart.operator()<snap_kv<>>({.score = {.window = 16}});
  apart.operator()<lag_kv<>>({});
}
