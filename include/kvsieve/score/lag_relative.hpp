// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// LagKV: tokens that deviate from what the next chunk looks like stay. Liang et al., "LagKV: Lag-Relative Information
// of the KV Cache Tells Which Tokens Are Important", arXiv 2504.04704.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// What both forms share. After `sink` tokens come partitions of `lag` tokens. A token x of partition p is seen through
/// the ranges of partition p + 1: y_d = (x_d - lo_d) / (hi_d - lo_d); u = standard deviation of y over the channels
/// (divisor D - 1); its share is the softmax of u inside the partition, for keys and for values.
/// A channel whose range is 0 or not finite counts y = 0, and y - 1/2 ends at +-`farthest`. A token that is not finite
/// scores NaN and takes no part.
/// The last partition has no successor: it and the remainder are forced, as are the sinks.
/// Reads keys and values once (twice through the cache).
struct lag_relative_body {
  /// Range of a channel: start from the first row, absorb the others.
  template <class F>
  KVSIEVE_HD static void absorb(F& low, F& high, F x) {
    low = min(low, x);
    high = max(high, x);
  }
  /// y - 1/2 = x * scale + offset; the half keeps the sum of squares free of cancellation.
  template <class F>
  KVSIEVE_HD static void range_to_line(F low, F high, F& scale, F& offset) {
    F const range = high - low;
    auto const usable = F(0.0f) < range;
    scale = where(usable, F(1.0f) / range, F(0.0f));
    scale = where(scale - scale == F(0.0f), scale, F(0.0f));
    offset = where(F(0.0f) < scale, F(0.0f) - low * scale - F(0.5f), F(-0.5f));
  }
  /// How far outside its range a channel may lie, in ranges: the squared sum of 512 of them is still a float.
  static constexpr float farthest = 0x1p54f;
  /// y - 1/2, brought to the farthest that counts. Needless while the sum of the squares is at most farthest squared.
  template <class F>
  KVSIEVE_HD static F bounded(F y) {
    return max(F(-farthest), min(F(farthest), y));
  }
  /// u from the sums over the channels of (y - 1/2) and of its square; negative when the token is not finite.
  template <class S>
  KVSIEVE_HD static S deviation(S sum, S squares, int channels) {
    S const variance =
        (squares - sum * sum * S(1.0f / static_cast<float>(channels))) * S(1.0f / static_cast<float>(channels - 1));
    return where(squares - squares == S(0.0f), sqrt(max(S(0.0f), variance)), S(-1.0f));
  }
};

/// The one-shot form of NVIDIA kvpress: rank inside the partition / lag, so every partition gives alike. Shorter caches
/// than sink + 2 lag are scored by recency.
struct lag_relative : policy_base<stages::score, needs::keys | needs::values>, lag_relative_body {
  using pattern = patterns::per_chunk;  ///< how it walks the cache
  static constexpr bool ranked = true;  ///< scores are ranks inside a partition

  /// Its numbers.
  struct params {
    int sink = 4;   ///< first tokens that always stay
    int lag = 128;  ///< tokens of a partition
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first tokens that always stay");
      visit("lag", self.lag, "tokens", "length of a partition");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("score.sink", sink, 0), range::at_least("score.lag", lag, 1));
    }
  };

  /// The partitions that have a successor; none in a cache shorter than sink + 2 lag.
  KVSIEVE_HD static constexpr partition partitions(params const& p, int tokens) {
    if (tokens < p.sink || (tokens - p.sink) / 2 < p.lag) return {p.sink, p.lag, 0};
    return {p.sink, p.lag, (tokens - p.sink) / p.lag - 1};
  }
  /// What stays whatever the scores: the sinks, the last partition and the remainder.
  KVSIEVE_HD static constexpr forced_ends forced(params const& p, int tokens) {
    partition const q = partitions(p, tokens);
    if (q.count == 0) return {p.sink, 0};
    return {p.sink, tokens - q.begin - q.count * q.length};
  }
  /// Keys and values count alike.
  KVSIEVE_HD static constexpr float value_share(params const&) { return 1.0f; }
};

/// The authors' streaming form: raw shares, keys + value_share x values, compared inside a partition only. What lies
/// before `sink` was compressed earlier and stays: after a pass that kept m per partition the next one starts at
/// next_sink(). Use it with select::top_k_in_partitions, where budget.keep is the fraction kept of each partition.
struct lag_relative_streaming : policy_base<stages::score, needs::keys | needs::values>, lag_relative_body {
  using pattern = patterns::per_chunk;   ///< how it walks the cache
  static constexpr bool ranked = false;  ///< scores are shares

  /// Its numbers.
  struct params {
    int sink = 16;             ///< first tokens that stay: sinks, and what was compressed before
    int lag = 1024;            ///< tokens of a partition
    float value_share = 1.0f;  ///< weight of the values' share beside the keys'
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first tokens that stay: sinks, and what was compressed before");
      visit("lag", self.lag, "tokens", "length of a partition");
      visit("value_share", self.value_share, "factor", "weight of the values' share beside the keys'");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("score.sink", sink, 0), range::at_least("score.lag", lag, 1),
                        range::within("score.value_share", static_cast<double>(value_share), 0, 1e30));
    }
  };

  /// The partitions that have a successor; none in a cache shorter than sink + 2 lag.
  KVSIEVE_HD static constexpr partition partitions(params const& p, int tokens) {
    return lag_relative::partitions({p.sink, p.lag}, tokens);
  }
  /// What stays whatever the scores: what lies before and behind the partitions.
  KVSIEVE_HD static constexpr forced_ends forced(params const& p, int tokens) {
    partition const q = partitions(p, tokens);
    if (q.count == 0) return {tokens, 0};  // nothing to compare yet: all stays
    return {p.sink, tokens - q.begin - q.count * q.length};
  }
  /// The factor of the values.
  KVSIEVE_HD static constexpr float value_share(params const& p) { return p.value_share; }
  /// Where the next pass starts, after one over `tokens` tokens that kept `kept_per_partition` of each partition.
  KVSIEVE_HD static constexpr int next_sink(params const& p, int tokens, int kept_per_partition) {
    return p.sink + partitions(p, tokens).count * kept_per_partition;
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
