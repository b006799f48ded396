// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/group.hpp>
#include <kvsieve/reference/mean.hpp>
#include <kvsieve/reference/protect_mass.hpp>

#include <catch2/catch_all.hpp>

#include "attention_reference.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using rows_of_layer = std::vector<std::vector<double>>;

/// Rows of a view: attention in steps of 2^-24, whose sums double holds exactly, and scores with gaps among them.
struct view_rows {
  std::vector<float> score, mean;
  kvsieve::index stride;
  int count;

  view_rows(std::uint32_t seed, int heads, int tokens) : stride(score_stride(tokens)), count(tokens) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> unit;
    score.resize(static_cast<std::size_t>(heads * stride));
    mean = score;
    bool const holes = random() % 3 == 0;
    float const most = 1.5f / static_cast<float>(tokens);
    for (std::size_t i = 0; i < mean.size(); ++i) {
      float const x = unit(random);
      mean[i] = std::round(x * x * most * 0x1p24f) * 0x1p-24f;
      score[i] = unit(random);
      if (holes && random() % 10 == 0) (random() % 2 != 0 ? mean : score)[i] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  [[nodiscard]] rows_of_layer as_double(std::vector<float> const& of, int heads) const {
    rows_of_layer all;
    for (int h = 0; h < heads; ++h) all.emplace_back(of.begin() + h * stride, of.begin() + h * stride + count);
    return all;
  }
};
}  // namespace

TEST_CASE("protect::mass raises the tokens that the reference raises, for any number of threads") {
  CHECK(support::holds("protect::mass: as the reference", 300, [] {
    int const heads = *rc::gen::resize(100, rc::gen::inRange(1, 5)), views = *rc::gen::element(1, 3);
    std::vector<view_rows> given;
    std::vector<int> tail;
    for (int v = 0; v < views; ++v) {
      int const tokens = *rc::gen::resize(100, rc::gen::element(1, 2, 17, 100, 700));
      given.emplace_back(*rc::gen::arbitrary<std::uint32_t>(), heads, tokens);
      tail.push_back(*rc::gen::element(0, 1, 32, 200));
    }
    protect::mass::params const p{.share = *rc::gen::element(0.0, 0.37, 0.9, 1.0),
                                  .as_source = *rc::gen::arbitrary<bool>()};
    double const kept = *rc::gen::element(0.0, 0.3, 0.5, 1.0);
    for (int const threads : {1, *rc::gen::resize(100, rc::gen::inRange(2, 9))}) {
      auto got = given;
      host::team team{threads};
      host::on const on{team};
      kvsieve::index longest = 0;
      for (auto const& v : got) longest = std::max<kvsieve::index>(longest, v.count);
      using driver = host::protect_mass<protect::mass>;
      arena measuring;
      (void)driver::carve(measuring, views, longest, on.workers());
      support::workspace memory(measuring.used());
      arena a(memory.span());
      auto const at = [&](kvsieve::index v) -> view_rows& { return got[static_cast<std::size_t>(v)]; };
      driver::carve(a, views, longest, on.workers())
          .run(
              on, p, views, heads,
              [&](kvsieve::index v) { return host::scored_tokens{at(v).count, tail[static_cast<std::size_t>(v)]}; },
              [&](kvsieve::index) { return kept; },
              [&](kvsieve::index v, kvsieve::index h) { return at(v).score.data() + h * at(v).stride; },
              [&](kvsieve::index v, kvsieve::index h) { return at(v).mean.data() + h * at(v).stride; });
      RC_ASSERT(memory.guards_hold());
      for (int v = 0; v < views; ++v) {
        auto const i = static_cast<std::size_t>(v);
        auto want = given[i].as_double(given[i].score, heads);
        reference::protect_mass(want, given[i].as_double(given[i].mean, heads), p.share, kept, tail[i], p.as_source);
        auto const mine = got[i].as_double(got[i].score, heads);
        for (std::size_t h = 0; h < want.size(); ++h)
          for (std::size_t t = 0; t < want[h].size(); ++t)
            RC_ASSERT(mine[h][t] == want[h][t] || (std::isnan(mine[h][t]) && std::isnan(want[h][t])));
      }
    }
  }));
}

