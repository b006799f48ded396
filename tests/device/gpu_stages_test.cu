// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Stages between scoring and selection, and budgets that differ by layer, on a real GPU: the host makes the same plan.
#include <kvsieve/budget/per_layer.hpp>
#include <kvsieve/budget/pyramid.hpp>
#include <kvsieve/lift/mean.hpp>
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/weigh/value_norm.hpp>

#include "gpu_plan.hpp"

using namespace kvsieve_test;
namespace agg = kvs::aggregate;
using kvs::snap_kv;

namespace {
using cache = grouped_cache<kvs::f16, 64>;
constexpr closeness deviations{2e-5, 1};  // scores of about 1, some near 0

void all_stages(cache const& c) {
  same_as_host<snap_kv<kvs::lift::mean>>(c, {.score = {.window = 16}, .budget = {.keep = 0.3}});
  same_as_host<snap_kv<kvs::weigh::value_norm, agg::heads_mean>>(
      c, {.score = {.window = 16}, .weigh = {.epsilon = 0.01f}, .budget = {.keep = 0.3}});
  same_as_host<snap_kv<kvs::smooth::max, agg::heads_own_and_mean>>(c,
                                                                   {.score = {.window = 16}, .budget = {.keep = 0.3}});
  same_as_host<snap_kv<kvs::lift::mean, kvs::weigh::value_norm, kvs::scale::z_score, agg::heads_sum>>(
      c, {.score = {.window = 16}, .budget = {.keep = 0.3}}, deviations);
}

void small_cache() {
  cache c(3, 2, {120, 33}, 71);
  // A value that is not finite takes its token's weight, and no other's.
  c.values[0]->host[5 * 64 + 1] = kvs::from_float<kvs::f16>(INFINITY);
  c.values[0]->upload();
  all_stages(c);
}

void large_cache() { all_stages({3, 4, {2500, 513, 40}, 81}); }

void budgets_by_layer() {
  std::vector<int> const lengths{300, 301, 64, 150, 300};
  cache const c(2, 2, lengths, 91);
  kvs::pyramid_kv<>::params const pyramid{.score = {.window = 8}, .budget = {.keep = 0.3, .beta = 10, .window = 8}};
  same_as_host<kvs::pyramid_kv<>>(c, pyramid);
  stream s;
  device_plan const made = plan_on_device<kvs::pyramid_kv<>>(kvs::device::on{s.handle}, c, pyramid);
  CHECK(made.plan.uniformity_class == kvs::uniformity::U2);
  CHECK(made.plan.count(0) > made.plan.count(4));

  std::vector<double> const keep{0.5, 0, 1, 0.25, 0.1};
  same_as_host<kvs::key_diff<kvs::budget::per_layer>>(c, {.budget = {.keep = keep}}, cosines);
  std::vector<int> const tokens{10, 400, 0, 1, 64};
  same_as_host<kvs::key_diff<kvs::budget::per_layer>>(c, {.budget = {.tokens = tokens}, .select = {.sink = 1}},
                                                      cosines);
}

void many_views() {
  std::vector<int> lengths;
  for (int i = 0; i < 70; ++i) lengths.push_back(1 + i * 37 % 400);
  cache const c(2, 1, lengths, 101);
  same_as_host<kvs::key_diff<kvs::smooth::max>>(c, {.budget = {.keep = 0.4}}, cosines);
  same_as_host<kvs::tova<>>(c, {.budget = {.keep = 0.4}});
}
}  // namespace

std::span<gpu_case const> kvsieve_test::stage_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: stages after the score over a small cache", "[gpu][score][sanitize]", small_cache},
      {"GPU: stages after the score", "[gpu][score]", large_cache},
      {"GPU: budgets by layer", "[gpu][budget][sanitize]", budgets_by_layer},
      {"GPU: more views than a launch takes", "[gpu][plan]", many_views}};
  return all;
}
