// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/page_bound.hpp>
#include <kvsieve/reference/pages.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "refusal.hpp"
#include "tolerance.hpp"

namespace {
namespace ref = kvsieve::reference;
using strategy = kvsieve::compressor<kvsieve::score::page_bound<>>;

// A bound is a sum of D products, each the largest of two: off by gamma(D + 1) of the sum of their magnitudes, which
// max |q_d| |k_d| of the page bounds; the mean over the group rounds once more.
template <int D>
support::expected reference_of(auto const& l, int head, int group, strategy::params const& params) {
  auto const& p = params.score;
  int const tokens = l.keys.tokens();
  support::expected e(tokens);
  auto const keys = l.keys.view();
  auto const queries = l.queries.view();
  ref::page_bound(keys, queries, head, head * group, group, p.page, p.part, p.mean_of_group, e.score);
  for (int from = 0; from < tokens; from += p.page) {
    int const to = std::min(from + p.page, tokens);
    double most = 0;
    for (int q = head * group; q < (head + 1) * group; ++q) {
      double sum = 0;
      if (!ref::finite_row(queries, q, queries.extent(1) - 1)) continue;
      for (int d = 0; d < D; ++d) {
        double largest = 0;
        for (int t = from; t < to; ++t)
          if (ref::finite_row(keys, head, t)) largest = std::max(largest, std::abs(ref::element_at(keys, head, t, d)));
        sum += largest * std::abs(ref::element_at(queries, q, queries.extent(1) - 1, d));
      }
      most = std::max(most, sum);
    }
    for (int t = from; t < to; ++t) e.bound[static_cast<std::size_t>(t)] = support::gamma(D + 2) * most + 1e-38;
  }
  return e;
}
}  // namespace

TEST_CASE("page_bound: scores and kept tokens are the reference's") {
  CHECK(support::holds("page_bound: scores and kept tokens are the reference's", 100, [] {
    auto s = *support::shapes(1, 300);
    s.group = s.group % 3 + 1;
    double const keep = *support::fractions();
    strategy::params params{.budget = {.keep = keep}};
    params.score.page = *rc::gen::element(1, 4, 16, 50, 64, 1000);
    params.score.part = *rc::gen::resize(100, rc::gen::inRange(1, params.score.page + 1));
    params.score.mean_of_group = *rc::gen::arbitrary<bool>();
    int const queries = *rc::gen::element(1, 3);
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [&](int n) { return std::min(n, queries); });
      auto const p = support::make_plan<strategy>(s.executor, layers, params);
      support::assert_plan(
          p, s, keep,
          [&](int v, int h) { return reference_of<D>(layers[static_cast<std::size_t>(v)], h, s.group, params); },
          [&](int) { return support::ends(0, 0); });
    });
  }));
}

TEST_CASE(
    "page_bound: no key of a page has a larger product with the query, and a page of one token has that product") {
  for (int const page : {1, 7, 16}) {
    std::vector<support::layer<float, 64>> layers;
    layers.emplace_back(2, 3, 100, 5, support::layout::packed, support::content::normal, 11u);
    auto const p = support::make_plan<strategy>(0, layers, {.score = {.page = page, .part = (page + 1) / 2}});
    REQUIRE(p.plan);
    for (int h = 0; h < 2; ++h)
      for (int t = 0; t < 100; ++t) {
        double largest = -HUGE_VAL;
        for (int g = 0; g < 3; ++g) {
          double dot = 0;
          for (int d = 0; d < 64; ++d)
            dot += static_cast<double>(layers[0].queries.get(h * 3 + g, 4, d)) *
                   static_cast<double>(layers[0].keys.get(h, t, d));
          largest = std::max(largest, dot);
        }
        double const got = static_cast<double>(p.plan.scores(0, h)[static_cast<std::size_t>(t)]);
        CHECK(got >= largest - 1e-4);
        if (page == 1) CHECK(got == Catch::Approx(largest).margin(1e-4));
      }
  }
}

TEST_CASE("quest and l_serve keep the newest page and the pages of the largest bounds") {
  auto const check = [&]<class C>(C, int page, int part) {
    for (int const tokens : {1, page - 1, page, page + 1, 9 * page, 10 * page - 3}) {
      CAPTURE(page, tokens);
      std::vector<support::layer<float, 64>> layers;
      layers.emplace_back(2, 2, tokens, 1, support::layout::packed, support::content::normal, 3u);
      auto const p = support::make_plan<C>(0, layers, {.budget = {.keep = 0.5}});
      REQUIRE(p.plan);
      for (int h = 0; h < 2; ++h) {
        std::vector<double> score(static_cast<std::size_t>(tokens));
        ref::page_bound(layers[0].keys.view(), layers[0].queries.view(), h, 2 * h, 2, page, part, false, score);
        auto const kept = p.plan.kept(0, h);
        CHECK(std::vector<int>(kept.begin(), kept.end()) == ref::pages(score, page, tokens / 2));
      }
    }
  };
  check(kvsieve::quest<>{}, 16, 16);
  check(kvsieve::l_serve<>{}, 64, 16);
}

TEST_CASE("page_bound refuses pages and parts that are none") {
  std::vector<support::layer<float, 64>> layers;
  layers.emplace_back(1, 1, 40, 1, support::layout::packed, support::content::normal, 1u);
  auto const refusal = [&](strategy::params const& p) {
    auto const made = support::make_plan<strategy>(0, layers, p);
    CHECK(!made.plan);
    return support::message_of(made.plan.state);
  };
  CHECK(refusal({.score = {.page = 0}}) == "score.page is 0, must be at least 1");
  CHECK(refusal({.score = {.part = 0}}) == "score.part is 0, must be at least 1");
  CHECK(refusal({.score = {.page = 8, .part = 9}}) == "score.part is 9, must be at most 8");
}
