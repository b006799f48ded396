// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mean over the queries that could see the token: kvpress's observed attention. New tokens are not at a disadvantage.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Mean over the observed queries that could see the token; 0 where none could.
struct mean_visible : linear_base {
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static constexpr S result(params const&, S const (&state)[1], observation<S> const& o) {
    return state[0] / where(S(0.0f) < o.visible, o.visible, S(1.0f));
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
