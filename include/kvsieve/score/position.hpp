// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Position: the first tokens and the newest stay. Xiao et al., "Efficient Streaming Language Models with Attention
// Sinks", arXiv 2309.17453.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] = t, the first `sink` tokens forced. Reads nothing of the cache.
struct position : policy_base<stages::score> {
  using pattern = patterns::by_position;            ///< how it walks the cache
  static constexpr bool same_for_all_heads = true;  ///< heads and layers score alike

  /// Its number.
  struct params {
    int sink = 4;  ///< first tokens that always stay
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first tokens that always stay");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::at_least("score.sink", sink, 0); }
  };

  /// What stays whatever the scores.
  KVSIEVE_HD static constexpr forced_ends forced(params const& p, int) { return {p.sink, 0}; }
  /// The index of the token.
  KVSIEVE_HD static constexpr float score(params const&, int token, int /*head*/) { return static_cast<float>(token); }
};
}  // namespace score
}  // namespace kvsieve::inline v0
