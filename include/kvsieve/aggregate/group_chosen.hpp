// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A few query heads speak for their layer: CompressKV's semantic retrieval heads, which were found
// beforehand.
#pragma once
#include <cuda/std/span>

#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {

/// Sum over the chosen query heads of a KV head, over how many are chosen in the layer: joined by heads_sum, the mean
/// over the chosen heads of the layer. A KV head without a chosen one scores 0.
struct group_chosen : policy_base<stages::group> {
  static constexpr bool additive = true;  ///< combine is +

  /// Its numbers.
  struct params {
    cs::span<int const> heads{};  ///< [views of a sequence, chosen]: query heads, from 0; the caller's memory
    int chosen = 4;               ///< query heads of a layer
    int layers = 0;               ///< views of a sequence, which follow one another; 0: all of a call
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("heads", self.heads, "indices", "query heads that count, layer after layer");
      visit("chosen", self.chosen, "heads", "that count in a layer");
      visit("layers", self.layers, "views", "of a sequence, one behind another; 0: all of a call");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status s = range::all(range::at_least("group.chosen", chosen, 1), range::at_least("group.layers", layers, 0));
      int const step = layers == 0 ? call.views : layers;
      if (s && call.views % step != 0)
        s = fail(errc::bad_shape, "group.layers", step, "must divide the number of views,", call.views);
      if (s) s = range::entries("group.heads", static_cast<double>(heads.size()), double{1} * step * chosen);
      for (cs::size_t i = 0; s && i < heads.size(); ++i) s = range::at_least("group.heads", heads[i], 0);
      return s;
    }
  };
  /// Ok, or what does not fit a view of so many query heads and tokens.
  static constexpr status fits(params const& p, index heads, int /*tokens*/) {
    status s{};
    for (int const h : p.heads)
      if (s && h >= heads)
        s = fail(errc::bad_params, "group.heads", h, "must be less than the query heads,", static_cast<double>(heads));
    return s;
  }
  /// What a query head's numbers are multiplied by.
  static constexpr float head_weight(params const& p, index view, index query_head) {
    index const layer = view % (static_cast<index>(p.heads.size()) / p.chosen);
    for (int i = 0; i < p.chosen; ++i)
      if (p.heads[static_cast<cs::size_t>(layer * p.chosen + i)] == query_head)
        return 1.0f / static_cast<float>(p.chosen);
    return 0.0f;
  }
  /// Two query heads, or joined ones, as one.
  KVSIEVE_HD static constexpr float combine(float a, float b) { return a + b; }
  /// The group's number from what was joined.
  KVSIEVE_HD static constexpr float result(float joined, int) { return joined; }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
