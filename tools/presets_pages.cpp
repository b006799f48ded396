// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Methods of paged caches that ask a query, or keep pages for others.
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> page_presets() {
  return {
      make_strategy<quest<>>({"quest",
                              "Quest",
                              "arXiv 2406.10774",
                              "the authors' Quest",
                              {{"score", "page_bound"}, {"budget", "uniform"}, {"select", "query_pages"}}}),
      make_strategy<l_serve<>>({"l_serve",
                                "LServe, retrieval heads",
                                "arXiv 2502.14866",
                                "our definition in reference/",
                                {{"score", "page_bound"}, {"budget", "uniform"}, {"select", "query_pages"}}}),
      make_strategy<kv_crush<>>({"kv_crush",
                                 "KVCrush over SnapKV",
                                 "OpenVINO GenAI",
                                 "our definition in reference/",
                                 {{"score", "attention, last window"},
                                  {"aggregate", "sum"},
                                  {"group", "mean"},
                                  {"smooth", "average"},
                                  {"heads", "sum"},
                                  {"budget", "uniform"},
                                  {"select", "page_representatives"}}}),
  };
}
}  // namespace kvsieve::tool
