// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Random: the baseline every method has to beat.
#pragma once
#include <cuda/std/cstdint>

#include <kvsieve/core/math.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] uniform in [0, 1), a function of (seed, head, t) alone: the same on every machine and in every run.
struct random : policy_base<stages::score> {
  using pattern = patterns::by_position;             ///< how it walks the cache
  static constexpr bool same_for_all_heads = false;  ///< each head draws for itself

  /// Its number.
  struct params {
    cs::uint64_t seed = 0;  ///< of the draw
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("seed", self.seed, "", "the draw; heads and views of a call draw apart");
    }
  };

  /// Nothing stays whatever the scores.
  KVSIEVE_HD static constexpr forced_ends forced(params const&, int) { return {}; }
  /// A number in [0, 1). `head` counts through the heads of all views of a call.
  KVSIEVE_HD static constexpr float score(params const& p, int token, int head) {
    cs::uint64_t const bits =
        mix(mix(p.seed ^ mix(static_cast<cs::uint64_t>(head))) + static_cast<cs::uint64_t>(token));
    return static_cast<float>(bits >> 40) * 0x1p-24f;
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
