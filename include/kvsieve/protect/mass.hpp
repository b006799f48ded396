// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Tokens that hold most of a head's mean attention stay, whatever the scores say. DefensiveKV's protection by mass
// (FFY0/DefensiveKV).
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace protect {

/// What a budget keeps of a view of `tokens`, where its numbers keep and tokens say so; else everything.
template <class Budget>
[[nodiscard]] constexpr double fraction_kept([[maybe_unused]] Budget const& p, [[maybe_unused]] int tokens) {
  if constexpr (requires {
                  p.keep + 1.0;
                  p.tokens + 1;
                })
    return p.tokens < 0 ? p.keep : p.tokens < tokens ? static_cast<double>(p.tokens) / tokens : 1.0;
  else
    return 1;
}

/// Reads the row that an accumulator has beside its own (accumulator.hpp), the mean attention a of a KV head. Of its
/// scored tokens, those before the scorer's own tail, sorted by a with the largest first, it protects as long as the
/// running sum of a / (sum of a) stays below min(share - w, 1), w being the mean over the heads of the attention that
/// lies behind them. Protected tokens get the largest score of the layer, so that heads with an even attention get
/// more. A head protects at most floor(tokens * kept - tail) of its `tokens` scored ones, kept being the fraction that
/// the strategy's own budget keeps, where its numbers are `keep` and `tokens`. A token whose own score is not finite is
/// not raised.
struct mass : policy_base<stages::protect> {
  static constexpr bool protects = true;  ///< scores pass through it

  /// Its numbers.
  struct params {
    double share = 0.9;      ///< of a head's attention that protected tokens hold
    bool as_source = false;  ///< w of the last scored tokens, as many as the tail has, as the authors' code takes it
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("share", self.share, "fraction", "of a head's mean attention that protected tokens hold");
      visit("as_source", self.as_source, "", "take the attention before the window for that of the window, as authors");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::within("protect.share", share, 0, 1); }
  };

  /// Most tokens of a head that are protected.
  [[nodiscard]] static constexpr int most(int tokens, double kept, int tail) {
    double const room = static_cast<double>(tokens) * kept - static_cast<double>(tail);
    return room > 0 ? static_cast<int>(room) : 0;
  }
};
}  // namespace protect
}  // namespace kvsieve::inline v0
