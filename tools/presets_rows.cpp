// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> row_presets() {
  return {
      make_strategy<cur<>>({"cur",
                            "CurDKV",
                            "arXiv 2509.15038",
                            "kvpress 0.5.5",
                            {{"score", "cur"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<value_key_ratio<>>({"value_key_ratio",
                                        "PagedEviction's token score",
                                        "arXiv 2509.04377",
                                        "our definition in reference/",
                                        {{"score", "value_key_ratio"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<paged_eviction<>>(
          {"paged_eviction",
           "PagedEviction, full pages",
           "arXiv 2509.04377",
           "our definition in reference/",
           {{"score", "value_key_ratio"}, {"heads", "mean"}, {"budget", "uniform"}, {"select", "pages"}}}),
      make_strategy<r_kv<>>(
          {"r_kv",
           "R-KV, one shot",
           "arXiv 2505.24133",
           "our definition in reference/",
           {{"score", "r_kv: attention, last window; redundancy"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<redundancy<>>({"redundancy",
                                   "R-KV's redundancy",
                                   "arXiv 2505.24133",
                                   "our definition in reference/",
                                   {{"score", "redundancy"}, {"budget", "uniform"}, {"select", "top_k"}}}),
  };
}
}  // namespace kvsieve::tool
