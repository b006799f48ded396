// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What does not stay is averaged into slots of its own. "ZeroMerge: Parameter-Free KV Cache Compression for
// Memory-Efficient Long-Context LLMs", arXiv 2503.10714: the state behind the prompt.
#pragma once
#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/evict/merging.hpp>

namespace kvsieve::inline v0 {
namespace evict {

/// The evicted tokens of a head, M of them in their order, make `residual` groups of consecutive ones, the first M %
/// residual of them one longer. The result's first rows are the groups', in order: mean key, as rotated, and mean
/// value; behind them come the kept tokens as they are. The bias of a group is alpha log(its tokens). Tokens whose key
/// or value is not finite do not count; a group of nothing else is its first token.
struct zero_merge : policy_base<stages::evict, needs::keys | needs::values> {
  using merge_pattern = merge_patterns::into_slots;  ///< how it walks the cache
  static constexpr bool biased = true;               ///< its slots want their bias

  /// Its numbers.
  struct params {
    int residual = 1;                      ///< slots of a head, beside the budget
    float alpha = 1.0f;                    ///< of the bias
    float most_bias = kvsieve::most_bias;  ///< largest bias of a slot
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("residual", self.residual, "rows", "slots of a head for what does not stay, beside the budget");
      visit("alpha", self.alpha, "", "what the log of a slot's tokens is multiplied with, for its bias");
      visit("most_bias", self.most_bias, "nats", "largest attention bias of a slot, where one is asked for");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(
          range::at_least("evict.residual", residual, 1),
          range::within("evict.alpha", static_cast<double>(alpha), 0, 1),
          range::within("evict.most_bias", static_cast<double>(most_bias), 0, static_cast<double>(kvsieve::most_bias)));
    }
  };
  /// Slots where `evicted` tokens do not stay.
  [[nodiscard]] KVSIEVE_HD static constexpr int slots(params const& p, int evicted) {
    return p.residual < evicted ? p.residual : evicted;
  }
  /// The first evicted token of slot `i` of `slots`; that of slot `slots` is their number.
  [[nodiscard]] KVSIEVE_HD static constexpr int begin(int evicted, int slots, int i) {
    int const each = evicted / slots, longer = evicted % slots;
    return i * each + (i < longer ? i : longer);
  }
};
}  // namespace evict
}  // namespace kvsieve::inline v0
