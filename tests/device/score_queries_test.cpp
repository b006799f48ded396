// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "emulated_plan.hpp"

#include <kvsieve/aggregate/count_above.hpp>
#include <kvsieve/aggregate/decayed_sum.hpp>
#include <kvsieve/aggregate/last_above.hpp>
#include <kvsieve/aggregate/last_above_with_gap.hpp>
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/aggregate/mean_variance_entropy.hpp>
#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/reference/attention.hpp>
#include <kvsieve/reference/average.hpp>
#include <kvsieve/reference/count_above.hpp>
#include <kvsieve/reference/decayed_sum.hpp>
#include <kvsieve/reference/group.hpp>
#include <kvsieve/reference/last.hpp>
#include <kvsieve/reference/last_above.hpp>
#include <kvsieve/reference/last_above_with_gap.hpp>
#include <kvsieve/reference/max.hpp>
#include <kvsieve/reference/mean.hpp>
#include <kvsieve/reference/mean_variance.hpp>
#include <kvsieve/reference/mean_visible.hpp>
#include <kvsieve/reference/root_mean_square.hpp>
#include <kvsieve/reference/sum.hpp>
#include <kvsieve/reference/top_k.hpp>

using namespace kvsieve_test;
namespace ref = kvsieve::reference;

namespace {
using vec = std::vector<double>;

template <class A>
void fold(vec const& p, int observed, vec& score) {
  if constexpr (std::is_same_v<A, kvs::aggregate::mean>)
    ref::mean(p, observed, score);
  else if constexpr (std::is_same_v<A, kvs::aggregate::sum>)
    ref::sum(p, observed, score);
  else if constexpr (std::is_same_v<A, kvs::aggregate::mean_visible>)
    ref::mean_visible(p, observed, score);
  else if constexpr (std::is_same_v<A, kvs::aggregate::last>)
    ref::last(p, observed, score);
  else if constexpr (std::is_same_v<A, kvs::aggregate::root_mean_square>)
    ref::root_mean_square(p, observed, score);
  else if constexpr (std::is_same_v<A, kvs::aggregate::decayed_sum>)
    ref::decayed_sum(p, observed, static_cast<double>(kvs::aggregate::decayed_sum::params{}.decay), score);
  else if constexpr (std::is_same_v<A, kvs::aggregate::mean_variance> ||
                     std::is_same_v<A, kvs::aggregate::mean_variance_entropy>)
    ref::mean_variance(p, observed, static_cast<double>(kvs::aggregate::mean_variance::params{}.gamma), score);
  else if constexpr (std::is_same_v<A, kvs::aggregate::count_above>)
    ref::count_above(p, observed, 1, score);
  else if constexpr (std::is_same_v<A, kvs::aggregate::last_above>)
    ref::last_above(p, observed, 1, score);
  else if constexpr (std::is_same_v<A, kvs::aggregate::last_above_with_gap>)
    ref::last_above_with_gap(p, observed, static_cast<double>(kvs::aggregate::last_above_with_gap::params{}.threshold),
                             score);
  else
    ref::max(p, observed, score);
}
template <class G>
void join(vec const& each, int group, vec& score) {
  if constexpr (std::is_same_v<G, kvs::aggregate::group_mean>)
    ref::group_mean(each, group, score);
  else if constexpr (std::is_same_v<G, kvs::aggregate::group_sum>)
    ref::group_sum(each, group, score);
  else
    ref::group_max(each, group, score);
}

/// One KV head's expected scores before pooling.
template <class C, class K, class Q>
vec expected_scores(K const& keys, Q const& queries, int head, int group, int observed) {
  auto const n = static_cast<std::size_t>(keys.extent(1));
  vec each(n * static_cast<std::size_t>(group)), p(n * static_cast<std::size_t>(observed)), score(n);
  for (int g = 0; g < group; ++g) {
    ref::attention(queries, head * group + g, keys, head, observed, p);
    fold<typename C::aggregate_policy>(p, observed, score);
    std::copy(score.begin(), score.end(), each.begin() + static_cast<std::ptrdiff_t>(n) * g);
  }
  join<typename C::group_policy>(each, group, score);
  return score;
}

/// The strategy's scores, unpooled, against the reference; `extra` queries lie before the observed ones.
template <class C, class T, int D, int Threads>
void check_queries(int heads, int group, int tokens, int observed, int extra, bool hostile) {
  CAPTURE(D, Threads, heads, group, tokens, observed, hostile);
  cache<T, D> c(heads, tokens, static_cast<unsigned>(tokens));
  tensor<T, D> q(heads * group, observed + extra, 77);
  if (hostile) {
    c.keys.at(0, tokens / 3, 1) = kvs::from_float<T>(not_a_number);
    c.keys.at(heads - 1, tokens - 1, D - 1) = kvs::from_float<T>(infinite);
    q.at(0, extra, 5) = kvs::from_float<T>(-infinite);
    q.at(heads * group - 1, extra + observed - 1, 5) = kvs::from_float<T>(not_a_number);
  }
  std::vector const layers{c.layer()};
  std::vector const queries{q.view()};
  typename C::params p{.budget = {.keep = 0.5}};
  if constexpr (requires { p.score.window; }) p.score.window = observed;
  auto const made = emulated_plan<C, Threads>(layers, p, queries);
  for (int h = 0; h < heads; ++h) {
    CHECK(near(scores(made.plan, 0, h), expected_scores<C>(c.keys.view(), q.view(), h, group, observed), 2e-5, 1e-3));
    CHECK(kept(made.plan, 0, h).size() == static_cast<std::size_t>(tokens / 2));
  }
}
template <class Observed, class... Ps>
using attention = kvs::compressor<kvs::score::attention<Observed>, Ps...>;
using kvs::observe::all, kvs::observe::last, kvs::observe::window;
namespace agg = kvs::aggregate;
}  // namespace

