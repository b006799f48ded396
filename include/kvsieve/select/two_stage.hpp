// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A first share by the plain score, the rest by the weighted one. CriticalKV, arXiv 2502.03805.
#pragma once
#include <kvsieve/select/forced_fields.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// Of the budget the share `first` (rounded down) goes to the forced tokens and the largest plain scores, the rest to
/// the largest weighted scores of the others. With this selection a strategy's weight comes behind all other stages and
/// beside the plain scores, which are what the budget and plan.scores() see. Equal scores: the smaller index.
struct two_stage : policy_base<stages::select> {
  static constexpr bool in_partitions = false;   ///< one selection for the whole row
  static constexpr bool reads_unweighed = true;  ///< the scores without the weight, and with it

  /// Its numbers.
  struct params {
    double first = 0.5;                ///< share of the budget by the plain score
    int sink = 0;                      ///< first tokens that always stay
    int recent = 0;                    ///< last tokens that always stay
    cs::span<int const> white_list{};  ///< as in top_k
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("first", self.first, "fraction", "of the budget that goes by the score without its weight");
      detail::each_forced(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("select.first", first, 0, 1), detail::check_forced(*this));
    }
  };

  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
  /// Of a row that keeps `keep`, `forced` tokens being forced: how many the plain score takes, the forced included.
  [[nodiscard]] KVSIEVE_HD static constexpr int first_round(params const& p, int keep, int forced) {
    int const share = static_cast<int>(static_cast<double>(keep) * p.first), least = forced < keep ? forced : keep;
    return share < least ? least : share;
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
