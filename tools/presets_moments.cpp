// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> moment_presets() {
  return {
      make_strategy<expected_attention<>>({"expected_attention",
                                           "Expected Attention",
                                           "arXiv 2510.00636",
                                           "kvpress 0.5.5",
                                           {{"score", "expected_attention, prompt"},
                                            {"weigh", "value_norm"},
                                            {"budget", "uniform"},
                                            {"select", "top_k"}}}),
      make_strategy<non_causal_attention<>>({"non_causal_attention",
                                             "Compactor, attention alone",
                                             "arXiv 2507.08143",
                                             "kvpress 0.5.5",
                                             {{"score", "non_causal_attention"},
                                              {"weigh", "value_norm"},
                                              {"smooth", "average"},
                                              {"scale", "z_score"},
                                              {"budget", "uniform"},
                                              {"select", "top_k"}}}),
      make_strategy<leverage<>>(
          {"leverage",
           "Compactor, leverage alone",
           "arXiv 2507.08143",
           "kvpress 0.5.5, up to the random sketch",
           {{"score", "leverage"}, {"scale", "z_score"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<compactor<>>({"compactor",
                                  "Compactor",
                                  "arXiv 2507.08143",
                                  "its two parts: kvpress 0.5.5",
                                  {{"score", "compactor"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<cap_kv<>>({"cap_kv",
                               "CapKV",
                               "kvpress's CapPress",
                               "our definition in reference/",
                               {{"score", "cap_kv"}, {"budget", "uniform"}, {"select", "top_k"}}}),
  };
}
}  // namespace kvsieve::tool
