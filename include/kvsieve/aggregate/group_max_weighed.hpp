// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The largest of a group's query heads, each weighed by what it makes of the token's value: KVzip's normalised variant
// (arXiv 2505.23416, as kvpress has it).
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {

/// Largest over the group's query heads h of weight[h, t] times what was folded for token t. KVzip's weights are the
/// norms of the values behind each query head's part of the output projection.
struct group_max_weighed : policy_base<stages::group> {
  static constexpr bool additive = false;  ///< combine is not +

  /// Its numbers.
  struct params {
    cs::span<float const>
        weight{};         ///< [views, query heads, tokens]; the caller's memory, of the device for plans there
    int query_heads = 0;  ///< of a view
    int tokens = 0;       ///< of the cache, N, the same in every view
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("weight", self.weight, "factors", "of each token for each query head, view after view");
      visit("query_heads", self.query_heads, "heads", "of a view, in `weight`");
      visit("tokens", self.tokens, "tokens", "of a view, in `weight`");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::at_least("group.query_heads", query_heads, 1),
                        range::at_least("group.tokens", tokens, 1),
                        range::entries("group.weight", static_cast<double>(weight.size()),
                                       double{1} * call.views * query_heads * tokens));
    }
  };
  /// Ok, or what does not fit a view of so many query heads and tokens.
  static constexpr status fits(params const& p, index heads, int tokens) {
    if (p.query_heads != heads)
      return fail(errc::bad_shape, "group.query_heads", p.query_heads, "must equal those of the queries,",
                  static_cast<double>(heads));
    if (p.tokens != tokens)
      return fail(errc::bad_shape, "group.tokens", p.tokens, "must equal the tokens of the cache,", tokens);
    return {};
  }
  /// Weights of a query head's tokens [N].
  static constexpr float const* token_weights(params const& p, index view, index query_head) {
    return p.weight.data() + (view * p.query_heads + query_head) * p.tokens;
  }
  /// Two query heads, or joined ones, as one.
  KVSIEVE_HD static constexpr float combine(float a, float b) { return a < b ? b : a; }
  /// The group's number from what was joined.
  KVSIEVE_HD static constexpr float result(float joined, int) { return joined; }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
