// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How far the next-token distribution over a compressed cache, Q, is from the one over the full cache, P.
// Names, percentiles and errors are those of llama.cpp's `perplexity` tool (`--kl-divergence`), but both rows stay in
// float: nothing is rounded to 16 bits and no token is left out, so that a cache against itself is exactly 0.
#pragma once
#include <cstddef>
#include <span>

#include "dump.hpp"

namespace kvsieve::llama_example {

using tool::message;

/// A mean over samples, and its standard error: sqrt((E[x^2] - E[x]^2) / (T - 1)). The error is NaN up to ten samples,
/// where it would say more than they do (the tool prints 0); the value is NaN without samples.
struct estimate {
  double value = 0, error = 0;
};
[[nodiscard]] estimate mean_of(std::span<double const> samples);

/// The point f of sorted samples: interpolated between floor(h) and floor(h) + 1 of h = f (T - 1), so that the median
/// is the middle or the mean of the two middles. NaN without samples.
/// @param ascending  sorted
/// @param f          0 to 1
[[nodiscard]] double percentile(std::span<double const> ascending, double f);

/// What one position says.
struct position {
  double kl = 0;                                  ///< KL(P || Q) = sum_i P_i (ln P_i - ln Q_i), nats
  double full_surprise = 0, packed_surprise = 0;  ///< -ln P(x) and -ln Q(x) of the token x that came, nats
  bool same_top = false;  ///< whether the likeliest token is the same; the lower index wins ties
};

/// Judges one position.
/// @param full, packed  logits over the full and the compressed cache [vocabulary]
/// @param next          the token that came
/// @return a message, and `out` unchanged, when the rows differ in length or are empty, the token is none of theirs, or
///         a logit is not finite
[[nodiscard]] message judge_position(std::span<float const> full, std::span<float const> packed, int next,
                                     position& out);

/// All positions together. Every figure is NaN without positions.
struct divergence {
  std::size_t positions = 0;
  estimate kl;  ///< mean, nats
  double kl_median = 0, kl_min = 0, kl_max = 0;
  double kl_90 = 0, kl_95 = 0, kl_99 = 0, kl_999 = 0;  ///< 90, 95, 99, 99.9 %; NaN below 100 positions, as in the tool
  estimate same_top;                                   ///< share of positions
  estimate full_perplexity, packed_perplexity;         ///< exp of the mean surprise
  estimate ln_ratio;          ///< ln(PPL(Q) / PPL(P)); the error is that of the paired differences
  double correlation = 0;     ///< of the two surprises; NaN when one of them does not vary
  estimate probability_gain;  ///< Q(x) - P(x)
};
[[nodiscard]] divergence summarise(std::span<position const> positions);

}  // namespace kvsieve::llama_example
