// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Budgets over layers, from the authors' own code: CAKE's cascade, KVzip's pairs, DefensiveKV and Layer-DefensiveKV
// over their own scores.
#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/host/cascade.hpp>

#include "golden.hpp"

namespace {
using namespace kvsieve;

nlohmann::json const& sets() {
  static nlohmann::json const all = golden::read_json("budgets.json");
  return all;
}

/// Scores of three layers as the source has them, one view behind another.
struct source_scores {
  std::vector<float> row;
  std::vector<scored_view> seen;
  std::vector<kvsieve::index> offset;
  token_scores scores;

  explicit source_scores(std::string const& method) {
    for (int const layer : {0, 9, 21}) {
      auto const from = golden::read_table("budgets.safetensors", method + "." + std::to_string(layer) + ".score");
      auto const columns = from.columns;
      seen.push_back({static_cast<int>(columns), {}, {}});
      offset.push_back(static_cast<kvsieve::index>(row.size()));
      for (int head = 0; head < 3; ++head) {
        auto const own = from.row(head);
        row.insert(row.end(), own.begin(), own.end());
        row.resize(static_cast<std::size_t>(offset.back() + (head + 1) * score_stride(columns)));
      }
    }
    scores.shape = {3, 3, 64};
    scores.seen = seen.data();
    scores.score = row.data();
    scores.score_offset = offset.data();
  }

  /// Every head keeps the tokens that the source kept; tokens of the source count from `first`.
  void check(budget::over_all::params const& p, std::string const& method, int first) const {
    host::team team{2};
    host::on const on{team};
    support::workspace memory(choose_tokens_workspace_bytes<budget::over_all, select::top_k>(on, scores, p, {}));
    auto const plan = choose_tokens<budget::over_all, select::top_k>(on, scores, p, {}, memory.span());
    REQUIRE(plan);
    char const* const layers[] = {"0", "9", "21"};
    for (int v = 0; v < 3; ++v)
      for (int h = 0; h < 3; ++h) {
        CAPTURE(method, layers[v], h);
        auto const want = sets()[method]["kept"][layers[v]][static_cast<std::size_t>(h)].get<std::vector<int>>();
        std::vector<int> got;
        for (int const t : plan.kept(v, h)) got.push_back(t + first);
        CHECK(got == want);
      }
  }
};
}  // namespace

TEST_CASE("over_all, strict about ties, keeps KVzip's pairs") {
  source_scores const s("kvzip_two_chunks");
  s.check({.keep = 0.4, .as_source = true}, "kvzip_two_chunks", 8);
}

// Protected tokens and windows have the largest score of their layer, so that nothing has to be forced.
TEST_CASE("over_all, a layer at a time or over all of them, keeps what DefensiveKV and Layer-DefensiveKV keep") {
  source_scores const s("defensivekv_identity");
  s.check({.keep = 0.3, .layers = 1}, "defensivekv_identity", 0);
  s.check({.keep = 0.3}, "layer_defensivekv_identity", 0);
}

TEST_CASE("what cake measures of a layer is the authors' entropy and variance") {
  auto const& want = sets()["cake_measures"];
  for (std::size_t i = 0; i < 3; ++i) {
    auto const layer = golden::read_layer(want["layers"][i].get<int>());
    kv_layer const cache{golden::rows_of(layer.keys), golden::rows_of(layer.values)};
    auto const queries = golden::rows_of(layer.queries);
    cs::span<std::remove_cv_t<decltype(cache)> const> const caches(&cache, 1);
    cs::span<std::remove_cv_t<decltype(queries)> const> const observed(&queries, 1);
    host::on const on;
    cake<>::params const params{.score = {.window = 32}};
    support::workspace memory(score_tokens_workspace_bytes<cake<>>(on, caches, observed, params));
    auto const scores = score_tokens<cake<>>(on, caches, observed, params, memory.span());
    REQUIRE(scores);
    CHECK(scores.statistics.of(0, 0) == Catch::Approx(want["entropy"][i].get<double>()).epsilon(1e-4));
    CHECK(scores.statistics.of(0, 1) == Catch::Approx(want["variance"][i].get<double>()).epsilon(1e-4));
  }
}

