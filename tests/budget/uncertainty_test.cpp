// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/uncertainty.hpp>
#include <kvsieve/reference/layer_scores.hpp>
#include <kvsieve/reference/uncertainty.hpp>

#include <numeric>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::uncertainty;

long count_mass(float const* score, long n, double share) {
  std::vector<unsigned> room(static_cast<std::size_t>((n + 15) / 16 * 16 + 17), 77u);  // one behind it stays as it is
  long const count = kvsieve::host::count_mass(score, n, share, room.data());
  CHECK(room.back() == 77u);
  return count;
}

std::vector<double> scored_row(support::scored_views const& g, int v, int h) {
  int const n = std::max(0, g.tokens(v) - g.ends.tail);
  return {g.row(v, h), g.row(v, h) + n};
}
}  // namespace

TEST_CASE("count_mass: what is sorted and added up, without a sort") {
  std::vector<float> const scores{1, 5, 2, 2};  // 5, 7, 9, 10
  CHECK(count_mass(scores.data(), 4, 0.0) == 1);
  CHECK(count_mass(scores.data(), 4, 0.5) == 1);
  CHECK(count_mass(scores.data(), 4, 0.51) == 2);
  CHECK(count_mass(scores.data(), 4, 0.7) == 2);
  CHECK(count_mass(scores.data(), 4, 0.71) == 3);
  CHECK(count_mass(scores.data(), 4, 0.91) == 4);
  CHECK(count_mass(scores.data(), 4, 1.0) == 4);
  std::vector<float> const none{-1, 0, NAN, HUGE_VALF};
  CHECK(count_mass(none.data(), 4, 0.9) == 1);
  CHECK(count_mass(none.data(), 0, 0.9) == 0);
  CHECK(support::holds("count_mass", 1500, [] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    // Long enough for a sample, too.
    int const n = *rc::gen::oneOf(rc::gen::resize(100, rc::gen::inRange(1, 700)), rc::gen::element(1024, 2500, 7001));
    bool const whole = *rc::gen::arbitrary<bool>();
    double const share = *support::fractions();
    auto row = support::draw_scores(random, *rc::gen::element(0, 2, 3, 4, 5), static_cast<std::size_t>(n));
    for (float& x : row) {
      if (std::abs(x) > 1e30f) x = 1;  // sums in double stay finite and comparable
      if (whole) x = static_cast<float>(random() % 50);
    }
    std::vector<double> const wide(row.begin(), row.end());
    long const want = kvsieve::reference::tokens_for_mass(wide, share);
    long const got = count_mass(row.data(), n, share);
    if (whole && (share == 0 || share == 1 || share == 0.5)) RC_ASSERT(got == want);
    // Where a running sum meets the share, the order of the additions may decide.
    if (got != want) {
      long const less = kvsieve::reference::tokens_for_mass(wide, share * (1 - 1e-12));
      long const more = kvsieve::reference::tokens_for_mass(wide, share * (1 + 1e-12));
      RC_ASSERT(less <= got);
      RC_ASSERT(got <= more);
    }
  }));
}

TEST_CASE("uncertainty: layers that need more tokens for their mass get more") {
  support::scored_views g;
  g.s.kv_heads = 1;
  g.s.tokens = {8, 8};
  g.longest = 8;
  g.table = {100, 0, 0, 0, 0, 0, 0, 0, /**/ 1, 1, 1, 1, 1, 1, 1, 1};  // 1 and 8 tokens for 0.9
  auto const counts = [&](uncertainty::params const& p) {
    return support::counts_of(support::plan_budget<uncertainty>(g, p).plan);
  };
  CHECK(counts({.keep = 0.5, .least = 1}) == std::vector{4, 4});
  CHECK(counts({.keep = 0.5, .least = 0}) == std::vector{1, 7});    // 0.89, 7.11
  CHECK(counts({.keep = 0.5, .least = 0.5}) == std::vector{2, 6});  // 2.44, 5.56: the larger fraction rounds up
  CHECK(counts({.keep = 0.75, .least = 0}) == std::vector{4, 8});   // 10.67 is more than there are
  CHECK(counts({.tokens = 3, .least = 0.5}) == std::vector{2, 4});  // 1.83, 4.17
  CHECK(counts({.keep = 0.5, .least = 0, .layers = 1}) == std::vector{4, 4});
  g.recent = 3;  // forced tokens are the least that a layer keeps
  CHECK(counts({.keep = 0.5, .least = 0}) == std::vector{3, 5});
  g.recent = 5;
  auto const p = support::plan_budget<uncertainty>(g, {.keep = 0.5});
  CHECK(support::counts_of(p.plan) == std::vector{4, 4});
  CHECK(!p.plan.note);
}

