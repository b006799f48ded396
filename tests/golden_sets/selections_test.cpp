// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole chunks and two stages of kvpress, over SnapKV's scores.
#include "golden.hpp"

namespace {
using namespace kvsieve;

nlohmann::json const& sets() {
  static nlohmann::json const all = golden::read_json("selections.json");
  return all;
}
std::vector<int> kept_of(std::string const& method, int layer, int head) {
  return sets()[method]["kept"][std::to_string(layer)][static_cast<std::size_t>(head)].get<std::vector<int>>();
}

// The source's own scores and weights, chosen from by a budget and two stages.
template <class Budget>
void two_stages(std::string const& method, typename Budget::params const& budget) {
  for (int const layer : {0, 9, 21}) {
    auto plain =
        golden::read_table("selections.safetensors", "criticalkv." + std::to_string(layer) + ".snapkv_score").number;
    auto weighed =
        golden::read_table("selections.safetensors", "criticalkv." + std::to_string(layer) + ".value_weight").number;
    REQUIRE(plain.size() == 3 * golden::tokens);
    REQUIRE(weighed.size() == plain.size());
    for (std::size_t i = 0; i < plain.size(); ++i) weighed[i] *= plain[i] + 1e-4f;
    scored_view const seen{golden::tokens, {0, 32}, {}};
    kvsieve::index const offset = 0;
    token_scores const scores{{}, {1, 3, golden::head_dim}, &seen, plain.data(), &offset, {}, weighed.data()};
    host::on const on;
    using select = kvsieve::select::two_stage;
    support::workspace memory(choose_tokens_workspace_bytes<Budget, select>(on, scores, budget, {}));
    auto const plan = choose_tokens<Budget, select>(on, scores, budget, {}, memory.span());
    REQUIRE(plan);
    for (int head = 0; head < 3; ++head) {
      CAPTURE(method, layer, head);
      golden::check_kept(plan, head, kept_of(method, layer, head));
    }
  }
}
}  // namespace

TEST_CASE("chunk_kv is kvpress's ChunkKV over SnapKV") {
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<chunk_kv<>> const p(layer, {});
    auto const score =
        golden::read_table("selections.safetensors", "chunk_kv_snap." + std::to_string(layer) + ".score").number;
    std::vector<float> sum(golden::tokens, 0.0f);
    for (std::size_t i = 0; i < score.size(); ++i) sum[i % golden::tokens] += score[i];
    for (int head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      golden::check_scores(p.plan, head, sum);
      golden::check_kept(p.plan, head, kept_of("chunk_kv_snap", layer, head));
    }
  }
}

TEST_CASE("two stages are kvpress's CriticalKV") { two_stages<budget::uniform>("criticalkv", {.keep = 0.3}); }

TEST_CASE("two stages under AdaKV's budget are kvpress's CriticalAdaKV") {
  two_stages<budget::over_heads>("critical_adakv", {.keep = 0.3, .safeguard = 0.2});
}
