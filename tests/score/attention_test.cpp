// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which queries are observed: the last window, the last one, all of them. How they are folded: ../aggregate.
#include <kvsieve/reference/attention.hpp>

#include <catch2/catch_all.hpp>

#include <kvsieve/reference/average.hpp>
#include <kvsieve/reference/group.hpp>
#include <kvsieve/reference/last.hpp>
#include <kvsieve/reference/mean.hpp>
#include <kvsieve/reference/mean_visible.hpp>
#include <kvsieve/reference/sum.hpp>

#include "attention_reference.hpp"

namespace reference = kvsieve::reference;

TEST_CASE("attention of the last window, pooled: SnapKV") {
  CHECK(support::holds("attention of the last window, pooled: SnapKV", 80, [] {
    auto const s = *support::shapes(1, 2100);
    double const keep = *support::fractions();
    int const window = *rc::gen::resize(100, rc::gen::inRange(1, std::min(s.shortest(), 70) + 1));
    int const spare = *rc::gen::resize(100, rc::gen::inRange(0, 3));  // queries before the window are not looked at
    int const kernel = *rc::gen::element(1, 3, 5, 7);
    support::with_combination(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [&](int n) { return std::min(n, window + spare); });
      auto const p = support::make_plan<kvsieve::snap_kv<>>(
          s.executor, layers, {.score = {.window = window}, .smooth = {.kernel = kernel}, .budget = {.keep = keep}});
      auto const expect = [&](int v, int h) {
        auto const& l = layers[static_cast<std::size_t>(v)];
        auto e = support::attention_reference(l, h, s.group, window, reference::mean, reference::group_mean);
        // The window is not pooled and does not leak in. Pooling adds kernel positive terms and divides.
        std::size_t const scored = e.score.size() - static_cast<std::size_t>(window);
        std::vector<double> const raw(e.score.begin(), e.score.begin() + static_cast<std::ptrdiff_t>(scored));
        std::vector<double> const bound(e.bound.begin(), e.bound.begin() + static_cast<std::ptrdiff_t>(scored));
        reference::average_pool(raw, kernel, std::span(e.score).first(scored));
        reference::average_pool(bound, kernel, std::span(e.bound).first(scored));
        for (std::size_t t = 0; t < scored; ++t) e.bound[t] += support::gamma(kernel + 1) * std::abs(e.score[t]);
        return e;
      };
      support::assert_plan(p, s, keep, expect, [&](int) { return support::ends(0, window); });
    });
  }));
}

TEST_CASE("attention of the last query, one choice for the layer: TOVA") {
  CHECK(support::holds("attention of the last query, one choice for the layer: TOVA", 80, [] {
    auto const s = *support::shapes(1, 3001);
    double const keep = *support::fractions();
    support::with_combination<5>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int n) { return std::min(n, 2); });
      auto const p = support::make_plan<kvsieve::tova<>>(s.executor, layers, {.budget = {.keep = keep}});
      auto const expect = [&](int v, int) {
        auto const& l = layers[static_cast<std::size_t>(v)];
        support::expected joined(l.keys.tokens());
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const e = support::attention_reference(l, h, s.group, 1, reference::last, reference::group_mean);
          for (std::size_t t = 0; t < joined.score.size(); ++t) {
            joined.score[t] += e.score[t] / s.kv_heads;
            joined.bound[t] += (e.bound[t] + support::gamma(s.kv_heads + 1) * std::abs(e.score[t])) / s.kv_heads;
          }
        }
        return joined;
      };
      support::assert_plan(p, s, keep, expect, [](int) { return support::ends(0, 1); });
    });
  }));
}

TEST_CASE("attention of all queries, mean over those that see a token") {
  CHECK(support::holds("attention of all queries, mean over those that see a token", 60, [] {
    auto const s = *support::shapes(1, 200);
    double const keep = *support::fractions();
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int n) { return n; });
      auto const p = support::make_plan<kvsieve::observed_attention<>>(s.executor, layers, {.budget = {.keep = keep}});
      support::assert_plan(
          p, s, keep,
          [&](int v, int h) {
            auto const& l = layers[static_cast<std::size_t>(v)];
            return support::attention_reference(l, h, s.group, l.keys.tokens(), reference::mean_visible,
                                                reference::group_mean);
          },
          [](int) { return support::ends(0, 0); });
    });
  }));
}

TEST_CASE("attention of all queries, summed, half of the budget recent: H2O") {
  CHECK(support::holds("attention of all queries, summed, half of the budget recent: H2O", 60, [] {
    auto const s = *support::shapes(1, 200);
    double const keep = *support::fractions(), recent_share = *support::fractions();
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int n) { return n; });
      auto const p = support::make_plan<kvsieve::h2o<>>(
          s.executor, layers, {.budget = {.keep = keep}, .select = {.recent_share = recent_share}});
      support::assert_plan(
          p, s, keep,
          [&](int v, int h) {
            auto const& l = layers[static_cast<std::size_t>(v)];
            return support::attention_reference(l, h, s.group, l.keys.tokens(), reference::sum, reference::group_mean);
          },
          [&](int tokens) {
            return support::ends(0, static_cast<int>(std::floor(std::floor(tokens * keep) * recent_share)));
          });
    });
  }));
}
