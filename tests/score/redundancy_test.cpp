// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/redundancy.hpp>
#include <kvsieve/score/redundancy.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "refusal.hpp"
#include "tolerance.hpp"

namespace {
using namespace kvsieve;
using least_redundant = compressor<score::redundancy>;

// Keys in a few directions, so that some cosines are high.
template <class Layer>
void cluster(Layer& l, int directions, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  constexpr int D = head_dim_of<decltype(l.keys.view())>;
  std::vector<std::vector<float>> center(static_cast<std::size_t>(directions), std::vector<float>(D));
  for (auto& c : center)
    for (float& x : c) x = normal(random);
  for (int h = 0; h < l.keys.heads(); ++h)
    for (int t = 0; t < l.keys.tokens(); ++t) {
      auto const& c = center[random() % center.size()];
      float const spread = random() % 2 == 0 ? 0.1f : 2.0f;
      if (random() % 4 != 0)
        for (int d = 0; d < D; ++d) l.keys.set(h, t, d, c[static_cast<std::size_t>(d)] + spread * normal(random));
    }
}

// Near the threshold float may see another pair as the last one alike.
bool decided(auto const& keys, int head, double threshold) {
  auto const n = keys.extent(1);
  for (kvsieve::index i = 0; i < n; ++i)
    for (kvsieve::index t = 0; t < i; ++t)
      if (std::abs(reference::cosine_of(keys, head, i, t) - threshold) < 1e-5) return false;
  return true;
}
}  // namespace

TEST_CASE("redundancy: scores and kept tokens are the reference's") {
  CHECK(support::holds("redundancy: scores and kept tokens are the reference's", 60, [] {
    auto const s = *support::shapes(1, 120);
    double const keep = *support::fractions();
    float const threshold = *rc::gen::element(0.5f, 0.5f, 0.9f, 0.0f, -1.0f, 1.0f);
    int const directions = *rc::gen::element(1, 3, 10);
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      auto layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      if (s.what == support::content::normal || s.what == support::content::zero)
        for (auto& l : layers) cluster(l, directions, s.seed);
      for (auto const& l : layers)
        for (int h = 0; h < s.kv_heads; ++h) RC_PRE(decided(l.keys.view(), h, static_cast<double>(threshold)));
      auto const p = support::make_plan<least_redundant>(s.executor, layers,
                                                         {.score = {.threshold = threshold}, .budget = {.keep = keep}});
      // A cosine is off by gamma(2 D + 4) of the product of the magnitudes over the norms, at most 1; the mean over N
      // of them by that and the sums of N; the exponential and the share by twice as much and their own roundings.
      auto const expect = [&](int v, int h) {
        auto const& l = layers[static_cast<std::size_t>(v)];
        int const tokens = l.keys.tokens();
        support::expected e(tokens);
        reference::redundancy(l.keys.view(), h, static_cast<double>(threshold), e.score);
        for (std::size_t t = 0; t < e.score.size(); ++t)
          e.bound[t] = support::gamma(2 * (2 * D + 4 + 2 * tokens) + tokens + 20) * std::abs(e.score[t]);
        return e;
      };
      support::assert_plan(p, s, keep, expect, [](int) { return support::ends(0, 0); });
    });
  }));
}

TEST_CASE("redundancy: of equal keys the newest is the least redundant") {
  support::layer<float, 64> l(1, 1, 30, 1, support::layout::packed, support::content::normal, 3);
  for (int t : {4, 11, 25})
    for (int d = 0; d < 64; ++d) l.keys.set(0, t, d, l.keys.get(0, 4, d));
  auto const p = support::make_plan<least_redundant>(0, std::vector{l}, {.score = {.threshold = 0.999f}});
  REQUIRE(p.plan);
  auto const scores = p.plan.scores(0, 0);
  // 4 and 11 have it as their last alike; 25 has 11, so 11 is spared once and 4 never.
  CHECK(scores[25] > scores[11]);
  CHECK(scores[11] > scores[4]);
}

TEST_CASE("redundancy: scores go with the tokens when none is alike") {
  support::layer<float, 64> l(1, 1, 50, 1, support::layout::packed, support::content::normal, 3), turned = l;
  for (int t = 0; t < 50; ++t)
    for (int d = 0; d < 64; ++d) turned.keys.set(0, t, d, l.keys.get(0, 49 - t, d));
  auto const a = support::make_plan<least_redundant>(0, std::vector{l}, {.score = {.threshold = 1}});
  auto const b = support::make_plan<least_redundant>(0, std::vector{turned}, {.score = {.threshold = 1}});
  REQUIRE(a.plan);
  REQUIRE(b.plan);
  for (std::size_t t = 0; t < 50; ++t)
    CHECK(std::abs(a.plan.scores(0, 0)[t] - b.plan.scores(0, 0)[49 - t]) <= 1e-5f / 50);
}

TEST_CASE("redundancy refuses a threshold that is no cosine") {
  support::layer<float, 64> const l(2, 1, 40, 1, support::layout::packed, support::content::normal, 1);
  support::workspace memory(1 << 16);
  auto const refused = [&](float threshold, std::vector<std::string> const& parts) {
    auto const p =
        plan<least_redundant>(host::on{}, l.const_view(), {.score = {.threshold = threshold}}, memory.span());
    support::check_refused(p.state, errc::bad_params, parts);
    CHECK(memory.untouched());
  };
  refused(-1.5f, {"score.threshold is -1.5", "at least -1"});
  refused(3.0f, {"score.threshold is 3", "at most 2"});
  refused(NAN, {"score.threshold is nan"});
}
