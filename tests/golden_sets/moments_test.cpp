// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NVIDIA kvpress 0.5.5: scores made of moments and factorisations, a quarter of the tokens kept.
#include "golden.hpp"

namespace {
constexpr char const* file = "moments.safetensors";

kvsieve::rope_params rotation() {
  kvsieve::rope_params rope;
  rope.rope_base = 100000;
  return rope;
}

template <class C>
void check(std::string const& name, int layer, typename C::params const& params) {
  golden::plan_of_layer<C> const p(layer, params);
  for (int head = 0; head < 3; ++head) {
    CAPTURE(name, layer, head);
    auto const want = golden::scores(name + "." + std::to_string(layer) + ".score", head, file);
    golden::check_scores(p.plan, head, want);
    golden::check_kept(p.plan, head, golden::kept(name, layer, head), want);
  }
}
}  // namespace

TEST_CASE("expected_attention is kvpress's") {
  check<kvsieve::expected_attention<>>("expected_attention", 9,
                                       {.score = {.rope = rotation()}, .weigh = {.epsilon = 0.01f}});
}

// A z-score is the difference of two numbers, score and mean over the deviation: it agrees to 1e-4 of them, not of what
// is left where they cancel. Scores here are at least 0, so the smallest z-score is at least minus the mean's.
TEST_CASE("non_causal_attention is kvpress's") {
  golden::plan_of_layer<kvsieve::non_causal_attention<>> const p(9, {});
  float mean = 0;
  std::vector<std::vector<float>> want;
  for (int head = 0; head < 3; ++head) {
    want.push_back(golden::scores("non_causal_attention.9.score", head, file));
    mean = std::max(mean, -*std::min_element(want.back().begin(), want.back().end()));
  }
  for (int head = 0; head < 3; ++head) {
    CAPTURE(head);
    auto const& source = want[static_cast<std::size_t>(head)];
    auto const got = p.plan.scores(0, head);
    int differing = 0;
    for (std::size_t t = 0; t < source.size(); ++t)
      differing += std::abs(got[t] - source[t]) <= 1e-4f * (std::abs(source[t]) + mean) ? 0 : 1;
    CHECK(differing == 0);
    golden::check_kept(p.plan, head, golden::kept("non_causal_attention", 9, head), source);
  }
}

// The source draws its sketch at random and did not store it: its choice is to ours as ours are among themselves.
TEST_CASE("leverage is kvpress's but for the sketch") {
  constexpr std::size_t draws = 6;
  for (int const layer : {0, 9, 21}) {
    std::vector<std::vector<std::vector<int>>> sets;
    for (std::size_t seed = 0; seed < draws; ++seed) {
      golden::plan_of_layer<kvsieve::leverage<>> const p(layer, {.score = {.seed = seed, .rope = rotation()}});
      auto& of_heads = sets.emplace_back();
      for (int head = 0; head < 3; ++head) {
        auto const kept = p.plan.kept(0, head);
        of_heads.emplace_back(kept.begin(), kept.end());
      }
    }
    auto const apart = [](std::vector<int> const& a, std::vector<int> const& b) {
      std::vector<int> only;
      std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only));
      return static_cast<double>(only.size());
    };
    for (std::size_t head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      auto const theirs = golden::kept("leverage", layer, static_cast<int>(head));
      REQUIRE(theirs.size() == 192);
      double to_source = 0, among = 0;
      for (std::size_t a = 0; a < draws; ++a) {
        to_source += apart(sets[a][head], theirs) / draws;
        for (std::size_t b = 0; b < a; ++b) among += apart(sets[a][head], sets[b][head]) * 2 / (draws * (draws - 1));
      }
      CAPTURE(to_source, among);
      CHECK(to_source <= 1.25 * among);
    }
  }
}
