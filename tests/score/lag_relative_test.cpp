// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/lag_relative.hpp>

#include <numeric>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace {
namespace reference = kvsieve::reference;
using support::gamma, support::u;

// Error of the deviation of one token. y = x * scale + offset, both from rounded ranges: off by a few u of
// (|x| + |lo|) / range, and of itself. A standard deviation moves by at most the length of the errors of y; its sums of
// D terms by gamma(D + 4) of the sum of squares, once for the squares and twice for the squared sum, which a root takes
// as E / u or sqrt(E), whichever is less.
template <int D>
double deviation_error(auto const& x, int head, int token, std::vector<double> const& low,
                       std::vector<double> const& high) {
  double squares = 0, moved = 0, sum = 0;
  for (int d = 0; d < D; ++d) {
    auto const i = static_cast<std::size_t>(d);
    double const range = high[i] - low[i], value = reference::element_at(x, head, token, d);
    bool const counts =
        0 < range && std::isfinite(static_cast<float>(range)) && std::isfinite(1.0f / static_cast<float>(range));
    double const z = counts ? std::clamp((value - low[i]) / range - 0.5, -0x1p54, 0x1p54) : -0.5;
    double const error =
        counts ? u * (6 * std::abs(low[i]) + 5 * std::abs(value)) / range + 3 * u * (1 + std::abs(z)) : 0;
    squares += z * z;
    sum += z;
    moved += error * error;
  }
  double const spread = std::max(0.0, (squares - sum * sum / D) / (D - 1));
  double const rounded = 3 * gamma(D + 4) * squares / (D - 1);
  double const root = std::sqrt(spread);
  return std::sqrt(moved / (D - 1)) * (1 + gamma(D)) +
         std::min(std::sqrt(rounded), root > 0 ? rounded / root : std::sqrt(rounded)) + 2 * u * root;
}

// Bound of share_of(deviations of x): relative, for all tokens of the partition alike.
template <int D>
double share_error(auto const& layer, auto const& x, int head, int begin, int lag) {
  auto const usable = [&](kvsieve::index t) {
    return reference::finite_row(layer.keys.view(), head, t) && reference::finite_row(layer.values.view(), head, t);
  };
  std::vector<double> low(D, HUGE_VAL), high(D, -HUGE_VAL), deviation(static_cast<std::size_t>(lag));
  for (int t = begin + lag; t < begin + 2 * lag; ++t)
    for (int d = 0; d < D && usable(t); ++d) {
      auto const i = static_cast<std::size_t>(d);
      low[i] = std::min(low[i], reference::element_at(x, head, t, d));
      high[i] = std::max(high[i], reference::element_at(x, head, t, d));
    }
  reference::lag_deviation(x, head, begin, lag, usable, std::span<double>(deviation));
  double worst = 0, largest = 0;
  for (int t = 0; t < lag; ++t) {
    if (!usable(begin + t)) continue;
    worst = std::max(worst, deviation_error<D>(x, head, begin + t, low, high));
    largest = std::max(largest, deviation[static_cast<std::size_t>(t)]);
  }
  // Both the token's deviation and the others' in the sum; the exponent's own roundings; the sum and the division.
  return std::expm1(2 * worst + 6 * u * largest) + gamma(lag + 12);
}

template <int D>
support::expected streaming_reference(auto const& layer, int head, int sink, int lag, double value_share) {
  int const tokens = layer.keys.tokens();
  support::expected e(tokens);
  reference::lag_relative_streaming(layer.keys.view(), layer.values.view(), head, sink, lag, value_share, e.score);
  for (int begin = sink; begin + 2 * lag <= tokens; begin += lag) {
    // Both shares are positive, so the larger of their relative errors bounds the sum's; one addition, one product.
    double const error = std::max(share_error<D>(layer, layer.keys.view(), head, begin, lag),
                                  share_error<D>(layer, layer.values.view(), head, begin, lag)) +
                         3 * u;
    for (int t = begin; t < begin + lag; ++t) {
      auto const i = static_cast<std::size_t>(t);
      e.bound[i] = error * std::abs(e.score[i]) + 0x1p-120;
    }
  }
  return e;
}
}  // namespace

