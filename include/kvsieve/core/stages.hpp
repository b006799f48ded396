// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The stages of the pipeline and what makes a type a policy of one of them.
#pragma once
#include <cuda/std/concepts>
#include <cuda/std/type_traits>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {
namespace cs = ::cuda::std;

/// The stages, in the order in which data flows through them.
namespace stages {
struct score {};      ///< how much a token matters, to one KV head
struct aggregate {};  ///< many queries to one number (attention-based scores only)
struct group {};      ///< the query heads that share a KV head to one number
struct lift {};       ///< the least that a token counts
struct weigh {};      ///< scores by what the values carry
struct smooth {};     ///< pooling along the tokens
struct scale {};      ///< scores of a layer to a common unit
struct protect {};    ///< tokens that get the largest score of their layer
struct heads {};      ///< KV heads: apart, or one choice for the layer
struct budget {};     ///< how many tokens each layer and head keeps
struct select {};     ///< which tokens these are
struct evict {};      ///< what becomes of the others
struct store {};      ///< how the kept ones lie in memory
}  // namespace stages

/// What a policy reads. A strategy reads the union; an engine learns from it at compile time what it has to supply.
enum class needs : unsigned { nothing = 0, keys = 1, values = 2, queries = 4 };
/// The union of two.
[[nodiscard]] constexpr needs operator|(needs a, needs b) {
  return static_cast<needs>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
/// True when `all` contains something of `some`.
[[nodiscard]] constexpr bool reads(needs all, needs some) {
  return (static_cast<unsigned>(all) & static_cast<unsigned>(some)) != 0;
}

/// How alike the kept lists are; an engine accepts up to some class.
enum class uniformity : unsigned char {
  U0,  ///< one list for all layers and heads
  U1,  ///< the same count everywhere
  U2,  ///< a count per layer
  U3,  ///< a count per head
  F    ///< a count per head that only the scores tell
};
/// "U0" to "U3", or "F".
[[nodiscard]] constexpr char const* name_of(uniformity u) {
  constexpr char const* names[] = {"U0", "U1", "U2", "U3", "F"};
  return names[static_cast<int>(u)];
}

/// A policy: an empty type that names its stage, says what it reads, and has a plain struct of run-time numbers.
/// `P::params::each(params, visit)` calls visit(name, member, unit, meaning) for every number.
template <class P>
concept policy = requires {
  typename P::stage;
  typename P::params;
  { P::reads } -> cs::convertible_to<needs>;
} && cs::is_empty_v<P> && cs::is_trivially_copyable_v<typename P::params>;

/// A policy of the given stage.
template <class P, class Stage>
concept policy_of = policy<P> && cs::is_same_v<typename P::stage, Stage>;

/// Params of a policy that has none.
struct no_params {
  /// Visits nothing.
  template <class Self, class Visit>
  static constexpr void each(Self&, Visit&&) {}
};

/// A convenience to derive a policy from; a policy may as well spell the three members itself.
template <class Stage, needs Reads = needs::nothing>
struct policy_base {
  using stage = Stage;                   ///< one of kvsieve::stages
  using params = no_params;              ///< the numbers; a policy that has some names its own
  static constexpr needs reads = Reads;  ///< what it reads of a cache
};
}  // namespace kvsieve::inline v0
