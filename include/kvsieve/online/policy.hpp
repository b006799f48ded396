// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A policy that evicts while a model generates: what is remembered of every entry of the cache (observed_state), and
// which entries go by that. When they go is a schedule.
#pragma once
#include <kvsieve/compressor.hpp>

namespace kvsieve::inline v0 {

namespace detail {
template <class P>
inline constexpr bool decides_online =
    policy_of<P, stages::aggregate> || policy_of<P, stages::group> || policy_of<P, stages::heads> ||
    policy_of<P, stages::budget> || policy_of<P, stages::select>;
/// Of two scores of an entry, the second.
template <class A>
struct second_score {
  using type = void;
};
template <class A>
  requires requires { typename A::second; }
struct second_score<A> {
  using type = typename A::second;
};
}  // namespace detail

/// A policy of eviction while generating, from an accumulator and, where their defaults do not serve, how query heads
/// and KV heads are joined, a budget and a selection. All KV heads of a layer keep the same number of entries.
template <policy... Ps>
struct online_policy {
  using aggregate_policy = detail::pick_t<stages::aggregate, detail::missing, Ps...>;  ///< what is remembered
  using group_policy = detail::pick_t<stages::group, aggregate::group_mean, Ps...>;    ///< query heads to one number
  using heads_policy = detail::pick_t<stages::heads, aggregate::heads_apart, Ps...>;   ///< KV heads, apart or joined
  using budget_policy = detail::pick_t<stages::budget, budget::uniform, Ps...>;        ///< how many entries stay
  using select_policy = detail::pick_t<stages::select, select::top_k, Ps...>;          ///< which entries stay
  using second_aggregate = typename detail::second_score<aggregate_policy>::type;      ///< a second score, or void

  static_assert((detail::decides_online<Ps> && ...),
                "kvsieve::online_policy takes policies of the stages aggregate, group, heads, budget and select: there "
                "are no scores but those of the attention that was observed");
  static_assert(accumulator<aggregate_policy>,
                "kvsieve::online_policy needs an accumulator: add one of kvsieve::aggregate::*");
  static_assert(closed_budget<budget_policy> && budget_policy::uniformity_class <= uniformity::U2,
                "kvsieve::online_policy needs a budget that reads no scores and gives the heads of a layer one number: "
                "use kvsieve::budget::uniform or per_layer");
  static_assert(
      !select_policy::in_partitions && !counts_float<select_policy> && !recounting<select_policy> &&
          !reads_links<select_policy> && !requires { requires select_policy::rescores; },
      "kvsieve::online_policy needs a selection of as many entries as the budget allots: use "
      "kvsieve::select::top_k, heavy_hitters or two_stage");
  static_assert(!reads_unweighed<select_policy> || !cs::is_void_v<second_aggregate>,
                "kvsieve::select::two_stage selects by two scores, and this accumulator gives one: use "
                "kvsieve::aggregate::deviation");
  static_assert(!weighs_tokens<group_policy> && !weighs_heads<group_policy>,
                "kvsieve::online_policy does not weigh query heads: use kvsieve::aggregate::group_mean, group_sum or "
                "group_max");

  /// The numbers, by stage; set with designated initialisers.
  struct params {
    typename aggregate_policy::params aggregate{};  ///< of the stage aggregate
    typename group_policy::params group{};          ///< of the stage group
    typename heads_policy::params heads{};          ///< of the stage heads
    typename budget_policy::params budget{};        ///< of the stage budget
    typename select_policy::params select{};        ///< of the stage select

    /// Calls visit(stage, params) for every stage.
    template <class Self, class Visit>
    static constexpr void each_stage(Self& self, Visit&& visit) {
      visit("aggregate", self.aggregate);
      visit("group", self.group);
      visit("heads", self.heads);
      visit("budget", self.budget);
      visit("select", self.select);
    }
  };
};

/// True for instances of online_policy.
template <class C>
concept online_strategy = requires {
  typename C::aggregate_policy;
  typename C::second_aggregate;
  typename C::params;
};

/// When a cache that grows by one token a step evicts: at every `every`-th step, once it holds more than `tokens`.
struct eviction_schedule {
  int tokens = 1024;  ///< that stay, of a head; at least 1
  int every = 1;      ///< steps from one eviction to the next; at least 1

  /// Ok, or the number that is out of range.
  [[nodiscard]] constexpr status check() const {
    return range::all(range::within("schedule.tokens", tokens, 1, most_tokens),
                      range::within("schedule.every", every, 1, most_tokens));
  }
  /// True when a cache of so many entries evicts after step number `step`, counted from 1.
  [[nodiscard]] constexpr bool due(index entries, index step) const { return entries > tokens && step % every == 0; }
  /// The most entries that a head ever has, once it had at most `tokens`.
  [[nodiscard]] constexpr index room() const { return index{tokens} + every; }
};
}  // namespace kvsieve::inline v0