TEST_CASE("lag_relative_streaming: shares are the reference's, and each partition keeps its best") {
  CHECK(support::holds("lag_relative_streaming: shares are the reference's", 80, [] {
    auto const s = *support::shapes(1, 3001);
    double const keep = *support::fractions();
    int const sink = *rc::gen::resize(100, rc::gen::inRange(0, 12));
    int const lag = *rc::gen::resize(
        100, rc::gen::weightedOneOf<int>({{3, rc::gen::inRange(1, 20)}, {1, rc::gen::inRange(1, 300)}}));
    float const value_share = *rc::gen::element(0.0f, 0.5f, 1.0f, 3.0f);
    support::with_combination(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const p = support::make_plan<kvsieve::lag_kv_streaming<>>(
          s.executor, layers,
          {.score = {.sink = sink, .lag = lag, .value_share = value_share}, .budget = {.keep = keep}});
      RC_ASSERT(static_cast<bool>(p.plan));
      RC_ASSERT(p.memory.guards_hold());
      for (int v = 0; v < s.views(); ++v) {
        int const tokens = s.tokens[static_cast<std::size_t>(v)];
        int const partitions = tokens >= sink + 2 * lag ? (tokens - sink) / lag - 1 : 0;
        int const first = partitions == 0 ? tokens : sink, last = first + partitions * lag;
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const e = streaming_reference<D>(layers[static_cast<std::size_t>(v)], h, sink, lag, value_share);
          support::assert_scores(p.plan, v, h, e, support::ends(first, tokens - last));
          auto const scores = p.plan.scores(v, h);
          std::vector<double> const seen(scores.begin(), scores.end());
          auto const want =
              reference::top_k_in_partitions(seen, first, lag, partitions, static_cast<int>(std::floor(lag * keep)));
          auto const kept = p.plan.kept(v, h);
          RC_ASSERT(std::vector<int>(kept.begin(), kept.end()) == want);
        }
      }
    });
  }));
}

TEST_CASE("lag_relative: ranks are the reference's, but for shares too close to tell") {
  CHECK(support::holds("lag_relative: ranks are the reference's", 80, [] {
    auto const s = *support::shapes(1, 3001);
    double const keep = *support::fractions();
    int const sink = *rc::gen::resize(100, rc::gen::inRange(0, 12));
    int const lag = *rc::gen::resize(
        100, rc::gen::weightedOneOf<int>({{3, rc::gen::inRange(1, 20)}, {1, rc::gen::inRange(1, 300)}}));
    support::with_combination(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const p = support::make_plan<kvsieve::lag_kv<>>(
          s.executor, layers, {.score = {.sink = sink, .lag = lag}, .budget = {.keep = keep}});
      RC_ASSERT(static_cast<bool>(p.plan));
      RC_ASSERT(p.memory.guards_hold());
      for (int v = 0; v < s.views(); ++v) {
        auto const& l = layers[static_cast<std::size_t>(v)];
        int const tokens = s.tokens[static_cast<std::size_t>(v)], count = static_cast<int>(std::floor(tokens * keep));
        int const partitions = tokens >= sink + 2 * lag ? (tokens - sink) / lag - 1 : 0;
        int const tail = partitions == 0 ? 0 : tokens - sink - partitions * lag;
        for (int h = 0; h < s.kv_heads; ++h) {
          support::assert_selection(p.plan, v, h, count, support::ends(sink, tail));
          auto const scores = p.plan.scores(v, h);
          if (partitions == 0) {
            support::expected e(tokens);
            reference::lag_relative(l.keys.view(), l.values.view(), h, sink, lag, e.score);
            std::fill(e.bound.begin(), e.bound.end(), 2 * u);  // one division
            support::assert_scores(p.plan, v, h, e, support::ends(sink, 0));
            continue;
          }
          auto const raw = streaming_reference<D>(l, h, sink, lag, 1.0);
          for (int begin = sink; begin + lag <= tokens - tail; begin += lag) {
            // In the order of the plan's ranks the reference's shares have to ascend, but for what rounding can swap.
            std::vector<int> usable;
            for (int t = begin; t < begin + lag; ++t) {
              auto const i = static_cast<std::size_t>(t);
              RC_ASSERT(std::isnan(scores[i]) == std::isnan(raw.score[i]));
              if (!std::isnan(scores[i])) usable.push_back(t);
            }
            std::sort(usable.begin(), usable.end(), [&](int a, int b) {
              return scores[static_cast<std::size_t>(a)] < scores[static_cast<std::size_t>(b)];
            });
            double highest = -HUGE_VAL, its_bound = 0;
            for (std::size_t rank = 0; rank < usable.size(); ++rank) {
              auto const i = static_cast<std::size_t>(usable[rank]);
              RC_ASSERT(scores[i] == static_cast<float>(rank) / static_cast<float>(lag));
              RC_ASSERT(raw.score[i] >= highest - its_bound - raw.bound[i]);
              if (raw.score[i] > highest) highest = raw.score[i], its_bound = raw.bound[i];
            }
          }
        }
      }
    });
  }));
}
