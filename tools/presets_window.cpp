// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> window_presets() {
  return {
      make_strategy<snap_kv<>>({"snap_kv",
                                "SnapKV",
                                "arXiv 2404.14469",
                                "kvpress 0.5.5, KVCache-Factory",
                                {{"score", "attention, last window"},
                                 {"aggregate", "mean"},
                                 {"group", "mean"},
                                 {"smooth", "average"},
                                 {"budget", "uniform"},
                                 {"select", "top_k"}}}),
      make_strategy<tova<>>({"tova",
                             "TOVA",
                             "arXiv 2401.06104",
                             "kvpress 0.5.5",
                             {{"score", "attention, last query"},
                              {"aggregate", "last"},
                              {"group", "mean"},
                              {"heads", "mean"},
                              {"budget", "uniform"},
                              {"select", "top_k"}}}),
  };
}
}  // namespace kvsieve::tool
