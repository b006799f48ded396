// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Methods that read what few dumps hold: the output projection; hidden states and what learned from them.
#include "preset.hpp"

namespace kvsieve::tool {
std::vector<strategy> table_presets() {
  std::vector<std::pair<std::string, std::string>> const critical{
      {"score", "attention, last window"}, {"aggregate", "mean"}, {"group", "mean"},
      {"weigh", "projected_value"},        {"smooth", "average"}, {"select", "two_stage"}};
  std::vector<std::pair<std::string, std::string>> const defensive{{"score", "attention, last window"},
                                                                   {"aggregate", "worst_case_and_mean"},
                                                                   {"group", "max"},
                                                                   {"lift", "mean"},
                                                                   {"weigh", "projected_value, share"},
                                                                   {"protect", "mass"},
                                                                   {"select", "top_k"},
                                                                   {"store", "ragged"}};
  auto const with = [](std::vector<std::pair<std::string, std::string>> stages,
                       std::initializer_list<std::pair<std::string, std::string>> more) {
    stages.insert(stages.end(), more);
    return stages;
  };
  return {
      make_strategy<critical_kv<>>({"critical_kv", "CriticalKV over SnapKV", "arXiv 2502.03805", "kvpress 0.5.5",
                                    with(critical, {{"budget", "uniform"}})}),
      make_strategy<critical_ada_kv<>>({"critical_ada_kv", "CriticalAdaKV over SnapKV", "arXiv 2502.03805",
                                        "kvpress 0.5.5",
                                        with(critical, {{"budget", "over_heads"}, {"store", "ragged"}})}),
      make_strategy<defensive_kv<>>({"defensive_kv", "DefensiveKV", "FFY0/DefensiveKV", "the authors' DefensiveKV",
                                     with(defensive, {{"budget", "over_heads"}})}),
      make_strategy<layer_defensive_kv<>>({"layer_defensive_kv", "Layer-DefensiveKV", "FFY0/DefensiveKV",
                                           "the authors' DefensiveKV", with(defensive, {{"budget", "over_all"}})}),
      make_strategy<kv_zap_linear<>>({"kv_zap_linear",
                                      "KVzap, linear",
                                      "kvpress",
                                      "our definition in reference/",
                                      {{"score", "kv_zap_linear"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<kv_zap<>>({"kv_zap",
                               "KVzap",
                               "kvpress",
                               "our definition in reference/",
                               {{"score", "kv_zap"}, {"budget", "uniform"}, {"select", "top_k"}}}),
      make_strategy<kv_zap_threshold<>>(
          {"kv_zap_threshold",
           "KVzap behind a window",
           "kvpress",
           "our definition in reference/",
           {{"score", "kv_zap"}, {"budget", "uniform"}, {"select", "threshold"}, {"store", "ragged"}}}),
      make_strategy<fast_kv_zip<>>(
          {"fast_kv_zip",
           "Fast KVzip",
           "kvpress",
           "our definition in reference/",
           {{"score", "gate"}, {"budget", "over_all"}, {"select", "top_k"}, {"store", "ragged"}}}),
  };
}
}  // namespace kvsieve::tool
