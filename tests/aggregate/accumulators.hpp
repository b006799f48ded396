// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One property for every accumulator: with all ways to join a group, over all queries or a window of them.
#pragma once
#include <catch2/catch_all.hpp>

#include <kvsieve/reference/group.hpp>

#include "attention_reference.hpp"

namespace aggregate_tests {
namespace reference = kvsieve::reference;

template <class Observed, class Accumulator, class Group, class Fold, class Join, class Slack>
void check(support::shape const& s, double keep, int window, typename Accumulator::params const& numbers,
           Fold const& fold, Join const& join, Slack const& slack) {
  using strategy = kvsieve::compressor<kvsieve::score::attention<Observed>, Accumulator, Group>;
  constexpr bool all = std::is_same_v<Observed, kvsieve::observe::all>;
  auto const run = [&]<class T, int D, bool Strided>() {
    auto const layers = support::make_layers<T, D, Strided>(s, [&](int n) { return all ? n : window; });
    typename strategy::params params{.aggregate = numbers, .budget = {.keep = keep}};
    if constexpr (!all) params.score.window = window;
    auto const p = support::make_plan<strategy>(s.executor, layers, params);
    support::assert_plan(
        p, s, keep,
        [&](int v, int h) {
          auto const& l = layers[static_cast<std::size_t>(v)];
          return support::attention_reference(l, h, s.group, all ? l.keys.tokens() : window, fold, join, slack);
        },
        [&](int) { return support::ends(0, all ? 0 : window); });
  };
  if constexpr (all)
    run.template operator()<float, 64, false>();
  else
    run.template operator()<kvsieve::bf16, 80, true>();
}

/// Runs the property over some of the accumulator's numbers, all queries only with the mean of a group unless all
/// combinations are tested (seconds to compile each); `fold(numbers)` and `slack(numbers)` are the reference and
/// its error, as support::attention_reference takes them.
template <class Accumulator, class Fold, class Slack>
bool agrees_with_reference(char const* what, std::vector<typename Accumulator::params> const& choices, Fold const& fold,
                           Slack const& slack) {
  namespace aggregate = kvsieve::aggregate;
  constexpr int least = kvsieve::least_queries<Accumulator>;
  return support::holds(what, 60, [&] {
    auto const s = *support::shapes(least, 150);
    double const keep = *support::fractions();
    bool const all = *rc::gen::arbitrary<bool>();
    int const window = *rc::gen::resize(100, rc::gen::inRange(least, s.shortest() + 1));
    int const join = *rc::gen::resize(100, rc::gen::inRange(0, 3));
    auto const& numbers = choices[*rc::gen::resize(100, rc::gen::inRange<std::size_t>(0, choices.size()))];
    auto const over = [&]<class Observed>() {
      auto const with = [&]<class Group>(auto const& joined) {
        if constexpr (support::all_combinations || std::is_same_v<Observed, kvsieve::observe::window> ||
                      std::is_same_v<Group, aggregate::group_mean>)
          check<Observed, Accumulator, Group>(s, keep, window, numbers, fold(numbers), joined, slack(numbers));
      };
      if (join == 0) with.template operator()<aggregate::group_mean>(reference::group_mean);
      if (join == 1) with.template operator()<aggregate::group_sum>(reference::group_sum);
      if (join == 2) with.template operator()<aggregate::group_max>(reference::group_max);
    };
    if (all)
      over.template operator()<kvsieve::observe::all>();
    else
      over.template operator()<kvsieve::observe::window>();
  });
}

/// Runs the property for an accumulator without numbers; `fold` is its reference.
template <class Accumulator, class Fold>
bool agrees_with_reference(char const* what, Fold const& fold) {
  auto const same = [&](auto const&) { return fold; };
  return agrees_with_reference<Accumulator>(what, {{}}, same, [](auto const&) { return support::as_probabilities{}; });
}

/// The error of a fold that grows with every probability: what it makes of the smallest and the largest they may be.
template <class Fold>
auto monotone(Fold const& fold) {
  return [fold](std::span<double const> p, int observed, double relative, std::span<double const> score,
                std::span<double> bound) {
    std::vector<double> moved(p.size()), other(score.size());
    std::fill(bound.begin(), bound.end(), 0.0);
    for (double const by : {1 - relative, 1 + relative}) {
      for (std::size_t i = 0; i < p.size(); ++i) moved[i] = p[i] * by;
      fold(std::span<double const>(moved), observed, std::span<double>(other));
      for (std::size_t t = 0; t < score.size(); ++t) bound[t] = std::fmax(bound[t], std::abs(other[t] - score[t]));
    }
  };
}
}  // namespace aggregate_tests