TEST_CASE("per-query kernels: every accumulator and group policy agrees with the reference", "[device][score]") {
  check_queries<attention<window, agg::mean>, float, 64, 64>(2, 2, 70, 7, 3, false);
  check_queries<attention<window, agg::mean, agg::group_max>, float, 64, 64>(1, 3, 65, 9, 0, true);
  check_queries<attention<window, agg::max, agg::group_max>, kvs::bf16, 64, 32>(1, 2, 40, 5, 0, true);
  check_queries<attention<window, agg::max, agg::group_mean>, kvs::f16, 80, 64>(1, 2, 63, 12, 1, false);
  check_queries<attention<all, agg::sum, agg::group_sum>, float, 64, 64>(1, 2, 66, 66, 0, true);
  check_queries<attention<all, agg::mean_visible>, float, 64, 64>(1, 1, 64, 64, 0, true);
  check_queries<attention<all, agg::mean_visible, agg::group_max>, kvs::bf16, 64, 64>(1, 2, 33, 33, 0, false);
  check_queries<attention<last, agg::last>, float, 64, 64>(2, 4, 65, 1, 4, false);
  check_queries<attention<window, agg::last, agg::group_sum>, float, 64, 64>(1, 2, 20, 6, 0, false);
  check_queries<attention<window, agg::root_mean_square>, float, 64, 64>(1, 2, 70, 9, 1, true);
  check_queries<attention<window, agg::decayed_sum>, float, 64, 64>(1, 2, 70, 9, 0, true);
  check_queries<attention<all, agg::decayed_sum, agg::group_max>, float, 64, 64>(1, 2, 40, 40, 0, false);
  check_queries<attention<window, agg::mean_variance>, float, 64, 64>(1, 2, 70, 9, 0, true);
  check_queries<attention<window, agg::mean_variance_entropy>, float, 64, 64>(1, 2, 70, 9, 0, true);
  check_queries<attention<all, agg::mean_variance, agg::group_max>, float, 64, 64>(1, 2, 40, 40, 0, false);
  check_queries<attention<window, agg::count_above>, float, 64, 64>(1, 2, 70, 9, 0, true);
}

