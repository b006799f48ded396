// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> key_presets() {
  return {
      make_strategy<key_norm<>>({"key_norm",
                                 "Key norm",
                                 "arXiv 2406.11430",
                                 "kvpress 0.5.5",
                                 {{"score", "key_norm"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<key_diff<>>({"key_diff",
                                 "KeyDiff",
                                 "arXiv 2504.15364",
                                 "kvpress 0.5.5",
                                 {{"score", "key_diff"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<key_diff_block_wise<>>({"key_diff_block_wise",
                                            "KeyDiff, block-wise",
                                            "arXiv 2504.15364",
                                            "our definition in reference/",
                                            {{"score", "key_diff"}, {"budget", "uniform"}, {"select", "block_wise"}}}),
  };
}
}  // namespace kvsieve::tool
