// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Methods that weigh by values behind an output projection, through their presets: CriticalKV and CriticalAdaKV of
// kvpress, DefensiveKV and Layer-DefensiveKV of their authors.
#include "golden.hpp"

namespace {
using namespace kvsieve;

template <class C>
void keeps_what_kvpress_keeps(std::string const& method, typename C::params params) {
  auto const output = golden::read_table("rows.safetensors", "criticalkv.wo").number;
  auto const want = golden::read_json("selections.json")[method]["kept"];
  params.score.window = 32;
  params.smooth.kernel = 5;
  params.weigh.output = {output.data(), output.size()};
  params.weigh.query_heads = 9;
  params.weigh.hidden = 96;
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<C> const p(layer, params);
    for (std::size_t head = 0; head < 3; ++head) {
      CAPTURE(method, layer, head);
      golden::check_kept(p.plan, static_cast<int>(head),
                         want[std::to_string(layer)][head].template get<std::vector<int>>());
    }
  }
}

struct defensive {
  static constexpr int views = 3, heads = 3, tokens = golden::tokens;
  std::vector<float> output, source[views];
  std::vector<tool::dump_layer> inputs;
  support::workspace memory{0};
  token_scores scores;
  host::on<> on;

  defensive() : output(golden::read_table("defensive_kv.safetensors", "defensivekv_random.wo").number) {
    using strategy = layer_defensive_kv<>;
    std::vector<kv_layer<rows<float const, golden::head_dim>>> caches;
    std::vector<rows<float const, golden::head_dim>> queries;
    for (int const layer : {0, 9, 21}) {
      source[inputs.size()] =
          golden::read_table("defensive_kv.safetensors", "defensivekv_random." + std::to_string(layer) + ".score")
              .number;
      inputs.push_back(golden::read_layer(layer));
      caches.push_back({golden::rows_of(inputs.back().keys), golden::rows_of(inputs.back().values)});
      queries.push_back(golden::rows_of(inputs.back().queries));
    }
    strategy::params const params{.score = {.window = 32},
                                  .aggregate = {.kernel = 5},
                                  .weigh = {.output = {output.data(), output.size()}, .query_heads = 9, .hidden = 96},
                                  .protect = {.as_source = true},
                                  .budget = {.keep = 0.3}};
    auto const run = [&](auto const&... spans) {
      memory = support::workspace(score_tokens_workspace_bytes<strategy>(on, spans..., params));
      scores = score_tokens<strategy>(on, spans..., params, memory.span());
    };
    run(cs::span<decltype(caches)::value_type const>(caches.data(), caches.size()),
        cs::span<decltype(queries)::value_type const>(queries.data(), queries.size()));
    REQUIRE(scores);
  }
};
}  // namespace

TEST_CASE("critical_kv is kvpress's CriticalKV over SnapKV") {
  keeps_what_kvpress_keeps<critical_kv<>>("criticalkv", {.budget = {.keep = 0.3}});
}

TEST_CASE("critical_ada_kv is kvpress's CriticalAdaKV over SnapKV") {
  keeps_what_kvpress_keeps<critical_ada_kv<>>("critical_adakv", {.budget = {.keep = 0.3, .safeguard = 0.2}});
}

TEST_CASE("defensive_kv scores as the authors' code, what it protects by mass among them") {
  defensive const d;
  for (int v = 0; v < d.views; ++v)
    for (int h = 0; h < d.heads; ++h) {
      CAPTURE(v, h);
      int differing = 0;
      for (int t = 0; t < d.tokens - 32; ++t) {
        float const want = d.source[v][static_cast<std::size_t>(h * d.tokens + t)];
        float const got = d.scores.scores(v, h)[static_cast<std::size_t>(t)];
        if (!(std::abs(got - want) <= 1e-4f * want)) ++differing;
      }
      CHECK(differing == 0);
    }
}

TEST_CASE("defensive_kv and layer_defensive_kv keep what the authors' code keeps") {
  defensive const d;
  for (bool const over_layers : {false, true}) {
    // The authors' count is over all heads at once: 691 of a layer, where over_heads has 3 times 230.
    budget::over_all::params const budget{.keep = 0.3, .layers = over_layers ? 0 : 1};
    support::workspace memory(
        choose_tokens_workspace_bytes<budget::over_all, select::top_k>(d.on, d.scores, budget, {}));
    auto const plan = choose_tokens<budget::over_all, select::top_k>(d.on, d.scores, budget, {}, memory.span());
    REQUIRE(plan);
    auto const want =
        golden::read_json("defensive_kv.json")[over_layers ? "layer_defensivekv_random" : "defensivekv_random"]["kept"];
    char const* const layers[] = {"0", "9", "21"};
    for (int v = 0; v < d.views; ++v)
      for (int h = 0; h < d.heads; ++h) {
        CAPTURE(over_layers, layers[v], h);
        auto const kept = plan.kept(v, h);
        CHECK(std::vector<int>(kept.begin(), kept.end()) ==
              want[layers[v]][static_cast<std::size_t>(h)].get<std::vector<int>>());
      }
  }
}