TEST_CASE("uncertainty: counts are the reference's, alike in a layer, and their sum is exact") {
  CHECK(support::holds("uncertainty: counts are the reference's", 250, [] {
    auto const g = support::draw_views(*rc::gen::arbitrary<bool>());
    double const keep = *support::fractions(), mass = *support::fractions();
    int const halves = *rc::gen::element(0, 1, 2, 4, 8);  // of 8: exact in units of 2^-20
    auto const p = support::plan_budget<uncertainty>(g, {.keep = keep, .mass = mass, .least = halves / 8.0});
    int const heads = g.s.kv_heads, views = g.s.views();
    // Needs as the host counts them (the test above holds these to the reference); weights in whole numbers.
    std::vector<long> need, weight, most, least;
    long all = 0, needed = 0;
    for (int v = 0; v < views; ++v) {
      long sum = 0;
      for (int h = 0; h < heads; ++h) {
        auto const row = scored_row(g, v, h);
        std::vector<float> const narrow(row.begin(), row.end());
        sum += count_mass(narrow.data(), static_cast<long>(narrow.size()), mass);
      }
      need.push_back(sum);
      needed += sum;
      all += g.tokens(v);
      most.push_back(g.tokens(v));
      least.push_back(g.forced_count(v));
    }
    long const total = static_cast<long>(static_cast<double>(all) * keep);
    for (int v = 0; v < views; ++v)
      weight.push_back(halves * needed + (8 - halves) * views * need[static_cast<std::size_t>(v)]);
    std::vector<long> want = kvsieve::reference::apportion(total, weight, most, least);
    if (std::accumulate(want.begin(), want.end(), 0L) > total) want = kvsieve::reference::share_equally(total, most);
    RC_ASSERT(std::accumulate(want.begin(), want.end(), 0L) == total);
    for (int v = 0; v < views; ++v)
      for (int h = 0; h < heads; ++h) RC_ASSERT(p.plan.count(v, h) == want[static_cast<std::size_t>(v)]);
    // Where no limit is met, that is the formula of the page, rounded.
    if (g.forced_count(0) == 0 && needed > 0) {
      auto const real =
          kvsieve::reference::uncertainty({need.begin(), need.end()}, static_cast<double>(total) / views, halves / 8.0);
      bool free = true;
      for (int v = 0; v < views; ++v)
        free = free && real[static_cast<std::size_t>(v)] <= g.tokens(v) && g.forced_count(v) == 0;
      for (int v = 0; free && v < views; ++v)
        RC_ASSERT(std::abs(p.plan.count(v, 0) - real[static_cast<std::size_t>(v)]) < 1 + 1e-6);
    }
  }));
}

TEST_CASE("uncertainty: numbers out of range are refused") {
  auto const bad = kvsieve::errc::bad_params;
  support::check_refused(support::state_of<uncertainty>({.mass = 1.5}), bad, {"budget.mass", "1.5", "1"});
  support::check_refused(support::state_of<uncertainty>({.least = -0.5}), bad, {"budget.least", "-0.5", "0"});
  support::check_refused(support::state_of<uncertainty>({.layers = 2}), kvsieve::errc::bad_shape, {"layers", "3", "2"});
}
