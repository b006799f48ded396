// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Top-k: the tokens with the largest scores stay, forced ones before all others.
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// Keeps the largest scores; equal scores: the smaller index; NaN ranks below -inf. The first `sink` tokens, the last
/// `recent` and those on the white list stay whatever their score (an explicit mask), inside the budget. Where the
/// budget is smaller than that, recent tokens go first (the oldest of them), then sinks, and the plan's note says so.
struct top_k : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< one selection for the whole row

  /// Its numbers.
  struct params {
    int sink = 0;                      ///< first tokens that always stay
    int recent = 0;                    ///< last tokens that always stay
    cs::span<int const> white_list{};  ///< token indices, ascending, the same for all views; the caller's memory
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first tokens that always stay");
      visit("recent", self.recent, "tokens", "last tokens that always stay");
      visit("white_list", self.white_list, "indices", "further tokens that always stay, ascending");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("select.sink", sink, 0), range::at_least("select.recent", recent, 0),
                        range::at_most("select.white_list", static_cast<double>(white_list.size()), most_tokens));
    }
  };

  /// Forced recent tokens of a head that keeps `count`.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
};

/// Top-k that spends a share of the budget on the newest tokens: H2O's heavy hitters and recent halves
/// (arXiv 2306.14048).
struct heavy_hitters : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< one selection for the whole row

  /// Its numbers.
  struct params {
    int sink = 0;                      ///< first tokens that always stay
    double recent_share = 0.5;         ///< share of the budget that goes to the last tokens
    cs::span<int const> white_list{};  ///< as in top_k
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first tokens that always stay");
      visit("recent_share", self.recent_share, "fraction", "of the budget that goes to the last tokens");
      visit("white_list", self.white_list, "indices", "further tokens that always stay, ascending");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("select.sink", sink, 0),
                        range::within("select.recent_share", recent_share, 0, 1),
                        range::at_most("select.white_list", static_cast<double>(white_list.size()), most_tokens));
    }
  };

  /// Forced recent tokens of a head that keeps `count`.
  KVSIEVE_HD static constexpr int recent(params const& p, int count) {
    return static_cast<int>(static_cast<double>(count) * p.recent_share);
  }
};

/// Top-k inside each partition of a scorer that has partitions (score::lag_relative_streaming): every partition keeps
/// what the budget allots to its length; what lies before and behind the partitions stays.
struct top_k_in_partitions : policy_base<stages::select> {
  static constexpr bool in_partitions = true;  ///< one selection for each span
};
}  // namespace select
}  // namespace kvsieve::inline v0