// The source took the three layers of the dump for the whole model, and measured N - W tokens.
TEST_CASE("cake, layer by layer and at the end, keeps what the authors' code keeps") {
  for (std::string const name : {"cake_tau1_cascade", "cake_tau2_cascade"}) {
    auto const& want = sets()[name];
    cake<>::params params{.score = {.window = 32}, .smooth = {.kernel = 5}};
    params.budget = {.tokens = want["params"]["cache_size"].get<int>(),
                     .tau1 = want["params"]["tau1"].get<double>(),
                     .tau2 = want["params"]["tau2"].get<double>(),
                     .layers = 3};
    host::team team{2};
    host::on const on{team};
    using cascade = host::cascade<budget::entropy_variance>;
    support::workspace state(cascade::state_bytes(params.budget, params.select, 3, golden::tokens));
    cascade c(params.budget, params.select, 3, golden::tokens, state.span());
    REQUIRE(c.state());
    std::vector<std::vector<std::vector<int>>> left;  // [layer][head]: tokens that are there
    std::vector<int> every(golden::tokens);
    for (int t = 0; t < golden::tokens; ++t) every[static_cast<std::size_t>(t)] = t;
    int const layers[] = {0, 9, 21};
    for (std::size_t l = 0; l < 3; ++l) {
      auto const inputs = golden::read_layer(layers[l]);
      kv_layer const cache{golden::rows_of(inputs.keys), golden::rows_of(inputs.values)};
      auto const queries = golden::rows_of(inputs.queries);
      cs::span<std::remove_cv_t<decltype(cache)> const> const caches(&cache, 1);
      cs::span<std::remove_cv_t<decltype(queries)> const> const observed(&queries, 1);
      auto one = params;
      one.budget.layers = 0;
      support::workspace scoring(score_tokens_workspace_bytes<cake<>>(on, caches, observed, one));
      auto const scores = score_tokens<cake<>>(on, caches, observed, one, scoring.span());
      REQUIRE(scores);
      support::workspace memory(c.workspace_bytes(on));
      auto const plan = c.add(on, scores, memory.span());
      REQUIRE(plan);
      left.push_back({every, every, every});
      for (std::size_t v = 0; v <= l; ++v) {
        CAPTURE(name, l, v);
        CHECK(plan.count(static_cast<int>(v)) == want["budget_stages"][l][v].get<int>() + 32);
        for (std::size_t h = 0; h < 3; ++h) {
          std::vector<int> next;
          for (int const row : plan.kept(static_cast<int>(v), static_cast<int>(h)))
            next.push_back(left[v][h][static_cast<std::size_t>(row)]);
          left[v][h] = next;
        }
      }
    }
    for (std::size_t v = 0; v < 3; ++v)
      for (std::size_t h = 0; h < 3; ++h) {
        CAPTURE(name, v, h);
        CHECK(left[v][h] == want["kept"][std::to_string(layers[v])][h].get<std::vector<int>>());
      }
  }
}

// The source has keys for each query head, so a KV head for each of them here.
TEST_CASE("what layer_variance makes of a layer is D2O's statistic") {
  auto const& want = sets()["d2o_statistic"];
  int const tokens = want["prompt_tokens"].get<int>();
  auto const layer = golden::read_layer(want["layer"].get<int>());
  auto const all = golden::rows_of(layer.keys);
  std::vector<float> repeated;
  for (int head = 0; head < 9; ++head)
    for (int t = 0; t < tokens; ++t)
      repeated.insert(repeated.end(), row_of(all, head / 3, t), row_of(all, head / 3, t) + golden::head_dim);
  auto const keys = make_rows<golden::head_dim>(static_cast<float const*>(repeated.data()), 9, tokens);
  auto const every = golden::rows_of(layer.queries);
  auto const queries = make_rows<golden::head_dim>(every.data_handle(), 9, tokens, every.stride(0), every.stride(1));
  kv_layer const cache{keys, keys};
  cs::span<std::remove_cv_t<decltype(cache)> const> const caches(&cache, 1);
  cs::span<std::remove_cv_t<decltype(queries)> const> const observed(&queries, 1);
  host::team team{2};
  host::on const on{team};
  using sums = compressor<score::attention<observe::all>, aggregate::sum>;
  support::workspace memory(score_tokens_workspace_bytes<sums>(on, caches, observed, {}));
  auto const scores = score_tokens<sums>(on, caches, observed, {}, memory.span());
  REQUIRE(scores);
  double variance[9];
  for (int head = 0; head < 9; ++head) {
    auto const at = static_cast<std::size_t>(head);
    variance[head] =
        budget::layer_variance::measure({}, host::measured_row{scores.scores(0, head).data(), tokens, nullptr});
    CHECK(variance[head] == Catch::Approx(want["head_variance"][at].get<double>()).epsilon(1e-4));
  }
  CHECK(budget::layer_variance::statistic(variance, 9) ==
        Catch::Approx(want["layer_variance_stat"].get<double>()).epsilon(1e-4));
}
