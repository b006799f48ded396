// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> layer_budget_presets() {
  return {
      make_strategy<cake<>>({"cake",
                             "CAKE",
                             "ICLR 2025",
                             "the authors' CAKE",
                             {{"score", "attention, last window"},
                              {"aggregate", "mean_variance_entropy"},
                              {"group", "mean"},
                              {"smooth", "average"},
                              {"budget", "entropy_variance"},
                              {"select", "top_k"}}}),
      make_strategy<zigzag_kv<>>({"zigzag_kv",
                                  "ZigZagKV",
                                  "arXiv 2412.09036",
                                  "our definition in reference/",
                                  {{"score", "attention, last window"},
                                   {"aggregate", "mean"},
                                   {"group", "mean"},
                                   {"smooth", "average"},
                                   {"budget", "uncertainty"},
                                   {"select", "top_k"}}}),
      make_strategy<sim_layer_kv<>>({"sim_layer_kv",
                                     "SimLayerKV",
                                     "arXiv 2410.13846",
                                     "our definition in reference/",
                                     {{"score", "attention, last query"},
                                      {"aggregate", "last"},
                                      {"group", "mean"},
                                      {"budget", "lazy_layers"},
                                      {"select", "top_k"}}}),
  };
}
}  // namespace kvsieve::tool
