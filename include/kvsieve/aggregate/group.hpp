// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The query heads that share a KV head (GQA) to one number, after their queries were folded.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {

/// True for a group policy that counts its query heads unequally: it is additive and has head_weight(params, view,
/// query head), which the numbers of a query head are multiplied by before they are joined.
template <class G>
inline constexpr bool weighs_heads = requires(typename G::params const& p) { G::head_weight(p, 0, 0); };
/// True for one that weighs the tokens of each query head: it is not additive and has token_weights(params, view, query
/// head) [N].
template <class G>
inline constexpr bool weighs_tokens = requires(typename G::params const& p) { G::token_weights(p, 0, 0); };

namespace aggregate {

/// Mean over the group's query heads.
struct group_mean : policy_base<stages::group> {
  static constexpr bool additive = true;  ///< combine is +
  /// Two query heads, or joined ones, as one.
  KVSIEVE_HD static constexpr float combine(float a, float b) { return a + b; }
  /// The group's number from what was joined of its `heads` query heads.
  KVSIEVE_HD static constexpr float result(float joined, int heads) { return joined / static_cast<float>(heads); }
};
/// Sum over the group's query heads.
struct group_sum : policy_base<stages::group> {
  static constexpr bool additive = true;  ///< combine is +
  /// Two query heads, or joined ones, as one.
  KVSIEVE_HD static constexpr float combine(float a, float b) { return a + b; }
  /// The group's number from what was joined.
  KVSIEVE_HD static constexpr float result(float joined, int) { return joined; }
};
/// The largest of the group's query heads.
struct group_max : policy_base<stages::group> {
  static constexpr bool additive = false;  ///< combine is not +
  /// Two query heads, or joined ones, as one.
  KVSIEVE_HD static constexpr float combine(float a, float b) { return a < b ? b : a; }
  /// The group's number from what was joined.
  KVSIEVE_HD static constexpr float result(float joined, int) { return joined; }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
