// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Q-Filters: tokens whose keys point against a learned direction of their head stay. Godey et al., "Q-Filters:
// Leveraging QK Geometry for Efficient KV Cache Compression", arXiv 2503.02812.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/tables.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] = -<k_t, f>, f the filter of the layer and KV head, which somebody calibrated. Neither scaled nor
/// normalised; which side of the direction stays belongs to the filters. Reads each key once. A key that is not finite
/// scores what the arithmetic gives: NaN or an infinity.
struct q_filters : policy_base<stages::score, needs::keys> {
  using pattern = patterns::per_row;         ///< how it walks the cache
  static constexpr bool summarises = false;  ///< one pass

  /// Its table.
  struct params {
    cs::span<float const> filter{};  ///< [layers, heads, D], the caller's memory; of the device for a plan on it
    cs::span<int const> layer{};     ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("filter", self.filter, "numbers", "for each layer, KV head and channel");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or what does not fit the call.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return tables::check("score.filter", filter.size(), cs::int64_t{call.heads} * call.head_dim, "score.layer", layer,
                           call.views);
    }
  };

  /// The filters [heads, D] of a view.
  static constexpr float const* table(params const& p, int view, int heads, int head_dim) {
    return tables::of_view(p.filter, cs::int64_t{heads} * head_dim, p.layer, view);
  }
  /// What a fragment of a key adds to its row's sum, `filter` being the filter's fragment.
  template <class F>
  KVSIEVE_HD static F term(F key, F filter) {
    return key * filter;
  }
  /// The score from that sum.
  template <class S>
  KVSIEVE_HD static S score(S dot) {
    return -dot;
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
