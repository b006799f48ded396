// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sets of observed queries and logits on emulated blocks.
#include "emulated_plan.hpp"

#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/reference/group.hpp>
#include <kvsieve/reference/query_sets.hpp>

using namespace kvsieve_test;
namespace ref = kvsieve::reference;
namespace agg = kvs::aggregate;
using kvs::query_set;

namespace {
using vec = std::vector<double>;
constexpr double minus_inf = -std::numeric_limits<double>::infinity();

template <class A>
void fold(ref::observed_rows const& rows, double unseen, vec& score) {
  if constexpr (std::is_same_v<A, agg::mean>)
    ref::weighted_sum(rows, ref::weighing::mean, score);
  else if constexpr (std::is_same_v<A, agg::sum>)
    ref::weighted_sum(rows, ref::weighing::sum, score);
  else if constexpr (std::is_same_v<A, agg::mean_visible>)
    ref::weighted_sum(rows, ref::weighing::mean_visible, score);
  else if constexpr (std::is_same_v<A, agg::root_mean_square>)
    ref::weighted_root_mean_square(rows, score);
  else
    ref::weighted_max(rows, unseen, score);
}

/// The strategy's scores of two KV heads of two query heads, over `cached` tokens with `own` behind them.
template <class A, class Group, class Form, int Threads>
void check_sets(int cached, int own, std::vector<query_set> const& sets, bool hostile) {
  using strategy = kvs::compressor<kvs::score::attention<kvs::observe::sets, Form>, A, Group>;
  constexpr bool softmax = Form::normalises;
  int given = 0;
  for (auto const& s : sets) given += s.count;
  CAPTURE(cached, own, given, softmax, Threads);
  cache<float, 64> c(2, cached + own, 3);
  tensor<float, 64> q(4, given, 4);
  if (hostile) {
    c.keys.at(0, cached / 3, 1) = not_a_number;
    c.keys.at(1, cached - 1, 7) = infinite;
    q.at(0, 0, 5) = -infinite;
    q.at(3, given - 1, 5) = not_a_number;
  }
  std::vector const layers{c.layer()};
  std::vector const queries{q.view()};
  auto const made = emulated_plan<strategy, Threads>(
      layers, {.score = {.sets = {sets.data(), sets.size()}, .own = own}, .budget = {.keep = 0.5}}, queries);
  REQUIRE(made.plan.tokens() == cached);
  double const unseen = softmax ? 0 : std::is_same_v<A, agg::max> ? minus_inf : 0;
  for (int h = 0; h < 2; ++h) {
    auto const n = static_cast<std::size_t>(cached);
    vec each(2 * n), one(n), want(n);
    for (int g = 0; g < 2; ++g) {
      auto const rows =
          ref::rows_of_sets(q.view(), h * 2 + g, c.keys.view(), h, std::span(sets), cached, softmax, unseen);
      fold<A>(rows, unseen, one);
      std::copy(one.begin(), one.end(), each.begin() + static_cast<std::ptrdiff_t>(n) * g);
    }
    if constexpr (std::is_same_v<Group, agg::group_max>)
      ref::group_max(each, 2, want);
    else
      ref::group_mean(each, 2, want);
    CHECK(near(scores(made.plan, 0, h), want, 2e-5, softmax ? 1e-3 : 1));
    CHECK(kept(made.plan, 0, h).size() == n / 2);
  }
}
using kvs::row_form::softmax, kvs::row_form::logits;
}  // namespace

TEST_CASE("per-query kernels: sets of queries with weights and keys that they see", "[device][score]") {
  // A window and a draft behind the cache; a window that ends before the last tokens; chunks and their pass behind.
  std::vector<query_set> const mixed{{9, 0.25f, 81}, {6, 2}}, early{{20, 1, 30}};
  std::vector<query_set> const chunks{{12, 1, 70, 4, 4, 30}, {20, 3, 82, 4, 30, 70}, {3, 1, -1, 0, 2, 40}};
  check_sets<agg::mean, agg::group_mean, softmax, 64>(90, 0, mixed, true);
  check_sets<agg::root_mean_square, agg::group_mean, softmax, 64>(90, 0, mixed, false);
  check_sets<agg::mean_visible, agg::group_max, softmax, 64>(90, 0, early, true);
  check_sets<agg::max, agg::group_max, softmax, 32>(70, 32, chunks, true);
  check_sets<agg::root_mean_square, agg::group_max, softmax, 64>(70, 32, chunks, false);
  check_sets<agg::mean_visible, agg::group_mean, softmax, 64>(70, 32, chunks, true);
}

TEST_CASE("per-query kernels: logits", "[device][score]") {
  std::vector<query_set> const mixed{{9, 0.25f, 81}, {6, 2}}, chunks{{12, 1, 70, 4, 4, 30}, {20, 1, 82, 4, 30, 70}};
  check_sets<agg::sum, agg::group_mean, logits, 64>(90, 0, mixed, true);
  check_sets<agg::max, agg::group_max, logits, 64>(90, 0, mixed, true);
  check_sets<agg::max, agg::group_max, logits, 32>(70, 32, chunks, true);
}

TEST_CASE("on the device a score has room for a few sets, and says so", "[device][score]") {
  std::vector<query_set> const five{{1}, {1}, {1}, {1}, {1}};
  cache<float, 64> c(1, 20, 3);
  tensor<float, 64> q(1, 5, 4);
  using strategy = kvs::compressor<kvs::score::attention<kvs::observe::sets>>;
  strategy::params const p{.score = {.sets = {five.data(), five.size()}}};
  std::vector const layers{c.layer()};
  std::vector const queries{q.view()};
  emulated_device<32> const on;
  using layer_type = decltype(c.layer());
  using query_type = decltype(q.view());
  kvs::device::planner<strategy, emulated_device<32>, layer_type, query_type> planner(on, {layers.data(), 1},
                                                                                      {queries.data(), 1}, p);
  workspace_memory memory(planner.bytes());
  auto const made = planner.run(memory.get());
  CHECK(!made);
  char line[200];
  CHECK(made.state.message(line) == "view 0: score.sets is 5, must be, on the device, at most 4");
}
