// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/page_representatives.hpp>

#include <catch2/catch_all.hpp>

#include "raw_scores.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using chosen = select::page_representatives;
using budget_params = budget::uniform::params;

// Bits as the page of the method has them; drawn ones from the documented generator.
bool anchor_of(chosen::params const& p, int place, int ones, int pages) {
  if (p.anchor == 0) return (mix(p.seed + static_cast<std::uint64_t>(place)) & 1ull << 63) != 0;
  if (p.anchor == 4) return ones > pages - ones;
  return p.anchor == 2 || (p.anchor == 3 && place % 2 == 1);
}
std::vector<int> wanted(std::vector<double> const& row, chosen::params const& p, double keep,
                        reference::forced_tokens const& forced = {}) {
  return reference::page_representatives(
      row, p.page, static_cast<int>(std::floor(static_cast<double>(row.size()) * keep)), p.representatives,
      [&](int place, int ones, int pages) { return anchor_of(p, place, ones, pages); }, forced);
}
std::vector<int> kept_of(std::vector<float> const& score, double keep, chosen::params const& p) {
  int const tokens = static_cast<int>(score.size());
  support::raw_scores scores(1, 0, 1, {tokens});
  std::copy(score.begin(), score.end(), scores.data.begin());
  auto const c = support::choose_on<budget::uniform, chosen>(host::on{}, scores.get(), {.keep = keep}, p);
  REQUIRE(c.plan);
  return c.kept[0];
}
std::string refusal(chosen::params const& p) {
  support::raw_scores scores(1, 0, 1, {100});
  auto const c = support::choose_on<budget::uniform, chosen>(host::on{}, scores.get(), {}, p);
  CHECK(!c.plan);
  return support::message_of(c.plan.state);
}
}  // namespace

TEST_CASE("page_representatives: as the reference keeps them, for any number of threads") {
  CHECK(support::holds("page_representatives: as the reference", 400, [] {
    auto c = support::draw_choice();
    auto p = c.forced.in(chosen::params{.page = *rc::gen::element(1, 2, 5, 16, 20, 64)});
    p.representatives = *rc::gen::element(0.0, 0.25, 0.5, 0.9, 1.0);
    p.anchor = *rc::gen::resize(100, rc::gen::inRange(0, 5));
    p.seed = *rc::gen::element<std::uint64_t>(0, 1, 12345);
    auto const plan = support::assert_choice<budget::uniform, chosen>(c, {.keep = c.keep}, p, [&](int v, int h) {
      return wanted(c.scores.row(v, h), p, c.keep, c.forced.reference());
    });
    RC_ASSERT(plan.uniformity_class == uniformity::U1);
  }));
}

TEST_CASE("page_representatives: without a share they are pages") {
  CHECK(support::holds("page_representatives: none", 60, [] {
    auto c = support::draw_choice();
    auto const p = c.forced.in(chosen::params{.representatives = 0});
    support::assert_choice<budget::uniform, chosen>(c, {.keep = c.keep}, p, [&](int v, int h) {
      auto const row = c.scores.row(v, h);
      int const budget = static_cast<int>(std::floor(static_cast<double>(row.size()) * c.keep));
      return reference::pages(row, 16, budget, c.forced.reference());
    });
  }));
}

TEST_CASE("page_representatives: by hand") {
  // Pages of 2: bits 11, 10, 01, 00, 11, 00 and a newest page. Four pages of the six by score and distance.
  std::vector<float> const score{9, 8, 7, 1, 2, 6, 1, 1, 5, 4.5f, 0, 0, 3, 3};
  chosen::params p{.page = 2, .representatives = 0.5, .anchor = 1, .sink = 0};
  // Room for 4 pages beside the newest, 2 by their mean: 0 (8.5) and 4 (4.75). Those that go: 1 and 2 (one bit each),
  // 3 and 5 (none), in order 3, 5, 1, 2; steps of 2: pages 3 and 1.
  CHECK(kept_of(score, 10.0 / 14, p) == std::vector<int>{0, 1, 2, 3, 6, 7, 8, 9, 12, 13});
  // From ones: 1, 2, 3, 5; pages 1 and 3. From 0 1: page 2 has none, 3 and 5 one, 1 two; pages 2 and 5.
  p.anchor = 2;
  CHECK(kept_of(score, 10.0 / 14, p) == std::vector<int>{0, 1, 2, 3, 6, 7, 8, 9, 12, 13});
  p.anchor = 3;
  CHECK(kept_of(score, 10.0 / 14, p) == std::vector<int>{0, 1, 4, 5, 8, 9, 10, 11, 12, 13});
}

TEST_CASE("kv_crush keeps what its selection keeps of the joined scores, the same for all heads") {
  for (int const tokens : {64, 100, 400}) {
    CAPTURE(tokens);
    std::vector<support::layer<float, 64>> layers;
    layers.emplace_back(2, 2, tokens, 64, support::layout::packed, support::content::normal, 5u);
    auto const p = support::make_plan<kv_crush<>>(0, layers, {.budget = {.keep = 0.6}});
    REQUIRE(p.plan);
    auto const scores = p.plan.scores(0, 0);  // forced tokens are marked, and their pages have no bits
    auto const want = wanted({scores.begin(), scores.end()}, {}, 0.6, {1, 64, {}});
    for (int h = 0; h < 2; ++h) {
      auto const kept = p.plan.kept(0, h);
      CHECK(std::vector<int>(kept.begin(), kept.end()) == want);
    }
  }
}

TEST_CASE("page_representatives refuse what does not fit, and say so") {
  CHECK(refusal({.page = 0}) == "select.page is 0, must be at least 1");
  CHECK(refusal({.representatives = 1.5}) == "select.representatives is 1.5, must be at most 1");
  CHECK(refusal({.representatives = -0.5}) == "select.representatives is -0.5, must be at least 0");
  CHECK(refusal({.anchor = 5}) == "select.anchor is 5, must be at most 4");
  CHECK(refusal({.recent = -1}) == "select.recent is -1, must be at least 0");
  // Forced pages before representatives: with room for three pages and three forced ones there are none.
  support::raw_scores scores(1, 0, 1, {160});
  auto const c = support::choose_on<budget::uniform, chosen>(host::on{}, scores.get(), {.keep = 0.4},
                                                             {.representatives = 1, .sink = 48});
  CHECK(std::vector<int>(c.kept[0].begin(), c.kept[0].begin() + 48).back() == 47);
}
