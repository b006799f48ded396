// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Policies of the stage evict that merge: what they have in common, and the ways in which they walk a cache.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {

/// What happens to the tokens that do not stay; the driver of each is in host/.
namespace merge_patterns {
struct into_nearest {};    ///< each into one kept token (host/evict/merge_nearest.hpp)
struct into_followers {};  ///< each spread over the kept tokens behind it (host/evict/merge_followers.hpp)
struct into_all {};        ///< each spread over the tokens behind it before any is dropped (host/evict/merge_all.hpp)
struct into_slots {};  ///< runs of them into slots of their own, in front of the kept ones (host/evict/merge_slots.hpp)
struct into_sums {};   ///< each into sums of the caller that attention reads too (host/evict/merge_sums.hpp)
}  // namespace merge_patterns

/// True for a policy that merges: apply takes its numbers and a workspace, and another place for the result.
template <class Evict>
inline constexpr bool merges = requires { typename Evict::merge_pattern; };

/// Rows of a head's result in front of the kept ones, where `evicted` tokens do not stay.
template <class Evict>
[[nodiscard]] constexpr int slots_of(typename Evict::params const& p, int evicted) {
  if constexpr (requires { Evict::slots(p, evicted); })
    return Evict::slots(p, evicted);
  else
    return 0;
}
}  // namespace kvsieve::inline v0
