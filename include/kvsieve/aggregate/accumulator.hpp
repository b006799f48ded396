// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What folds a token's probabilities, one observed query after another, into one number.
#pragma once
#include <cuda/std/concepts>

#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {

/// What an accumulator may know when it gives its result. S is a float, or a fragment with a token in each lane.
template <class S>
struct observation {
  float queries;  ///< observed, each counted with its weight (query_set::weight)
  S visible;      ///< of these, the ones that could see the token
};

namespace aggregate::detail {
// What a policy with a state of its own supplies.
template <class A>
concept folds = requires(typename A::params const& p, float (&state)[A::states], float const (&later)[A::states]) {
  { A::in_order } -> cs::convertible_to<bool>;
  A::init(p, state);
  A::combine(p, state, later);
} && ((A::in_order && requires(typename A::params const& p, float (&state)[A::states]) {
                  A::update(p, state, 0.5f, 0);
                }) || (!A::in_order && requires(typename A::params const& p, float (&state)[A::states]) {
                  A::update(p, state, 0.5f);
                }));
}  // namespace aggregate::detail

/// An aggregate policy is an online accumulator over a token's probabilities p, one for each observed query.
///
/// `weight(params, query, queries, visible)` scales what a query gives before it is folded: `query` counts from 0 out
/// of `queries` observed ones, and sees `visible` keys. `result(params, state, observation)` is the token's number.
///
/// A `linear` one has a single float of state, the sum of weight * p, and a result that is a linear function of it:
/// drivers add over lanes and query heads at once. Any other has `states` floats and
///   init(params, state)                 before the first query; joined to any state it changes nothing,
///   update(params, state, p)            with the weighted probability p folded in; p = 0 changes nothing,
///   combine(params, state, later)       with what later queries made of a state of their own.
/// Queries come in any order; with `in_order`, updates and joins come in theirs, and it is update(params, state, p,
/// query). All are templates over S, a float, or a fragment with a token or a query in each lane.
template <class A>
concept accumulator = policy_of<A, stages::aggregate> && A::states >= 1 &&
                      requires(typename A::params const& p, float (&state)[A::states], observation<float> o) {
                        { A::linear } -> cs::convertible_to<bool>;
                        { A::weight(p, 0, 1, 1) } -> cs::same_as<float>;
                        { A::result(p, state, o) } -> cs::same_as<float>;
                      } && ((A::linear && A::states == 1) || (!A::linear && aggregate::detail::folds<A>));

/// True for one that can count some queries more than others (query_set::weight): a linear one, or one that has
/// factor(weight), what the probabilities of such a query are multiplied by.
template <class A>
inline constexpr bool weighs_queries = A::linear || requires { A::factor(1.0f); };
/// What the probabilities of a query of this weight are multiplied by.
template <class A>
[[nodiscard]] KVSIEVE_HD inline float query_factor(float weight) {
  if constexpr (requires { A::factor(weight); })
    return A::factor(weight);
  else
    return weight;
}

/// True for one that also folds logits (row_form::logits), which may be negative: a linear one, or one that has
/// init_lowest(params, state) for the state of a token that no query saw.
template <class A>
inline constexpr bool takes_logits = A::linear || requires { requires A::takes_logits; };

/// What the state is multiplied by before a later query is folded, when queries come one after another without end: for
/// weights that depend on how many follow, which keep(params) then stands for. 1 for most.
template <class A>
[[nodiscard]] KVSIEVE_HD constexpr float kept_of_state([[maybe_unused]] typename A::params const& params) {
  if constexpr (requires { A::keep(params); })
    return A::keep(params);
  else
    return 1.0f;
}

/// True for one that averages a query along the tokens first: it has kernel(params), odd, at most most_kernel.
template <class A>
inline constexpr bool pools_tokens = requires { requires A::pools_tokens; };

/// Fewest observed queries that a result is defined for.
template <class A>
inline constexpr int least_queries = 1;
/// As the accumulator says.
template <class A>
  requires requires { A::least_queries; }
inline constexpr int least_queries<A> = A::least_queries;

/// Numbers that an accumulator measures of a whole view beside the scores, 0 for most: it has statistics and
/// measure(params, state, observation, S (&part)[statistics]), what a token adds to them. Drivers add up over the
/// scored tokens and the query heads. Not of linear ones.
template <class A>
inline constexpr int statistics_of = 0;
/// As the accumulator says.
template <class A>
  requires requires { A::statistics; }
inline constexpr int statistics_of<A> = A::statistics;

/// True for one that folds the mean probability of a group's query heads instead of that of each: its observed_state is
/// one of KV heads. attend_observed takes it, plan() does not.
template <class A>
inline constexpr bool folds_groups = requires { requires A::folds_groups; };

/// True for one with another accumulator folded beside it: `using beside = ...`, linear and without params, joined over
/// the group by its mean, and counting queries as the first does. Its row of each KV head reaches the stage protect.
/// Drivers of the host have it, for probabilities; those of the device fold the first alone, without that stage.
template <class A>
inline constexpr bool has_beside = requires { typename A::beside; };

namespace aggregate {
/// What the linear accumulators share.
struct linear_base : policy_base<stages::aggregate> {
  static constexpr bool linear = true;  ///< the state is the sum of weight * p
  static constexpr int states = 1;      ///< floats of state
  /// Every query counts alike.
  KVSIEVE_HD static constexpr float weight(no_params const&, int /*query*/, int /*queries*/, int /*visible*/) {
    return 1.0f;
  }
};

/// What the accumulators with a state of their own share. All start at 0.
template <int States>
struct state_base : policy_base<stages::aggregate> {
  static constexpr bool linear = false;    ///< drivers fold by update
  static constexpr bool in_order = false;  ///< queries may come in any order
  static constexpr int states = States;    ///< floats of state
  /// Every query counts alike.
  template <class Params>
  KVSIEVE_HD static constexpr float weight(Params const&, int /*query*/, int /*queries*/, int /*visible*/) {
    return 1.0f;
  }
  /// The state of a token that no query gave anything.
  template <class Params, class S>
  KVSIEVE_HD static void init(Params const&, S (&state)[States]) {
    KVSIEVE_UNROLL for (int k = 0; k < States; ++k) state[k] = S(0.0f);
  }
};
/// State whose parts are sums.
template <int States>
struct sums_base : state_base<States> {
  /// Two states as one.
  template <class Params, class S>
  KVSIEVE_HD static void combine(Params const&, S (&state)[States], S const (&later)[States]) {
    KVSIEVE_UNROLL for (int k = 0; k < States; ++k) state[k] = state[k] + later[k];
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