// Rows of several tiles of 16 or 32 queries, so that lines are joined tile after tile.
TEST_CASE("per-query kernels: an accumulator that is told its queries gets them in order", "[device][score]") {
  check_queries<attention<window, agg::last_above>, float, 64, 64>(1, 2, 90, 70, 0, true);
  check_queries<attention<all, agg::last_above, agg::group_max>, float, 64, 32>(1, 2, 45, 45, 0, false);
  check_queries<attention<window, agg::last_above, agg::group_sum>, kvs::bf16, 64, 128>(1, 1, 65, 33, 2, false);
  check_queries<attention<window, agg::last_above_with_gap>, float, 64, 64>(1, 2, 90, 70, 0, true);
  check_queries<attention<all, agg::last_above_with_gap, agg::group_max>, float, 64, 32>(1, 2, 45, 45, 0, false);
}

TEST_CASE("per-query kernels: shapes from one token to several key segments", "[device][score]") {
  check_queries<attention<all, agg::sum>, float, 64, 32>(1, 1, 1, 1, 0, false);
  check_queries<attention<all, agg::sum>, float, 64, 64>(1, 8, 5, 5, 0, false);
  check_queries<attention<window, agg::mean>, float, 64, 64>(1, 1, 5, 5, 0, false);
  check_queries<attention<window, agg::mean>, kvs::f16, 128, 64>(1, 8, 63, 6, 0, false);
  check_queries<attention<window, agg::mean>, kvs::bf16, 256, 128>(1, 1, 65, 3, 0, false);
  if constexpr (!race_check) {
    check_queries<attention<window, agg::mean>, float, 64, 128>(1, 5, 1000, 32, 0, true);
    check_queries<attention<window, agg::max>, float, 64, 64>(1, 2, 3001, 4, 0, true);
    check_queries<attention<all, agg::sum>, float, 64, 64>(1, 2, 200, 200, 0, false);
  }
}

TEST_CASE("SnapKV on the device: pooled up to the window, the window stays", "[device][score]") {
  constexpr int tokens = 90, window_size = 8, group = 2;
  cache<float, 64> c(1, tokens, 5);
  tensor<float, 64> q(group, window_size, 6);
  std::vector const layers{c.layer()};
  std::vector const queries{q.view()};
  kvs::snap_kv<>::params const p{
      .score = {.window = window_size}, .smooth = {.kernel = 5}, .budget = {.tokens = 30}, .select = {.sink = 2}};
  auto const made = emulated_plan<kvs::snap_kv<>, 64>(layers, p, queries);
  vec const raw = expected_scores<kvs::snap_kv<>>(c.keys.view(), q.view(), 0, group, window_size);
  vec pooled(raw.size() - window_size);
  ref::average_pool(std::span(raw).first(pooled.size()), 5, pooled);
  vec got = scores(made.plan, 0, 0);
  for (int t = 0; t < tokens; ++t)
    CHECK(std::isinf(got[static_cast<std::size_t>(t)]) == (t < 2 || t >= tokens - window_size));
  got.resize(pooled.size());
  CHECK(near(got, pooled, 2e-5, 1e-3));
  CHECK(kept(made.plan, 0, 0) == ref::top_k(scores(made.plan, 0, 0), 30, {.sink = 2, .recent = window_size}));
}

TEST_CASE("TOVA on the device: all heads of a layer keep the same tokens", "[device][score]") {
  cache<float, 64> c(3, 70, 9);
  tensor<float, 64> q(6, 1, 10);
  std::vector const layers{c.layer()};
  std::vector const queries{q.view()};
  auto const made = emulated_plan<kvs::tova<>, 64>(layers, {.budget = {.tokens = 12}}, queries);
  vec mean(70);
  for (int h = 0; h < 3; ++h) {
    vec const each = expected_scores<kvs::tova<>>(c.keys.view(), q.view(), h, 2, 1);
    for (std::size_t t = 0; t < mean.size(); ++t) mean[t] += each[t] / 3;
  }
  for (int h = 0; h < 3; ++h) {
    CHECK(near(scores(made.plan, 0, h), mean, 2e-5, 1e-3));
    CHECK(kept(made.plan, 0, h) == kept(made.plan, 0, 0));
    CHECK(kept(made.plan, 0, h).back() == 69);
  }
}
