// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Accumulators that jump at a threshold, and those that are told their queries, on a real GPU: the host makes the same
// plan, but for tokens whose probabilities lie at the threshold.
#include <kvsieve/aggregate/count_above.hpp>
#include <kvsieve/aggregate/last_above.hpp>
#include <kvsieve/aggregate/last_above_with_gap.hpp>
#include <kvsieve/reference/attention.hpp>

#include "plan.hpp"

using namespace kvsieve_test;
namespace agg = kvs::aggregate;

namespace {
constexpr int D = 128;
using cache = grouped_cache<kvs::bf16, D>;
template <class... Policies>
using last_queries = kvs::compressor<kvs::score::attention<kvs::observe::window>, Policies...>;

/// Tokens [view][head * tokens + token] that a query of the group gives a probability within rounding of a threshold:
/// whether it counts is then a matter of the order of additions. threshold(visible) is in units of probability.
template <class Threshold>
std::vector<std::vector<char>> on_the_edge(cache const& c, int window, Threshold const& threshold) {
  std::vector<std::vector<char>> edge;
  for (std::size_t v = 0; v < c.lengths.size(); ++v) {
    int const n = c.lengths[v];
    edge.emplace_back(static_cast<std::size_t>(c.heads * n));
    std::vector<double> p(static_cast<std::size_t>(window * n));
    for (int q = 0; q < c.heads * c.group; ++q) {
      kvs::reference::attention(c.queries[v]->on_host(), q, c.keys[v]->on_host(), q / c.group, window, p);
      for (int i = 0; i < window; ++i) {
        double const at = threshold(n - window + i + 1);
        for (int t = 0; t < n; ++t) {
          if (std::abs(p[static_cast<std::size_t>(i * n + t)] - at) <= 1e-5 * at)
            edge[v][static_cast<std::size_t>(q / c.group * n + t)] = 1;
        }
      }
    }
  }
  return edge;
}

/// The same for accumulators that jump at a threshold: tokens at the edge of it may score otherwise.
template <class C, class Threshold>
void same_but_at_the_edge(cache const& c, typename C::params const& p, int window, Threshold const& threshold) {
  auto const edge = on_the_edge(c, window, threshold);
  stream s;
  device_plan const there = plan_on_device<C>(kvs::device::on{s.handle}, c, p);
  host_plan const here = plan_on_host<C>(c, p);
  std::size_t at_edge = 0, tokens = 0;
  for (auto const& view : edge) {
    at_edge += static_cast<std::size_t>(std::count(view.begin(), view.end(), 1));
    tokens += view.size();
  }
  CHECK(at_edge * 100 <= tokens);
  compare<C>(there.plan, here.plan, {}, [&](int v, int h, int t) {
    return edge[static_cast<std::size_t>(v)][static_cast<std::size_t>(h * here.plan.tokens(v) + t)] != 0;
  });
}

void all_thresholds(cache const& c, int window) {
  auto const share = [](int visible) { return 1.0 / visible; };
  same_but_at_the_edge<last_queries<agg::count_above>>(c, {.score = {.window = window}, .budget = {.keep = 0.3}},
                                                       window, share);
  same_but_at_the_edge<last_queries<agg::last_above, agg::group_max>>(
      c, {.score = {.window = window}, .budget = {.keep = 0.3}}, window, share);
  same_but_at_the_edge<last_queries<agg::last_above_with_gap, agg::group_max>>(
      c, {.score = {.window = window}, .aggregate = {.threshold = 2e-3f}, .budget = {.keep = 0.3}}, window,
      [](int) { return static_cast<double>(2e-3f); });
}

void small_cache() { all_thresholds({2, 2, {150, 97}, 41}, 40); }

void several_tiles() { all_thresholds({2, 4, {3001, 129, 700}, 51}, 70); }
}  // namespace

std::span<gpu_case const> kvsieve_test::threshold_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: accumulators with a threshold over a small cache", "[gpu][score][sanitize]", small_cache},
      {"GPU: accumulators with a threshold over several tiles and segments", "[gpu][score]", several_tiles}};
  return all;
}
