// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What folds a token's probabilities, one observed query after another, into one number.
#pragma once
#include <cuda/std/concepts>

#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {

/// What an accumulator may know when it gives its result.
struct observation {
  int queries = 0;  ///< observed
  int visible = 0;  ///< of these, the ones that could see the token
};

/// An aggregate policy is an online accumulator: its state starts at 0, takes probabilities in any order, and states
/// join by `combine`. S is a float, or a fragment with a query in each lane.
/// `additive` says that combine is +, which lets a driver sum lanes and groups at once.
/// `weight(query, queries)` scales a query's probabilities before they are folded.
template <class A>
concept accumulator = policy_of<A, stages::aggregate> && requires(float s, observation o) {
  { A::additive } -> cs::convertible_to<bool>;
  { A::weight(0, 1) } -> cs::same_as<float>;
  { A::update(s, s) } -> cs::same_as<float>;
  { A::combine(s, s) } -> cs::same_as<float>;
  { A::result(s, o) } -> cs::same_as<float>;
};

namespace aggregate {
/// What the additive accumulators share.
struct additive_base : policy_base<stages::aggregate> {
  static constexpr bool additive = true;  ///< combine is +
  /// Every query counts alike.
  KVSIEVE_HD static constexpr float weight(int /*query*/, int /*queries*/) { return 1.0f; }
  /// The state with the probability p folded in.
  template <class S>
  KVSIEVE_HD static S update(S state, S p) {
    return state + p;
  }
  /// Two states as one.
  template <class S>
  KVSIEVE_HD static S combine(S a, S b) {
    return a + b;
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
