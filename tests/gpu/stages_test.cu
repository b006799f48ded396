// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Stages between scoring and selection, and budgets that differ by layer or head, on a real GPU: the host makes the
// same plan.
#include <kvsieve/budget/composite.hpp>
#include <kvsieve/budget/head_shares.hpp>
#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/budget/lazy_layers.hpp>
#include <kvsieve/budget/over_heads_mixed.hpp>
#include <kvsieve/budget/per_layer.hpp>
#include <kvsieve/budget/pyramid.hpp>
#include <kvsieve/budget/uncertainty.hpp>
#include <kvsieve/lift/mean.hpp>
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/weigh/value_norm.hpp>

#include "plan.hpp"

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

/// By drawn scores, which are the same numbers on both machines, so counts are too.
template <class Budget>
void check_heads(cache const& c, typename Budget::params const& budget) {
  using strategy = kvs::random<Budget, kvs::store::ragged>;
  typename strategy::params const p{.budget = budget, .select = {.sink = 2}};
  same_as_host<strategy>(c, p);

  stream s;
  kvs::device::on const on{s.handle};
  device_plan const made = plan_on_device<strategy>(on, c, p);
  kvs::token_plan const& plan = made.plan;
  auto const rows = static_cast<std::size_t>(plan.offset[plan.views * plan.heads]);
  buffer const keys(rows * 64 * sizeof(kvs::f16)), values(rows * 64 * sizeof(kvs::f16));
  auto const layers = c.on_device();
  std::vector<kvs::kv_layer<kvs::rows<kvs::f16, 64, kvs::layout_ragged>>> to;
  for (int v = 0; v < plan.views; ++v) {
    auto const packed = [&](buffer const& all) {
      return kvs::make_ragged<64>(all.as<kvs::f16>(), plan.heads, plan.device_offset + v * plan.heads, plan.count(v));
    };
    to.push_back({packed(keys), packed(values)});
  }
  using packed_layer = typename decltype(to)::value_type;
  REQUIRE(kvs::apply<strategy>(on, plan, kvs::kv_group<cache::layer>(layers.data(), layers.size()),
                               kvs::kv_group<packed_layer>(to.data(), to.size())));
  s.wait();
  auto const got_keys = fetch(keys.as<kvs::f16>(), rows * 64), got_values = fetch(values.as<kvs::f16>(), rows * 64);
  std::size_t at = 0, wrong = 0;
  for (int v = 0; v < plan.views; ++v)
    for (int h = 0; h < plan.heads; ++h)
      for (int const t : fetch(plan, v, h).kept) {
        auto const all = static_cast<std::size_t>(v);
        auto const row =
            (static_cast<std::size_t>(h) * static_cast<std::size_t>(plan.tokens(v)) + static_cast<std::size_t>(t)) * 64;
        bool const same = std::memcmp(&got_keys[at], &c.keys[all]->host[row], 64 * sizeof(kvs::f16)) == 0 &&
                          std::memcmp(&got_values[at], &c.values[all]->host[row], 64 * sizeof(kvs::f16)) == 0;
        wrong += same ? 0u : 1u;
        at += 64;
      }
  CHECK(at == rows * 64);
  CHECK(wrong == 0);
}

void budgets_by_head() {
  cache const c(3, 1, {300, 301, 64}, 111);
  check_heads<kvs::budget::over_heads>(c, {.keep = 0.3});
  check_heads<kvs::budget::over_heads_mixed>(c, {.keep = 0.3});
  check_heads<kvs::budget::over_all>(c, {.keep = 0.3});
  std::vector<double> const keep{0.5, 0, 1, 0.25, 0.1, 0.9, 0.3, 0.6, 0.02};
  check_heads<kvs::budget::head_shares>(c, {.keep = keep});
}

void budgets_by_measures() {
  cache const c(3, 1, {300, 301, 64, 1500}, 121);  // the keys of the last one are merged from two runs
  check_heads<kvs::budget::uncertainty>(c, {.keep = 0.3, .mass = 0.7});
  same_as_host<kvs::random<kvs::budget::layer_variance>>(c, {.budget = {.keep = 0.3, .whole_first = 1}});
  same_as_host<kvs::random<kvs::budget::lazy_layers>>(c, {.budget = {.threshold = 0.5, .sink = 4, .recent = 100}});
  check_heads<kvs::budget::composite>(c, {.keep = 0.3});
  std::vector<int> const lengths{300, 300, 300};
  cache const alike(3, 2, lengths, 131);
  same_as_host<kvs::cake<>>(alike, {.score = {.window = 16}, .budget = {.keep = 0.3}});
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
      {"GPU: budgets by head", "[gpu][budget][sanitize]", budgets_by_head},
      {"GPU: budgets that measure heads and layers", "[gpu][budget][sanitize]", budgets_by_measures},
      {"GPU: more views than a launch takes", "[gpu][plan]", many_views}};
  return all;
}
