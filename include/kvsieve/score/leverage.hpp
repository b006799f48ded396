// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Leverage: tokens whose keys the other keys cannot stand for stay. The sketched form of Compactor, Chari et al.,
// "Compactor: Calibrated Query-Agnostic KV Cache Compression with Approximate Leverage Scores", arXiv 2507.08143, as
// kvpress computes it.
#pragma once
#include <cmath>

#include <cuda/std/cstdint>

#include <kvsieve/core/math.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rope.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// x_t = key t before its rotation, less the mean of the head; S = sum of x x^T; Phi [D, sketch] drawn at random;
/// score[t] = (Phi^T x_t)^T (Phi^T S Phi + ridge I)^-1 (Phi^T x_t), in [0, 1). The first `sink` and last `recent`
/// tokens are forced and take no part in any sum. Reads each key three times; N D^2 / 2 + N D sketch multiply-adds. A
/// key that is not finite, or longer than 1.8e19, scores NaN and takes no part. Where the matrix cannot be factored,
/// the ridge grows tenfold until it can.
struct leverage : policy_base<stages::score, needs::keys> {
  using pattern = patterns::per_head;  ///< how it walks the cache

  /// Its numbers.
  struct params {
    int sketch = 48;        ///< columns of the sketch
    cs::uint64_t seed = 0;  ///< of the sketch
    double ridge = 1e-2;    ///< added to the diagonal of the sketched moments
    int sink = 0;           ///< first tokens that always stay
    int recent = 0;         ///< last tokens that always stay
    rope_params rope{};     ///< the model's rotation
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sketch", self.sketch, "channels", "columns of the random sketch");
      visit("seed", self.seed, "", "the sketch; heads and views of a call draw apart");
      visit("ridge", self.ridge, "key^2", "added to the diagonal of the sketched moments");
      visit("sink", self.sink, "tokens", "first tokens that always stay");
      visit("recent", self.recent, "tokens", "last tokens that always stay");
      rope_params::each(self.rope, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("score.sketch", sketch, 1, 512), range::within("score.ridge", ridge, 1e-12, 1e30),
                        range::at_least("score.sink", sink, 0), range::at_least("score.recent", recent, 0),
                        rope.check(call));
    }
  };

  /// What stays whatever the scores.
  KVSIEVE_HD static constexpr forced_ends forced(params const& p, int) { return {p.sink, p.recent}; }

  /// Entry (channel, column) of the sketch of a head: a normal deviate over sqrt(sketch), by Box and Muller from two
  /// numbers of SplitMix64 that (seed, head, channel, column) alone make. `head` counts through the heads of all views.
  [[nodiscard]] KVSIEVE_HD static double sketch_entry(params const& p, cs::uint64_t head, int channel, int column) {
    auto const place = static_cast<cs::uint64_t>(channel) * 512 + static_cast<cs::uint64_t>(column);
    cs::uint64_t const a = mix(mix(p.seed ^ mix(head)) + place), b = mix(a);
    double const u = (static_cast<double>(a >> 11) + 0.5) * 0x1p-53, v = static_cast<double>(b >> 11) * 0x1p-53;
    return ::sqrt(-2 * ::log(u)) * ::cos(6.283185307179586 * v) / ::sqrt(static_cast<double>(p.sketch));
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
