// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weight by what a value becomes behind the output projection: what a token can add to the layer's result. CriticalKV
// (Feng et al., arXiv 2502.03805), DefensiveKV, KVzip's normalised form (Kim et al., arXiv 2505.23416).
#pragma once
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/tables.hpp>

namespace kvsieve::inline v0 {

/// How long a projected value is.
namespace projected {
/// Sum of the magnitudes of its entries (L1).
struct magnitudes {
  static constexpr bool quadratic = false;  ///< every entry is looked at
};
/// Euclidean length (L2), from the Gram matrix of a query head's slice: D x D numbers in place of D x hidden.
struct length {
  static constexpr bool quadratic = true;  ///< one quadratic form gives it
};
}  // namespace projected

namespace weigh {

/// score[t] = (score[t] + epsilon) * w[t]; w[t] joins, over the query heads of the group, the norm of O_q v_t, O_q
/// [hidden, D] being the slice of the output projection that belongs to query head q. With `Share`, w[t] counts as a
/// share of the sum over the KV heads (0 where that is 0). Meant for scores that are not negative. Where scores are
/// pooled, they are weighed after it. Reads each value once for L2 and once a query head for L1. A value that is not
/// finite makes the score NaN, and with `Share` those of the other heads of its token too, which have nothing to be a
/// share of.
template <class Norm = projected::magnitudes, class Group = aggregate::group_mean, bool Share = false>
struct projected_value : policy_base<stages::weigh, needs::values> {
  static_assert(!weighs_heads<Group> && !weighs_tokens<Group>,
                "kvsieve::weigh::projected_value joins query heads by kvsieve::aggregate::group_mean, group_sum or "
                "group_max");
  static constexpr bool weighs = true;                ///< scores change
  static constexpr bool quadratic = Norm::quadratic;  ///< L2
  static constexpr bool over_heads = Share;           ///< weights are shares over the KV heads
  using group = Group;                                ///< joins the query heads of a KV head

  /// Its table.
  struct params {
    /// Output projection [layers, hidden, query heads, D], the caller's memory; device memory for plans there.
    cs::span<float const> output{};
    int query_heads = 0;                   ///< of the model, a multiple of the KV heads
    int hidden = 0;                        ///< entries of a projected value
    float epsilon = Share ? 0.0f : 1e-4f;  ///< added to a score before the product; CriticalKV's, DefensiveKV has none
    cs::span<int const> layer{};           ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("output", self.output, "numbers", "output projection, for each layer, entry, query head and channel");
      visit("query_heads", self.query_heads, "heads", "of the model, a multiple of the KV heads");
      visit("hidden", self.hidden, "entries", "of a projected value");
      visit("epsilon", self.epsilon, "score", "added before the product, so that values count by themselves");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Numbers of a layer.
    [[nodiscard]] constexpr cs::int64_t per_layer(int head_dim) const {
      return cs::int64_t{hidden} * query_heads * head_dim;
    }
    /// Ok, or what does not fit the call.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      if (status const s = range::all(range::within("weigh.query_heads", query_heads, 1, 65535),
                                      range::within("weigh.hidden", hidden, 1, 1 << 20),
                                      range::at_least("weigh.epsilon", epsilon, 0));
          !s)
        return s;
      if (query_heads % call.heads != 0)
        return fail(errc::bad_shape, "weigh.query_heads", query_heads, "must be a multiple of the KV heads,",
                    call.heads);
      return tables::check("weigh.output", output.size(), per_layer(call.head_dim), "weigh.layer", layer, call.views);
    }
  };
};
}  // namespace weigh
}  // namespace kvsieve::inline v0
