// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// How far the tokens [begin, begin + lag) of one head deviate from what the next `lag` tokens look like:
/// deviation[n] = standard deviation over the channels (divisor D - 1) of y_d = (x_nd - lo_d) / (hi_d - lo_d), lo and
/// hi the smallest and largest x_d of the next `lag` tokens. A channel whose range is 0, not finite, or so small that
/// its reciprocal is no float counts y = 0, and |y - 1/2| ends at 2^54. Tokens that `usable` refuses take no part:
/// theirs is NaN, and lo and hi pass them over.
template <class Usable>
void lag_deviation(row_view auto const& x, index head, index begin, int lag, Usable const& usable,
                   std::span<double> deviation) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(x)>>;
  std::vector<double> low(channels, std::numeric_limits<double>::infinity());
  std::vector<double> high(channels, -std::numeric_limits<double>::infinity());
  for (index t = begin + lag; t < begin + 2 * lag; ++t) {
    if (!usable(t)) continue;
    for (std::size_t d = 0; d < channels; ++d) {
      low[d] = std::min(low[d], element_at(x, head, t, static_cast<int>(d)));
      high[d] = std::max(high[d], element_at(x, head, t, static_cast<int>(d)));
    }
  }
  for (index n = begin; n < begin + lag; ++n) {
    std::vector<double> y(channels, 0.0);
    double mean = 0, squares = 0;
    for (std::size_t d = 0; d < channels; ++d) {
      double const range = high[d] - low[d];
      bool const counts =
          0 < range && std::isfinite(static_cast<float>(range)) && std::isfinite(1.0f / static_cast<float>(range));
      if (counts)
        y[d] = 0.5 + std::clamp((element_at(x, head, n, static_cast<int>(d)) - low[d]) / range - 0.5, -0x1p54, 0x1p54);
      mean += y[d] / channels;
    }
    for (double const v : y) squares += (v - mean) * (v - mean);
    deviation[static_cast<std::size_t>(n - begin)] =
        usable(n) ? std::sqrt(squares / (channels - 1)) : std::numeric_limits<double>::quiet_NaN();
  }
}

/// Softmax over the entries that are not NaN.
inline void share_of(std::span<double const> deviation, std::span<double> share) {
  double largest = -std::numeric_limits<double>::infinity(), mass = 0;
  for (double const u : deviation)
    if (!std::isnan(u)) largest = std::max(largest, u);
  for (std::size_t i = 0; i < share.size(); ++i) {
    share[i] = std::exp(deviation[i] - largest);
    if (!std::isnan(share[i])) mass += share[i];
  }
  for (double& s : share) s /= mass;
}

/// LagKV, the authors' form: after `sink` tokens come partitions of `lag`; a token of any partition but the last scores
/// share of its key deviation + value_share * share of its value deviation, shares being softmaxes inside the
/// partition. Sinks, the last partition and the remainder are left at +inf: they stay. So do all tokens of a cache
/// shorter than sink + 2 lag. A token whose key or value is not finite scores NaN. `score` holds N. Liang et al.,
/// "LagKV: Lag-Relative Information of the KV Cache Tells Which Tokens Are Important", arXiv 2504.04704.
void lag_relative_streaming(row_view auto const& keys, row_view auto const& values, index head, int sink, int lag,
                            double value_share, std::span<double> score) {
  int const tokens = static_cast<int>(score.size()), partitions = (tokens - sink) / lag;
  std::fill(score.begin(), score.end(), std::numeric_limits<double>::infinity());
  auto const usable = [&](index t) { return finite_row(keys, head, t) && finite_row(values, head, t); };
  std::vector<double> deviation(static_cast<std::size_t>(lag)), of_keys(deviation), of_values(deviation);
  for (int p = 0; p + 1 < partitions; ++p) {
    index const begin = sink + static_cast<index>(p) * lag;
    lag_deviation(keys, head, begin, lag, usable, std::span<double>(deviation));
    share_of(deviation, of_keys);
    lag_deviation(values, head, begin, lag, usable, std::span<double>(deviation));
    share_of(deviation, of_values);
    for (std::size_t i = 0; i < of_keys.size(); ++i)
      score[static_cast<std::size_t>(begin) + i] = of_keys[i] + value_share * of_values[i];
  }
}

/// LagKV as NVIDIA kvpress ranks it: the rank of the raw score (above, value_share 1) inside the partition, divided by
/// lag. Equal scores rank in their order, the smaller index lower. Tokens that are not finite score NaN and take no
/// rank. Caches shorter than sink + 2 lag are scored by recency, (t - sink) / (N - sink). Sinks and what has no
/// successor are left at +inf: they stay. `score` holds N.
void lag_relative(row_view auto const& keys, row_view auto const& values, index head, int sink, int lag,
                  std::span<double> score) {
  int const tokens = static_cast<int>(score.size());
  lag_relative_streaming(keys, values, head, sink, lag, 1.0, score);
  if (tokens < sink + 2 * lag) {
    for (int t = sink; t < tokens; ++t)
      score[static_cast<std::size_t>(t)] = static_cast<double>(t - sink) / (tokens - sink);
    return;
  }
  std::vector<double> const raw(score.begin(), score.end());
  for (int begin = sink; begin + 2 * lag <= tokens; begin += lag)
    for (int n = begin; n < begin + lag; ++n) {
      double const own = raw[static_cast<std::size_t>(n)];
      int rank = 0;
      for (int other = begin; other < begin + lag; ++other) {
        double const theirs = raw[static_cast<std::size_t>(other)];
        if (theirs < own || (theirs == own && other < n)) ++rank;
      }
      score[static_cast<std::size_t>(n)] = std::isnan(own) ? own : static_cast<double>(rank) / lag;
    }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
