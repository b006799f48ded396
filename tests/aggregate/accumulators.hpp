// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One property for every accumulator: with all ways to join a group, over all queries or a window of them.
#pragma once
#include <catch2/catch_all.hpp>

#include <kvsieve/reference/group.hpp>

#include "attention_reference.hpp"

namespace aggregate_tests {
namespace reference = kvsieve::reference;

template <class Observed, class Accumulator, class Group, class Fold, class Join>
void check(support::shape const& s, double keep, int window, Fold const& fold, Join const& join) {
  using strategy = kvsieve::compressor<kvsieve::score::attention<Observed>, Accumulator, Group>;
  constexpr bool all = std::is_same_v<Observed, kvsieve::observe::all>;
  auto const run = [&]<class T, int D, bool Strided>() {
    auto const layers = support::make_layers<T, D, Strided>(s, [&](int n) { return all ? n : window; });
    typename strategy::params params{.budget = {.keep = keep}};
    if constexpr (!all) params.score.window = window;
    auto const p = support::make_plan<strategy>(s.executor, layers, params);
    support::assert_plan(
        p, s, keep,
        [&](int v, int h) {
          auto const& l = layers[static_cast<std::size_t>(v)];
          return support::attention_reference(l, h, s.group, all ? l.keys.tokens() : window, fold, join);
        },
        [&](int) { return support::ends(0, all ? 0 : window); });
  };
  if constexpr (all)
    run.template operator()<float, 64, false>();
  else
    run.template operator()<kvsieve::bf16, 80, true>();
}

/// Runs the property; `fold` is the accumulator's reference.
template <class Accumulator, class Fold>
bool agrees_with_reference(char const* what, Fold const& fold) {
  namespace aggregate = kvsieve::aggregate;
  return support::holds(what, 60, [&] {
    auto const s = *support::shapes(1, 150);
    double const keep = *support::fractions();
    bool const all = *rc::gen::arbitrary<bool>();
    int const window = *rc::gen::resize(100, rc::gen::inRange(1, s.shortest() + 1));
    int const join = *rc::gen::resize(100, rc::gen::inRange(0, 3));
    auto const over = [&]<class Observed>() {
      if (join == 0) check<Observed, Accumulator, aggregate::group_mean>(s, keep, window, fold, reference::group_mean);
      if (join == 1) check<Observed, Accumulator, aggregate::group_sum>(s, keep, window, fold, reference::group_sum);
      if (join == 2) check<Observed, Accumulator, aggregate::group_max>(s, keep, window, fold, reference::group_max);
    };
    if (all)
      over.template operator()<kvsieve::observe::all>();
    else
      over.template operator()<kvsieve::observe::window>();
  });
}
}  // namespace aggregate_tests
