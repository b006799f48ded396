// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mean over the queries that could see the token: kvpress's observed attention. New tokens are not at a disadvantage.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Mean over the observed queries that could see the token.
struct mean_visible : linear_base {
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static constexpr S result(params const&, S const (&state)[1], observation<S> const& o) {
    return state[0] / o.visible;
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
