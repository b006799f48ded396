// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sum over the queries: accumulated attention, H2O's (arXiv 2306.14048). Old tokens were seen by more queries.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Sum over all observed queries.
struct sum : linear_base {
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static constexpr S result(params const&, S const (&state)[1], observation<S> const&) {
    return state[0];
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
