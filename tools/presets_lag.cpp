// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> lag_presets() {
  return {
      make_strategy<lag_kv<>>({"lag_kv",
                               "LagKV, ranked",
                               "arXiv 2504.04704",
                               "kvpress 0.5.5",
                               {{"score", "lag_relative"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<lag_kv_streaming<>>({"lag_kv_streaming",
                                         "LagKV, streaming",
                                         "arXiv 2504.04704",
                                         "the authors' LagKV",
                                         {{"score", "lag_relative_streaming"},
                                          {"budget", "uniform, per partition"},
                                          {"select", "top_k_in_partitions"}}}),
  };
}
}  // namespace kvsieve::tool
