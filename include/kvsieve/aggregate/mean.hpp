// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mean over all observed queries: SnapKV's (arXiv 2404.14469).
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Mean over all observed queries.
struct mean : linear_base {
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static constexpr S result(params const&, S const (&state)[1], observation<S> const& o) {
    return state[0] / S(o.queries);
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
