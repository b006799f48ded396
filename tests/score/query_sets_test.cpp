// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Any sets of observed queries, each with a weight and keys that it sees, folded as probabilities or as logits.
#include <kvsieve/reference/query_sets.hpp>

#include <catch2/catch_all.hpp>

#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/reference/group.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace reference = kvsieve::reference;
using kvsieve::query_set;

namespace {
namespace kvs = kvsieve;
namespace agg = kvsieve::aggregate;

/// How far float may be off: `relative` of a probability, as support::probability_error has it, and of a logit.
struct row_error {
  double relative = 0, logit = 0;
};
row_error error_of(auto const& queries, int query_head, auto const& keys, int head) {
  constexpr int D = kvs::head_dim_of<std::decay_t<decltype(keys)>>;
  double largest = 0;
  for (kvs::index i = 0; i < queries.extent(1); ++i)
    for (kvs::index t = 0; t < keys.extent(1); ++t) {
      if (!reference::finite_row(queries, query_head, i) || !reference::finite_row(keys, head, t)) continue;
      double magnitude = 0;
      for (int d = 0; d < D; ++d)
        magnitude +=
            std::abs(reference::element_at(queries, query_head, i, d) * reference::element_at(keys, head, t, d));
      largest = std::max(largest, magnitude / std::sqrt(static_cast<double>(D)));
    }
  double const logit = (support::gamma(D + 3) + 4 * support::u) * largest;
  return {std::expm1(2 * logit) + support::gamma(64.0 + static_cast<double>(keys.extent(1)) / 64.0 + 20.0), logit};
}

/// Reference scores of one KV head. `fold(rows, out)` is the accumulator's, `join` the group's.
template <bool Softmax, class Fold, class Join>
support::expected expect(auto const& layer, int head, int group, std::vector<query_set> const& sets, int cached,
                         double unseen, Fold const& fold, Join const& join) {
  auto const keys = layer.keys.view();
  auto const queries = layer.queries.view();
  auto const n = static_cast<std::size_t>(cached);
  support::expected e(cached);
  std::vector<double> each(static_cast<std::size_t>(group) * n), off(each.size());
  for (int g = 0; g < group; ++g) {
    int const at = head * group + g;
    auto const rows = reference::rows_of_sets(queries, at, keys, head, std::span(sets), cached, Softmax, unseen);
    auto const score = std::span(each).subspan(static_cast<std::size_t>(g) * n, n);
    fold(rows, score);
    row_error const off_by = error_of(queries, at, keys, head);
    double const sums = support::gamma(2.0 * rows.queries + group + 12);
    // Magnitudes, since logits have both signs.
    auto size = rows;
    for (double& x : size.number) x = std::isinf(x) ? 0.0 : std::abs(x);
    std::vector<double> magnitude(n), unit(n);
    fold(size, std::span(magnitude));
    for (std::size_t i = 0; i < size.number.size(); ++i) size.number[i] = size.number[i] > 0 ? 1.0 : 0.0;
    fold(size, std::span(unit));
    for (std::size_t t = 0; t < n; ++t) {
      double const own = Softmax ? off_by.relative * magnitude[t] : off_by.logit * unit[t];
      off[static_cast<std::size_t>(g) * n + t] =
          own + sums * magnitude[t] + rows.queries * 1e-18 * (Softmax ? 1.0 : 0.0);
    }
  }
  join(std::span<double const>(each), group, std::span<double>(e.score));
  join(std::span<double const>(off), group, std::span<double>(e.bound));
  for (std::size_t t = 0; t < n; ++t)
    if (std::isfinite(e.score[t])) e.bound[t] += support::gamma(group + 4) * std::abs(e.score[t]) + 1e-30;
  return e;
}

/// Sets that fit a view of `cached` tokens and `own` behind them. Weights of 1 only, or any.
std::vector<query_set> some_sets(int cached, int own, bool weighted) {
  auto const number = [](int from, int to) { return *rc::gen::resize(100, rc::gen::inRange(from, to + 1)); };
  std::vector<query_set> sets(static_cast<std::size_t>(number(1, 4)));
  for (query_set& s : sets) {
    int const tokens = cached + own;
    s.position = number(0, 2) == 0 ? -1 : number(0, tokens - 1);
    s.count = number(1, s.position < 0 ? 80 : std::min(tokens - s.position, 80));
    if (weighted) s.weight = static_cast<float>(number(0, 8)) / 4.0f;
    if (number(0, 1) == 1) {
      int const before = s.position < 0 ? cached : s.position;
      s.sink = number(0, std::min(before, 5));
      s.from = number(s.sink, before);
      s.to = number(s.from, before);
      if (s.position < 0 && s.sink + s.to - s.from == 0) s.to = -1;
    }
  }
  if (sets[0].weight == 0.0f) sets[0].weight = 1.0f;
  return sets;
}

template <class Aggregate, class Group, bool Softmax, int Combinations = 1, class Fold, class Join>
bool agrees(char const* what, bool weighted, double unseen, Fold const& fold, Join const& join) {
  using form = std::conditional_t<Softmax, kvs::row_form::softmax, kvs::row_form::logits>;
  using strategy = kvs::compressor<kvs::score::attention<kvs::observe::sets, form>, Aggregate, Group>;
  return support::holds(what, 40, [&] {
    auto s = *support::shapes(1, 150);
    s.tokens.resize(1);
    s.group = std::min(s.group, 4);
    int const own = *rc::gen::resize(100, rc::gen::inRange(0, std::min(s.tokens[0], 100)));
    int const cached = s.tokens[0] - own;
    int const sink = *rc::gen::resize(100, rc::gen::inRange(0, 3));
    int const recent = *rc::gen::resize(100, rc::gen::inRange(0, std::min(cached, 4)));
    auto const sets = some_sets(cached, own, weighted);
    int given = 0;
    for (auto const& set : sets) given += set.count;
    double const keep = *support::fractions();
    support::with_combination<Combinations>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [&](int) { return given; });
      auto const p = support::make_plan<strategy>(
          s.executor, layers,
          {.score = {.sets = {sets.data(), sets.size()}, .own = own, .sink = sink, .recent = recent},
           .budget = {.keep = keep}});
      auto shape = s;
      shape.tokens[0] = cached;
      support::assert_plan(
          p, shape, keep,
          [&](int, int h) { return expect<Softmax>(layers[0], h, s.group, sets, cached, unseen, fold, join); },
          [&](int) { return support::ends(sink, recent); });
    });
  });
}

