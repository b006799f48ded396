// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// DefensiveKV's worst case with the mean attention beside it, which its protection by mass reads.
#pragma once
#include <kvsieve/aggregate/mean.hpp>
#include <kvsieve/aggregate/worst_case.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {

/// As worst_case; the mean of the probabilities as they are, not pooled, is folded beside it.
struct worst_case_and_mean : worst_case {
  using beside = mean;  ///< its row goes to the stage protect
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
