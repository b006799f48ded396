// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `kvsieve compress --plan` on the golden dumps: what a person gets from the command line is what the sources kept.
#include "../golden_sets/golden.hpp"
#include "scratch.hpp"

namespace {

using kvsieve::test::program;
using kvsieve::test::read_bytes;
using kvsieve::test::scratch;
using nlohmann::json;

struct golden_case {
  std::string name;                    ///< in kept.json
  std::string preset;                  ///< of the program
  std::vector<std::string> arguments;  ///< that make the preset do what the source did
  bool scored = true;                  ///< scores.safetensors holds the source's scores
};

std::vector<golden_case> const cases{
    {"knorm", "key_norm", {"--keep", "0.25"}},
    {"key_diff", "key_diff", {"--keep", "0.25"}},
    // All that does not stay to begin with in one block: the same question as key_diff's.
    {"key_diff", "key_diff_block_wise", {"--keep", "0.25", "--set", "select.block=576"}},
    {"lag_kv", "lag_kv", {"--keep", "0.25"}},
    {"snap_kv", "snap_kv", {"--keep", "0.25"}},
    // Sums where the preset has means: the same order.
    {"kvcf_snapkv_avgpool", "snap_kv", {"--tokens", "160", "--set", "score.window=16", "--set", "smooth.kernel=5"}},
    {"pyramid_kv",
     "pyramid_kv",
     {"--keep", "0.25", "--set", "score.window=32", "--set", "budget.window=32", "--set", "budget.beta=5"}},
    {"ada_snap_kv", "ada_kv", {"--keep", "0.25"}},
    {"tova", "tova", {"--keep", "0.25"}},
    {"observed_attention", "observed_attention", {"--keep", "0.25"}},
    {"kvcf_h2o", "h2o", {"--tokens", "200", "--set", "select.recent_share=0.16"}},
    {"streaming_llm", "streaming_llm", {"--keep", "0.25"}, false},
    {"lag_kv_streaming", "lag_kv_streaming", {"--keep", "0.5", "--set", "score.lag=64"}, false},
    {"lagkv_original_a", "lag_kv_streaming", {"--keep", "0.5", "--set", "score.lag=128"}, false},
    {"expected_attention", "expected_attention", {"--keep", "0.25", "--set", "weigh.epsilon=0.01"}, false},
    {"non_causal_attention", "non_causal_attention", {"--keep", "0.25"}, false},
};

/// Kept tokens by layer and head, as the plan that the program wrote has them.
using kept_by_layer = std::map<int, std::vector<std::vector<int>>>;

kept_by_layer compress(golden_case const& c, std::string const& layers, std::filesystem::path const& dump) {
  scratch const at;
  std::vector<std::string> arguments{"compress", dump.string(), "--strategy", c.preset, "--layers",
                                     layers,     "--threads",   "2",          "--plan", at / "plan.json"};
  arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
  program const p{arguments};
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  auto const plan = json::parse(read_bytes(at / "plan.json"));
  REQUIRE(plan["strategy"] == c.preset);
  REQUIRE(plan["tokens"] == golden::tokens);
  kept_by_layer out;
  for (auto const& l : plan["layers"]) out[l["layer"].get<int>()] = l["heads"].get<std::vector<std::vector<int>>>();
  return out;
}

/// The plans of all layers that a golden set has.
kept_by_layer compress_all(golden_case const& c) {
  auto out = compress(c, "9", std::filesystem::path(KVSIEVE_TEST_DATA_DIR) / "smollm2_135m_layer9.safetensors");
  if (golden::kept_sets()[c.name]["kept"].size() > 1)
    out.merge(compress(c, "0,21", std::filesystem::path(KVSIEVE_GOLDEN_DIR) / "smollm2_135m_layers0_21.safetensors"));
  return out;
}

/// Tokens in which a head differs from the source, but for those that the source's scores cannot tell apart: exact
/// ties, and float rounding (1e-6, relative).
std::size_t differences(std::vector<int> const& kept, std::vector<int> const& want, std::vector<float> const& score) {
  std::vector<int> mine, theirs;
  std::set_difference(kept.begin(), kept.end(), want.begin(), want.end(), std::back_inserter(mine));
  std::set_difference(want.begin(), want.end(), kept.begin(), kept.end(), std::back_inserter(theirs));
  std::size_t const length = kept.size() < want.size() ? want.size() - kept.size() : kept.size() - want.size();
  auto const differs = [&](int token) {
    auto const a = static_cast<std::size_t>(token);
    return std::any_of(theirs.begin(), theirs.end(), [&](int other) {
      auto const b = static_cast<std::size_t>(other);
      return a >= score.size() || b >= score.size() || !(std::abs(score[a] - score[b]) <= 1e-6f * std::abs(score[b]));
    });
  };
  return length + static_cast<std::size_t>(std::count_if(mine.begin(), mine.end(), differs));
}

std::vector<float> source_scores(golden_case const& c, int layer, int head) {
  if (!c.scored) return {};
  return golden::scores(c.name + "." + std::to_string(layer) + ".score", head);
}

}  // namespace

TEST_CASE("compress keeps what the sources kept, for every preset that has a source", "[tools][golden]") {
  for (auto const& c : cases) {
    auto const kept = compress_all(c);
    CAPTURE(c.name, c.preset);
    CHECK(kept.size() == golden::kept_sets()[c.name]["kept"].size());
    for (auto const& [layer, heads] : kept) {
      REQUIRE(heads.size() == 3);
      for (int head = 0; head < 3; ++head) {
        CAPTURE(layer, head);
        auto const want = golden::kept(c.name, layer, head);
        REQUIRE(!want.empty());
        CHECK(differences(heads[static_cast<std::size_t>(head)], want, source_scores(c, layer, head)) == 0);
      }
    }
  }
}

TEST_CASE("compress on golden dumps: another method's plan is told apart in every head", "[tools][golden]") {
  for (auto const& c : cases) {
    auto const& other = cases[c.name == "knorm" ? 1 : 0];
    for (auto const& [layer, heads] : compress_all(c))
      for (int head = 0; head < 3; ++head) {
        CAPTURE(c.name, other.name, layer, head);
        CHECK(differences(heads[static_cast<std::size_t>(head)], golden::kept(other.name, layer, head),
                          source_scores(other, layer, head)) > 0);
      }
  }
}

TEST_CASE("compress on golden dumps: all golden sets that a preset can give are asked for", "[tools][golden]") {
  for (auto const& [name, set] : golden::kept_sets().items()) {
    // A pool of the maximum, the authors' count of AdaKV with one, and a cache that grows are no presets; the source of
    // leverage draws a sketch that it does not say.
    if (name == "kvcf_snapkv_maxpool" || name == "kvcf_pyramidkv" || name == "adakv_original" ||
        name == "lagkv_original_b" || name == "leverage")
      continue;
    CAPTURE(name);
    CHECK(std::any_of(cases.begin(), cases.end(), [&](golden_case const& c) { return c.name == name; }));
  }
}
