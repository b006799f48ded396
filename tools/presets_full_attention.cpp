// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> full_attention_presets() {
  return {
      make_strategy<observed_attention<>>({"observed_attention",
                                           "Observed attention",
                                           "arXiv 2306.14048",
                                           "kvpress 0.5.5",
                                           {{"score", "attention, all queries"},
                                            {"aggregate", "mean_visible"},
                                            {"group", "mean"},
                                            {"budget", "uniform"},
                                            {"select", "top_k"}}}),
      make_strategy<h2o<>>({"h2o",
                            "H2O",
                            "arXiv 2306.14048",
                            "KVCache-Factory",
                            {{"score", "attention, all queries"},
                             {"aggregate", "sum"},
                             {"group", "mean"},
                             {"budget", "uniform"},
                             {"select", "heavy_hitters"}}}),
  };
}
}  // namespace kvsieve::tool