TEST_CASE("protect::mass by hand") {
  // Half of the attention lies behind the tokens: 0.9 - 0.5 of the rest is held by the first two of 0.2, 0.15, 0.1,
  // 0.05.
  rows_of_layer score{{1, 2, 3, 4}}, mean{{0.1, 0.2, 0.05, 0.15}};
  reference::protect_mass(score, mean, 0.9, 1, 1, false);
  CHECK(score[0] == std::vector<double>{1, 2, 3, 4});  // 0.4 of it is reached by the first, which is the crossing one
  reference::protect_mass(score, mean, 1.25, 1, 1, false);
  CHECK(score[0] == std::vector<double>{1, 4, 3, 4});  // 0.75: the first, then the crossing one
  // Rounding can bring a head's attention to more than 1: the last token is then the crossing one.
  score = {{1, 2, 3}}, mean = {{0.5, 0.375, 0.25}};
  reference::protect_mass(score, mean, 0.9, 1, 0, false);
  CHECK(score[0] == std::vector<double>{3, 3, 3});
  score = {{3, 2, 1}};
  reference::protect_mass(score, mean, 0.9, 1, 0, false);
  CHECK(score[0] == std::vector<double>{3, 3, 1});
}

TEST_CASE("defensive_kv_unweighed: protected tokens have the largest score of the layer, and stay") {
  constexpr int tokens = 200, window = 16, past = tokens - window;
  std::vector<support::layer<float, 64>> layers;
  layers.emplace_back(2, 2, tokens, window, support::layout::packed, support::content::normal, 3u);
  for (auto const& budget : {budget::over_heads::params{.keep = 0.4, .safeguard = 0},
                             budget::over_heads::params{.tokens = 80, .safeguard = 0}}) {
    defensive_kv_unweighed<>::params params{.score = {.window = window}, .budget = budget};
    auto const p = support::make_plan<defensive_kv_unweighed<>>(0, layers, params);
    auto const q = support::make_plan<defensive_kv_unweighed<protect::none>>(
        0, layers, {.score = {.window = window}, .budget = budget});
    REQUIRE(p.plan);
    REQUIRE(q.plan);
    rows_of_layer want, mean;
    for (int h = 0; h < 2; ++h) {
      auto const s = q.plan.scores(0, h);
      want.emplace_back(s.begin(), s.begin() + past);
      auto const fold = [](auto of, int n, auto out) { reference::mean(of, n, out); };
      auto const e = support::attention_reference(layers[0], h, 2, window, fold, reference::group_mean);
      mean.emplace_back(e.score.begin(), e.score.begin() + past);
    }
    auto const before = want;
    reference::protect_mass(want, mean, 0.9, 0.4, window, false);
    int raised = 0;
    for (std::size_t h = 0; h < 2; ++h)
      for (std::size_t t = 0; t < past; ++t) {
        CHECK(static_cast<double>(p.plan.scores(0, static_cast<int>(h))[t]) == want[h][t]);
        if (want[h][t] == before[h][t]) continue;
        ++raised;
        auto const kept = p.plan.kept(0, static_cast<int>(h));
        CHECK(std::binary_search(kept.begin(), kept.end(), static_cast<int>(t)));
      }
    CHECK(raised > 0);
  }
}

TEST_CASE("protect::mass refuses shares that are none") {
  support::check_refused(protect::mass::params{.share = 1.5}.check(), errc::bad_params,
                         {"protect.share is 1.5", "at most 1"});
  support::check_refused(protect::mass::params{.share = -0.1}.check(), errc::bad_params, {"protect.share is -0.1"});
}
