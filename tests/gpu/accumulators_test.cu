// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Accumulators over observed queries on a real GPU: the host makes the same plan.
#include <kvsieve/aggregate/decayed_sum.hpp>
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/aggregate/root_mean_square.hpp>

#include "plan.hpp"

using namespace kvsieve_test;
namespace agg = kvs::aggregate;

namespace {
constexpr int D = 128;
using cache = grouped_cache<kvs::bf16, D>;
template <class... Policies>
using last_queries = kvs::compressor<kvs::score::attention<kvs::observe::window>, Policies...>;
template <class... Policies>
using all_queries = kvs::compressor<kvs::score::attention<kvs::observe::all>, Policies...>;

void all_accumulators(cache const& c, int window) {
  same_as_host<last_queries<agg::mean>>(c, {.score = {.window = window}, .budget = {.keep = 0.3}});
  same_as_host<last_queries<agg::max, agg::group_max>>(c, {.score = {.window = window}, .budget = {.keep = 0.3}});
  same_as_host<last_queries<agg::last, agg::group_sum>>(c, {.score = {.window = window}, .budget = {.keep = 0.3}});
  same_as_host<last_queries<agg::root_mean_square>>(c, {.score = {.window = window}, .budget = {.keep = 0.3}});
  same_as_host<last_queries<agg::decayed_sum>>(
      c, {.score = {.window = window}, .aggregate = {.decay = 0.9f}, .budget = {.keep = 0.3}});
  same_as_host<last_queries<agg::mean_variance>>(c, {.score = {.window = window}, .budget = {.keep = 0.3}});
}

void small_cache() { all_accumulators({2, 2, {150, 97}, 41}, 40); }

void several_tiles() { all_accumulators({2, 4, {3001, 129, 700}, 51}, 70); }

void every_query() {
  cache const c(2, 4, {1, 63, 700}, 61);
  same_as_host<all_queries<agg::sum, agg::group_sum>>(c, {.budget = {.keep = 0.3}});
  same_as_host<all_queries<agg::mean_visible>>(c, {.budget = {.keep = 0.3}});
  same_as_host<all_queries<agg::decayed_sum, agg::group_max>>(c, {.budget = {.keep = 0.3}});
}
}  // namespace

std::span<gpu_case const> kvsieve_test::accumulator_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: accumulators over a small cache", "[gpu][score][sanitize]", small_cache},
      {"GPU: accumulators over several tiles and segments", "[gpu][score]", several_tiles},
      {"GPU: accumulators over all queries", "[gpu][score]", every_query}};
  return all;
}
