// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What scores made of two others share. Each half is a strategy of its own: score, aggregate, group, lift, weigh,
// smooth, scale, protect and heads are used, what comes after them is not.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

namespace detail {
// Stages of a strategy that make its scores.
template <class C>
inline constexpr needs read_for_scores = C::score_policy::reads | C::aggregate_policy::reads | C::group_policy::reads |
                                         C::lift_policy::reads | C::weigh_policy::reads | C::smooth_policy::reads |
                                         C::scale_policy::reads | C::protect_policy::reads | C::heads_policy::reads;
template <class C>
inline constexpr bool alike_for_all_heads =
    requires { requires C::score_policy::same_for_all_heads; } && !C::weigh_policy::weighs;

// Visits the numbers of one half as `half.stage.field`. The name is only good during the visit.
template <class Params, class Visit>
constexpr void each_of_half(Params& half, char const* prefix, Visit&& visit) {
  auto const stage = [&](char const* name, auto& p) {
    cs::remove_cvref_t<decltype(p)>::each(p,
                                          [&](char const* field, auto& member, char const* unit, char const* meaning) {
                                            char full[96] = {};
                                            int at = 0;
                                            for (char const* part : {prefix, ".", name, ".", field})
                                              for (; *part != '\0' && at < 95; ++part) full[at++] = *part;
                                            visit(static_cast<char const*>(full), member, unit, meaning);
                                          });
  };
  stage("score", half.score);
  stage("aggregate", half.aggregate);
  stage("group", half.group);
  stage("lift", half.lift);
  stage("weigh", half.weigh);
  stage("smooth", half.smooth);
  stage("scale", half.scale);
  stage("protect", half.protect);
  stage("heads", half.heads);
}
}  // namespace detail

/// What is the same for every way to join two scores. What either half forces stays: the larger number of first tokens
/// and the larger number of last tokens.
template <strategy First, strategy Second>
struct two_scores : policy_base<stages::score, detail::read_for_scores<First> | detail::read_for_scores<Second>> {
  static_assert(!First::weighs_last && !Second::weighs_last,
                "kvsieve::score::blend and product: a half that selects by kvsieve::select::two_stage has its weight "
                "behind its scores: leave that selection out of the half");
  using pattern = patterns::joined;  ///< how it walks the cache
  using first = First;               ///< makes the first score
  using second = Second;             ///< makes the second
  /// Heads and layers score alike.
  static constexpr bool same_for_all_heads = detail::alike_for_all_heads<First> && detail::alike_for_all_heads<Second>;

  /// Tokens of the cache in a view of `tokens`; both halves have to agree.
  template <class Params>
  static constexpr int cached(Params const& p, int tokens) {
    return describe<typename First::score_policy>(p.first.score, tokens).tokens;
  }
  /// What stays whatever the scores.
  template <class Params>
  static constexpr forced_ends forced(Params const& p, int tokens) {
    forced_ends const a = describe<typename First::score_policy>(p.first.score, tokens).ends;
    forced_ends const b = describe<typename Second::score_policy>(p.second.score, tokens).ends;
    return {a.head < b.head ? b.head : a.head, a.tail < b.tail ? b.tail : a.tail};
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
