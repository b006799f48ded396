// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/q_filters.hpp>
#include <kvsieve/score/q_filters.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "refusal.hpp"
#include "tolerance.hpp"

namespace {
using namespace kvsieve;
using filtered = compressor<score::q_filters>;

std::vector<float> draw_filters(int layers, int heads, int head_dim, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> f(static_cast<std::size_t>(layers * heads * head_dim));
  for (float& x : f) x = normal(random);
  return f;
}
}  // namespace

TEST_CASE("q_filters: scores and kept tokens are the reference's") {
  CHECK(support::holds("q_filters: scores and kept tokens are the reference's", 80, [] {
    auto s = *support::shapes();
    if (s.what == support::content::non_finite) s.what = support::content::normal;
    double const keep = *support::fractions();
    // A filter for each layer, one for all of them, or a list that says which.
    int const form = *rc::gen::inRange(0, 3);
    int const table_layers = form == 0 ? s.views() : form == 1 ? 1 : 4;
    std::vector<int> list;
    if (form == 2)
      for (int v = 0; v < s.views(); ++v) list.push_back((v * 3 + 1) % 4);
    support::with_combination<8>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const filters = draw_filters(table_layers, s.kv_heads, D, s.seed);
      auto const p = support::make_plan<filtered>(
          s.executor, layers,
          {.score = {.filter = {filters.data(), filters.size()}, .layer = {list.data(), list.size()}},
           .budget = {.keep = keep}});
      auto const expect = [&](int v, int h) {
        auto const& l = layers[static_cast<std::size_t>(v)];
        int const layer = form == 0 ? v : form == 1 ? 0 : list[static_cast<std::size_t>(v)];
        std::span<float const> const filter(filters.data() + (layer * s.kv_heads + h) * D, D);
        support::expected e(l.keys.tokens());
        reference::q_filters(l.keys.view(), h, filter, e.score);
        for (std::size_t t = 0; t < e.score.size(); ++t) {
          double magnitude = 0;
          for (int d = 0; d < D; ++d)
            magnitude += std::abs(static_cast<double>(l.keys.get(h, static_cast<int>(t), d)) *
                                  static_cast<double>(filter[static_cast<std::size_t>(d)]));
          e.bound[t] = support::gamma(D) * magnitude + D * 0x1p-149;
        }
        return e;
      };
      support::assert_plan(p, s, keep, expect, [](int) { return support::ends(0, 0); });
    });
  }));
}

TEST_CASE("q_filters: a key that is not finite touches its own score alone") {
  support::layer<float, 64> l(1, 1, 40, 1, support::layout::packed, support::content::normal, 1);
  std::vector<support::layer<float, 64>> layers{l, l};
  auto const filters = draw_filters(1, 1, 64, 5);
  layers[1].keys.set(0, 11, 3, NAN);
  auto const p = support::make_plan<filtered>(0, layers, {.score = {.filter = {filters.data(), filters.size()}}});
  REQUIRE(p.plan);
  for (std::size_t t = 0; t < 40; ++t)
    if (t == 11)
      CHECK(std::isnan(p.plan.scores(1, 0)[t]));
    else
      CHECK(p.plan.scores(1, 0)[t] == p.plan.scores(0, 0)[t]);
}

TEST_CASE("q_filters refuses a table that does not fit the call") {
  support::layer<float, 64> const l(2, 1, 40, 1, support::layout::packed, support::content::normal, 1);
  std::vector const views{l.const_view(), l.const_view(), l.const_view()};
  cs::span<std::remove_cvref_t<decltype(views[0])> const> const group(views.data(), views.size());
  std::vector<float> const filters(3 * 2 * 64);
  support::workspace memory(1 << 16);
  auto const refused = [&](std::size_t entries, std::vector<int> const& list, std::vector<std::string> const& parts) {
    auto const p = plan<filtered>(host::on{}, group,
                                  {.score = {.filter = {filters.data(), entries}, .layer = {list.data(), list.size()}}},
                                  memory.span());
    support::check_refused(p.state, p.state.code, parts);
    CHECK(memory.untouched());
  };
  refused(0, {}, {"score.filter is 0", "a multiple of 128"});
  refused(100, {}, {"score.filter is 100", "a multiple of 128"});
  refused(256, {}, {"score.filter is 256", "it must have 384"});
  refused(256, {0, 1}, {"score.layer is 2", "it must have 3"});
  refused(256, {0, 1, 2}, {"score.layer is 2", "at most 1"});
  refused(256, {0, -1, 1}, {"score.layer is -1", "at least 0"});
}
