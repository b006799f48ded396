// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A strategy: policies in any order, a default for every stage that is left out, the last of a stage wins.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/aggregate/heads.hpp>
#include <kvsieve/aggregate/mean.hpp>
#include <kvsieve/budget/uniform.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/evict/compact.hpp>
#include <kvsieve/lift/none.hpp>
#include <kvsieve/protect/none.hpp>
#include <kvsieve/scale/none.hpp>
#include <kvsieve/score/pattern.hpp>
#include <kvsieve/score/row_scores.hpp>
#include <kvsieve/select/top_k.hpp>
#include <kvsieve/smooth/none.hpp>
#include <kvsieve/store/dense.hpp>
#include <kvsieve/store/ragged.hpp>
#include <kvsieve/weigh/none.hpp>

namespace kvsieve::inline v0 {

namespace detail {
struct missing : policy_base<void> {};

template <class Stage, class Found, class... Ps>
struct pick {
  using type = Found;
};
template <class Stage, class Found, class P, class... Ps>
struct pick<Stage, Found, P, Ps...>
    : pick<Stage, cs::conditional_t<cs::is_same_v<typename P::stage, Stage>, P, Found>, Ps...> {};
template <class Stage, class Default, class... Ps>
using pick_t = typename pick<Stage, Default, Ps...>::type;

template <class P>
struct pattern_of {
  using type = void;
};
template <class P>
  requires requires { typename P::pattern; }
struct pattern_of<P> {
  using type = typename P::pattern;
};
}  // namespace detail

/// A composed strategy. All of it is known at compile time but the numbers in `params`.
template <policy... Ps>
struct compressor {
  using score_policy = detail::pick_t<stages::score, detail::missing, Ps...>;          ///< how much a token matters
  using aggregate_policy = detail::pick_t<stages::aggregate, aggregate::mean, Ps...>;  ///< queries to one number
  using group_policy = detail::pick_t<stages::group, aggregate::group_mean, Ps...>;    ///< query heads to one number
  using lift_policy = detail::pick_t<stages::lift, lift::none, Ps...>;           ///< the least that a token counts
  using weigh_policy = detail::pick_t<stages::weigh, weigh::none, Ps...>;        ///< scores by what the values carry
  using smooth_policy = detail::pick_t<stages::smooth, smooth::none, Ps...>;     ///< what neighbours add
  using scale_policy = detail::pick_t<stages::scale, scale::none, Ps...>;        ///< scores of a layer to a common unit
  using protect_policy = detail::pick_t<stages::protect, protect::none, Ps...>;  ///< tokens raised to the largest
  using heads_policy = detail::pick_t<stages::heads, aggregate::heads_apart, Ps...>;  ///< KV heads, apart or joined
  using budget_policy = detail::pick_t<stages::budget, budget::uniform, Ps...>;       ///< how many tokens stay
  using select_policy = detail::pick_t<stages::select, select::top_k, Ps...>;         ///< which tokens stay
  using evict_policy = detail::pick_t<stages::evict, evict::compact, Ps...>;          ///< what becomes of the others
  using store_policy = detail::pick_t<stages::store, store::dense, Ps...>;  ///< how the kept ones lie in memory
  using pattern = typename detail::pattern_of<score_policy>::type;          ///< how its score walks the cache

  /// plan() takes queries exactly when this holds.
  static constexpr bool observes_queries = kvsieve::reads(score_policy::reads, needs::queries);
  /// An aggregate policy folds the queries and a group policy joins the query heads exactly when this holds.
  static constexpr bool folds_queries = cs::is_same_v<pattern, patterns::per_query>;

  static_assert(!cs::is_same_v<score_policy, detail::missing>,
                "kvsieve::compressor needs a scoring policy: add one of kvsieve::score::*");
  static_assert(
      folds_queries || cs::is_same_v<detail::pick_t<stages::aggregate, detail::missing, Ps...>, detail::missing>,
      "kvsieve::compressor: an aggregate policy folds queries, and this score reads none: leave the aggregate "
      "policy out or score by kvsieve::score::attention");
  static_assert(
      folds_queries || cs::is_same_v<detail::pick_t<stages::group, detail::missing, Ps...>, detail::missing>,
      "kvsieve::compressor: a group policy joins query heads, and this score reads no queries: leave it out or "
      "score by kvsieve::score::attention");
  static_assert(
      !folds_groups<aggregate_policy>,
      "kvsieve::compressor: this aggregate policy folds what attend_observed sees of a whole group: use it in "
      "a kvsieve::online_policy");
  static_assert(!protect_policy::protects || has_beside<aggregate_policy>,
                "kvsieve::protect::mass reads the mean attention beside the scores, which the aggregate policy folds: "
                "use kvsieve::aggregate::worst_case_and_mean");
  static_assert(
      !select_policy::in_partitions || requires { &score_policy::partitions; } ||
          requires { requires score_policy::brings_partitions; },
      "kvsieve::select::top_k_in_partitions needs a score that has partitions: use "
      "kvsieve::score::lag_relative_streaming, or select with kvsieve::select::top_k");

