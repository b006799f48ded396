// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> round_presets() {
  return {
      make_strategy<critical_kv_by_norm<>>({"critical_kv_by_norm",
                                            "CriticalKV over SnapKV, by value norms",
                                            "arXiv 2502.03805",
                                            "kvpress 0.5.5 (two stages)",
                                            {{"score", "attention, last window"},
                                             {"aggregate", "mean"},
                                             {"group", "mean"},
                                             {"weigh", "value_norm"},
                                             {"smooth", "average"},
                                             {"budget", "uniform"},
                                             {"select", "two_stage"}}}),
      make_strategy<nacl<>>({"nacl",
                             "NACL",
                             "arXiv 2408.03675",
                             "our definition in reference/",
                             {{"score", "attention, proxies"},
                              {"aggregate", "sum"},
                              {"group", "mean"},
                              {"budget", "uniform"},
                              {"select", "gumbel"}}}),
      make_strategy<corm<>>({"corm",
                             "CORM",
                             "arXiv 2404.15949",
                             "our definition in reference/",
                             {{"score", "attention, history"},
                              {"aggregate", "count_above"},
                              {"group", "max"},
                              {"budget", "uniform"},
                              {"select", "threshold"},
                              {"store", "ragged"}}}),
  };
}
}  // namespace kvsieve::tool
