// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> position_presets() {
  return {
      make_strategy<streaming_llm<>>({"streaming_llm",
                                      "StreamingLLM",
                                      "arXiv 2309.17453",
                                      "kvpress 0.5.5",
                                      {{"score", "position"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<random<>>({"random",
                               "Random",
                               "baseline",
                               "our definition",
                               {{"score", "random"}, {"budget", "uniform"}, {"select", "top_k"}}}),
  };
}
}  // namespace kvsieve::tool
