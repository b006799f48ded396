// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// LagKV as its authors' own code runs it: in one append, and streamed through a cache that is compressed in place.
#include "golden.hpp"

namespace {
using namespace kvsieve;
}

TEST_CASE("lag_kv_streaming keeps what LagKV keeps of one append") {
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<lag_kv_streaming<>> const short_lag(
        layer, {.score = {.sink = 16, .lag = 64}, .budget = {.keep = 0.5}});
    golden::plan_of_layer<lag_kv_streaming<>> const longer(
        layer, {.score = {.sink = 16, .lag = 128}, .budget = {.keep = 0.5}});
    for (int head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      golden::check_kept(short_lag.plan, head, golden::kept("lag_kv_streaming", layer, head));
      golden::check_kept(longer.plan, head, golden::kept("lagkv_original_a", layer, head));
    }
  }
}

TEST_CASE("lag_kv_streaming scores what LagKV scores") {
  golden::plan_of_layer<lag_kv_streaming<>> const p(9, {.score = {.sink = 16, .lag = 128}, .budget = {.keep = 0.5}});
  for (int head = 0; head < 3; ++head) {
    auto const of_keys = golden::scores("lagkv_original_a.9.sigma_k", head);
    auto const of_values = golden::scores("lagkv_original_a.9.sigma_v", head);
    std::vector<float> want(16, 0.0f);  // the sinks, forced
    for (std::size_t i = 0; i < of_keys.size(); ++i) want.push_back(of_keys[i] + of_values[i]);
    CAPTURE(head);
    golden::check_scores(p.plan, head, want);
  }
}

TEST_CASE("streamed through a growing cache, lag_kv_streaming keeps what LagKV keeps") {
  using strategy = lag_kv_streaming<>;
  auto const& golden_run = golden::kept_sets()["lagkv_original_b"]["params"]["append_runs"];
  std::vector<int> appends;
  for (auto const& run : golden_run)
    for (int i = 0; i < run[1].get<int>(); ++i) appends.push_back(run[0].get<int>());

  for (int const layer : {0, 9, 21}) {
    auto const inputs = golden::read_layer(layer);
    auto const keys = golden::rows_of(inputs.keys), values = golden::rows_of(inputs.values);
    // A cache with room for all tokens; `token` remembers which token each row of each head is.
    std::vector<float> k(3 * 768 * 64), v(k.size());
    std::vector<std::vector<int>> token(3);
    int base = 4, next_token = 0;
    host::on const on;
    for (int const count : appends) {
      int const length = static_cast<int>(token[0].size());
      for (int h = 0; h < 3; ++h)
        for (int i = 0; i < count; ++i) {
          token[static_cast<std::size_t>(h)].push_back(next_token + i);
          for (int d = 0; d < 64; ++d) {
            auto const at = static_cast<std::size_t>((h * 768 + length + i) * 64 + d);
            k[at] = keys(h, next_token + i, d);
            v[at] = values(h, next_token + i, d);
          }
        }
      next_token += count;
      int const now = length + count;
      strategy::params const params{.score = {.sink = base, .lag = 64, .value_share = 0.5f}, .budget = {.keep = 0.25}};
      kv_layer const cache{make_rows<64>(k.data(), 3, now, 768 * 64, 64),
                           make_rows<64>(v.data(), 3, now, 768 * 64, 64)};
      support::workspace memory(workspace_bytes<strategy>(on, cache, params));
      token_plan const p = plan<strategy>(on, cache, params, memory.span());
      REQUIRE(p);
      REQUIRE(apply<strategy>(on, p, cache));
      for (int h = 0; h < 3; ++h) {
        std::vector<int> left;
        for (int const row : p.kept(0, h))
          left.push_back(token[static_cast<std::size_t>(h)][static_cast<std::size_t>(row)]);
        token[static_cast<std::size_t>(h)] = left;
      }
      base = score::lag_relative_streaming::next_sink(
          params.score, now, budget::uniform::count(params.budget, {.tokens = params.score.lag}));
    }
    REQUIRE(next_token == 768);
    for (int h = 0; h < 3; ++h) {
      CAPTURE(layer, h);
      CHECK(token[static_cast<std::size_t>(h)] == golden::kept("lagkv_original_b", layer, h));
    }
  }
}
