// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One token of every run of alike neighbours. Wang et al., "Model Tells You Where to Merge: Adaptive KV Cache Merging
// for LLMs on Long-Context Tasks" (KVMerger), arXiv 2407.08454; our definition where its text could not be read.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/select/forced_fields.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// Protected tokens stay: the first `sink`, the last `recent`, the white list, and of the others the share `heavy` of
/// all tokens with the largest scores. Two neighbours that are not protected are linked where the cosine of their keys
/// is at least `alike`; of every maximal run of linked tokens the one with the largest score stays, its pivot (equal
/// scores: the smaller index), so tokens without a link stay. The budget is not asked.
/// With `exact`, of N tokens and a budget of n the N - n pairs with the largest cosines are linked, whatever `alike`
/// (equal cosines: the smaller index), so exactly n stay: every link takes one away. More stay only where protected
/// tokens leave fewer than N - n pairs. evict::merge_runs merges each run into its pivot; its `alike`, `exact` and
/// `heavy` are the same numbers.
struct runs : policy_base<stages::select, needs::keys> {
  static constexpr bool in_partitions = false;  ///< one selection for the whole row
  static constexpr bool counts_float = true;    ///< keys and scores alone tell how many stay
  static constexpr bool reads_links = true;     ///< cosines of neighbouring keys, beside the scores

  /// Its numbers.
  struct params {
    float alike = 0.75f;               ///< least cosine of linked neighbours
    bool exact = false;                ///< link as many pairs as the budget asks for, instead
    double heavy = 0.1;                ///< share of the tokens that is protected by score
    int sink = 4;                      ///< first tokens that always stay
    int recent = 8;                    ///< last tokens that always stay
    cs::span<int const> white_list{};  ///< as in top_k
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("alike", self.alike, "cosine", "least one of linked neighbours");
      visit("exact", self.exact, "", "link as many pairs as the budget asks for, the most alike ones, instead");
      visit("heavy", self.heavy, "fraction", "of the tokens that is protected by score");
      detail::each_forced(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("select.alike", static_cast<double>(alike), -1, 1),
                        range::within("select.heavy", heavy, 0, 1), detail::check_forced(*this));
    }
  };

  /// Heads differ in how many they keep.
  [[nodiscard]] static constexpr uniformity least_uniformity(bool /*joined*/) { return uniformity::F; }
  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
};
}  // namespace select
}  // namespace kvsieve::inline v0
