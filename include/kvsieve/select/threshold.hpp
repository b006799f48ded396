// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A threshold in place of a budget: as many tokens stay as score high enough.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/select/forced_fields.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// Keeps every token that scores at least `threshold`, and the forced ones: the last `recent` tokens are a window in
/// which nothing is judged yet (DMS's inference form in kvpress; KVzap behind it; CORM with counts of important
/// queries). A score that is NaN does not stay; the source keeps it. The budget is not asked: how many stay is known
/// from the scores alone, for every head apart.
struct threshold : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< one selection for the whole row
  static constexpr bool counts_float = true;    ///< the scores alone tell how many stay

  /// Its numbers.
  struct params {
    float threshold = 1.0f;            ///< least score that stays
    int sink = 0;                      ///< first tokens that always stay
    int recent = 128;                  ///< last tokens that always stay
    cs::span<int const> white_list{};  ///< as in top_k
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("threshold", self.threshold, "score", "least one that stays");
      detail::each_forced(self, visit);
    }
    // Written so that NaN fails; both infinities are thresholds.
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("select.threshold", static_cast<double>(threshold), -__builtin_inf()),
                        detail::check_forced(*this));
    }
  };

  /// Heads differ in how many they keep.
  [[nodiscard]] static constexpr uniformity least_uniformity(bool /*joined*/) { return uniformity::F; }
  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
};
}  // namespace select
}  // namespace kvsieve::inline v0
