// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Values of evicted tokens are spread over the tokens behind them, by chance in proportion to attention. Zhang et al.,
// "CaM: Cache Merging for Memory-efficient LLMs Inference", ICML 2024; the two forms that are in use.
#pragma once
#include <cuda/std/cstdint>
#include <cuda/std/span>

#include <kvsieve/core/math.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/evict/merging.hpp>

namespace kvsieve::inline v0 {
namespace evict {

namespace detail {
/// Share of its value that a token spreads: `probability`, or by chance all or nothing.
[[nodiscard]] KVSIEVE_HD inline float share_spread(float probability, bool drawn, cs::uint64_t seed, index row,
                                                   int token) {
  if (!drawn) return probability;
  cs::uint64_t const bits = mix(mix(seed ^ mix(static_cast<cs::uint64_t>(row))) + static_cast<cs::uint64_t>(token));
  return static_cast<float>(bits >> 40) * 0x1p-24f < probability ? 1.0f : 0.0f;
}
/// clamp(own / other, 0, 1); 0 / 0 is 0.
[[nodiscard]] KVSIEVE_HD inline float ratio_of(float own, float other) {
  float const p = own / other;
  return p > 1 ? 1.0f : p > 0 ? p : 0.0f;
}
/// Visits the numbers that both forms have.
template <class Self, class Visit>
constexpr void each_of_cam(Self& self, Visit&& visit) {
  visit("drawn", self.drawn, "", "spread all or nothing by chance, else the expected share");
  visit("seed", self.seed, "", "of the draw; heads and views of a call draw apart");
  visit("attention", self.attention, "", "of each view [heads, tokens]; none: the scores of the plan");
}
}  // namespace detail

/// CaM as it runs while decoding (kvpress). Of the evicted tokens of a head, the `candidates` of the highest score
/// (equal scores: the later one) each spread their value over the first `followers` kept tokens behind them, n of them:
/// V_j <- V_j + z V_i / n, z being 1 with probability clamp(A_i / mean over these of A_j, 0, 1), else 0. A is the
/// attention that tokens had. The others are dropped, keys are not touched, and nothing is normalised. A candidate
/// whose value is not finite spreads nothing.
struct cam : policy_base<stages::evict, needs::values> {
  using merge_pattern = merge_patterns::into_followers;  ///< how it walks the cache
  static constexpr bool biased = false;                  ///< biases are 0

  /// Its numbers.
  struct params {
    int candidates = 512;               ///< evicted tokens of a head that may spread
    int followers = 32;                 ///< kept tokens that one spreads over
    bool drawn = true;                  ///< all or nothing by chance; else the expected share
    cs::uint64_t seed = 0;              ///< of the draw
    cs::span<float const> attention{};  ///< of each view [heads, tokens], one behind another; none: the plan's scores
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("candidates", self.candidates, "tokens", "evicted ones of a head that may spread, of the highest score");
      visit("followers", self.followers, "tokens", "kept ones behind it that a token spreads over");
      detail::each_of_cam(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("evict.candidates", candidates, 0),
                        range::at_least("evict.followers", followers, 1));
    }
  };
};

/// CaM as it runs after the prompt (KVCache-Factory), before any token is dropped: each token p from
/// ceil(start * tokens) on with `window` tokens behind it spreads its value over these, one after another:
/// V_t <- V_t + z V_p / window for t in (p, p + window], z being 1 with probability clamp(A_p / max(A_t: t < start or
/// p <= t < p + window), 0, 1). A is the mean attention of the last `window` queries. Keys are not touched. A token
/// whose value is not finite spreads nothing.
struct cam_prefill : policy_base<stages::evict, needs::values> {
  using merge_pattern = merge_patterns::into_all;  ///< how it walks the cache
  static constexpr bool biased = false;            ///< biases are 0

  /// Its numbers.
  struct params {
    double start = 0.1;                 ///< share of the tokens, the first ones, that do not spread
    int window = 64;                    ///< tokens that one spreads over
    bool drawn = true;                  ///< all or nothing by chance; else the expected share
    cs::uint64_t seed = 0;              ///< of the draw
    cs::span<float const> attention{};  ///< of each view [heads, tokens], one behind another; none: the plan's scores
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("start", self.start, "fraction", "of the tokens, the first ones, that do not spread");
      visit("window", self.window, "tokens", "behind it that a token spreads over");
      detail::each_of_cam(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("evict.start", start, 0, 1), range::within("evict.window", window, 1, 1 << 16));
    }
  };
};
}  // namespace evict
}  // namespace kvsieve::inline v0
