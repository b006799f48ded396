// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Methods that differ in which queries they observe. Those that observe a pass behind the cache are in
// presets_pass.cpp; those that need tables of heads are not here, since a dump has none.
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> observed_presets() {
  return {
      make_strategy<scissorhands<>>({"scissorhands",
                                     "Scissorhands",
                                     "arXiv 2305.17118",
                                     "our definition in reference/",
                                     {{"score", "attention, history"},
                                      {"aggregate", "sum"},
                                      {"group", "mean"},
                                      {"budget", "uniform"},
                                      {"select", "top_k"}}}),
      make_strategy<defensive_kv_unweighed<>>({"defensive_kv_unweighed",
                                               "DefensiveKV, without value weights",
                                               "FFY0/DefensiveKV",
                                               "the authors' DefensiveKV",
                                               {{"score", "attention, last window"},
                                                {"aggregate", "worst_case_and_mean"},
                                                {"group", "max"},
                                                {"lift", "mean"},
                                                {"protect", "mass"},
                                                {"budget", "over_heads"},
                                                {"select", "top_k"},
                                                {"store", "ragged"}}}),
      make_strategy<layer_defensive_kv_unweighed<>>({"layer_defensive_kv_unweighed",
                                                     "Layer-DefensiveKV, without value weights",
                                                     "FFY0/DefensiveKV",
                                                     "the authors' DefensiveKV",
                                                     {{"score", "attention, last window"},
                                                      {"aggregate", "worst_case_and_mean"},
                                                      {"group", "max"},
                                                      {"lift", "mean"},
                                                      {"protect", "mass"},
                                                      {"budget", "over_all"},
                                                      {"select", "top_k"},
                                                      {"store", "ragged"}}}),
  };
}
}  // namespace kvsieve::tool