auto const weighed = [](reference::weighing how) {
  return [how](auto const& rows, auto score) { reference::weighted_sum(rows, how, score); };
};
auto const largest = [](double unseen) {
  return [unseen](auto const& rows, auto score) { reference::weighted_max(rows, unseen, score); };
};
auto const root_mean_square = [](auto const& rows, auto score) { reference::weighted_root_mean_square(rows, score); };
constexpr double minus_inf = -std::numeric_limits<double>::infinity();
}  // namespace

TEST_CASE("sets of queries: probabilities, weighed, by every accumulator that weighs") {
  using reference::weighing;
  CHECK(agrees<agg::mean, agg::group_mean, true, 3>("mean", true, 0, weighed(weighing::mean), reference::group_mean));
  CHECK(agrees<agg::sum, agg::group_max, true>("sum", true, 0, weighed(weighing::sum), reference::group_max));
  CHECK(agrees<agg::mean_visible, agg::group_sum, true>("visible", true, 0, weighed(weighing::mean_visible),
                                                        reference::group_sum));
  CHECK(agrees<agg::root_mean_square, agg::group_mean, true>("root mean square", true, 0, root_mean_square,
                                                             reference::group_mean));
  CHECK(agrees<agg::max, agg::group_max, true, 3>("max", true, 0, largest(0), reference::group_max));
}

TEST_CASE("sets of queries: logits") {
  using reference::weighing;
  CHECK(agrees<agg::mean, agg::group_mean, false>("mean", true, 0, weighed(weighing::mean), reference::group_mean));
  CHECK(agrees<agg::sum, agg::group_max, false>("sum", true, 0, weighed(weighing::sum), reference::group_max));
  CHECK(agrees<agg::max, agg::group_max, false>("max", true, minus_inf, largest(minus_inf), reference::group_max));
}
