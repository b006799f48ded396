// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = t: with forced sinks, the first tokens and the newest stay.
/// Xiao et al., "Efficient Streaming Language Models with Attention Sinks", arXiv 2309.17453.
inline void position(std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) score[t] = static_cast<double>(t);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
