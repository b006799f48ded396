// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cstdint>
#include <span>

#include <kvsieve/core/math.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] uniform in [0, 1) with 24 bits, a function of (seed, head, t) alone: the top bits of mix(mix(seed ^
/// mix(head)) + t), mix being the finaliser of SplitMix64. `head` counts through the heads of all views of a call.
inline void random(std::uint64_t seed, std::uint64_t head, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t)
    score[t] = static_cast<double>(mix(mix(seed ^ mix(head)) + t) >> 40) / 16777216.0;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