  static_assert(
      !requires { requires select_policy::rescores; } ||
          (cs::is_same_v<pattern, patterns::per_row> && row_scores::keys_alone<score_policy> && !lift_policy::lifts &&
           !weigh_policy::weighs && !smooth_policy::pools && !scale_policy::scales && !heads_policy::joins &&
           closed_budget<budget_policy>),
      "kvsieve::select::block_wise scores the kept tokens anew with every block: it needs a score of rows "
      "of keys alone (kvsieve::score::key_diff, key_norm), no lift, weight, smoothing or scale, heads apart and a "
      "budget that reads no scores");
  /// The weight comes behind all other stages, beside the scores without it.
  static constexpr bool weighs_last = reads_unweighed<select_policy>;
  static_assert(!weighs_last || weigh_policy::weighs,
                "kvsieve::select::two_stage selects by scores without and with a weight: add one of kvsieve::weigh::*");
  static_assert(!select_policy::in_partitions || closed_budget<budget_policy>,
                "kvsieve::select::top_k_in_partitions needs a budget that reads no scores: kvsieve::budget::uniform");

  static_assert(
      !requires { requires budget_policy::statistics > statistics_of<aggregate_policy>; } ||
          requires { requires score_policy::brings_statistics; },
      "kvsieve::compressor: this budget reads numbers of whole layers, which the aggregate policy measures: use "
      "kvsieve::aggregate::mean_variance_entropy with kvsieve::budget::entropy_variance");

  /// What the strategy reads of a cache; queries are asked for only where this says so.
  static constexpr needs reads = score_policy::reads | aggregate_policy::reads | group_policy::reads |
                                 lift_policy::reads | weigh_policy::reads | smooth_policy::reads | scale_policy::reads |
                                 protect_policy::reads | heads_policy::reads | budget_policy::reads |
                                 select_policy::reads | evict_policy::reads | store_policy::reads;

  /// How alike the kept lists of views of equal length are.
  static constexpr uniformity uniformity_class = [] {
    // Values differ from head to head, and so does what they weigh.
    constexpr bool same = requires { requires score_policy::same_for_all_heads; } && !weigh_policy::weighs;
    constexpr uniformity own = budget_policy::uniformity_class;
    return class_of<select_policy>(same && own == uniformity::U1 ? uniformity::U0 : own, same || heads_policy::joins);
  }();
  static_assert(uniformity_class <= store_policy::accepts,
                "kvsieve::compressor: this budget or selection gives heads counts of their own, and the storage holds "
                "one count per layer: choose a budget of class U2 or below, or kvsieve::store::ragged");

  /// The numbers, by stage; trivially copyable, set with designated initialisers.
  struct params {
    typename score_policy::params score{};          ///< of the stage score
    typename aggregate_policy::params aggregate{};  ///< of the stage aggregate
    typename group_policy::params group{};          ///< of the stage group
    typename lift_policy::params lift{};            ///< of the stage lift
    typename weigh_policy::params weigh{};          ///< of the stage weigh
    typename smooth_policy::params smooth{};        ///< of the stage smooth
    typename scale_policy::params scale{};          ///< of the stage scale
    typename protect_policy::params protect{};      ///< of the stage protect
    typename heads_policy::params heads{};          ///< of the stage heads
    typename budget_policy::params budget{};        ///< of the stage budget
    typename select_policy::params select{};        ///< of the stage select
    typename evict_policy::params evict{};          ///< of the stage evict
    typename store_policy::params store{};          ///< of the stage store

    /// Calls visit(stage, params) for every stage.
    template <class Self, class Visit>
    static constexpr void each_stage(Self& self, Visit&& visit) {
      visit("score", self.score);
      visit("aggregate", self.aggregate);
      visit("group", self.group);
      visit("lift", self.lift);
      visit("weigh", self.weigh);
      visit("smooth", self.smooth);
      visit("scale", self.scale);
      visit("protect", self.protect);
      visit("heads", self.heads);
      visit("budget", self.budget);
      visit("select", self.select);
      visit("evict", self.evict);
      visit("store", self.store);
    }

    /// Calls visit(stage, name, member, unit, meaning) for every number of every stage.
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      each_stage(self, [&visit](char const* stage, auto& p) {
        cs::remove_cvref_t<decltype(p)>::each(
            p, [&](char const* field, auto& member, char const* unit, char const* meaning) {
              visit(stage, field, member, unit, meaning);
            });
      });
    }
  };
};

/// True for instances of compressor.
template <class C>
concept strategy = requires {
  typename C::score_policy;
  typename C::params;
  { C::reads } -> cs::convertible_to<needs>;
};

/// Fails to compile when an engine that holds lists up to class `Limit` is given a strategy of a higher class.
template <strategy C, uniformity Limit>
constexpr void require_uniformity() {
  static_assert(
      C::uniformity_class <= Limit,
      "kvsieve: this strategy keeps counts that differ more than the engine can hold: choose a budget of a lower "
      "uniformity class (see docs/design/uniformity.md)");
}
}  // namespace kvsieve::inline v0
