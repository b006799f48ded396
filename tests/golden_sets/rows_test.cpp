// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores of rows and weights by values that NVIDIA kvpress computed: CurDKV, and CriticalKV's weight over SnapKV.
#include <kvsieve/score/cur.hpp>
#include <kvsieve/weigh/projected_value.hpp>

#include "golden.hpp"

using namespace kvsieve;

namespace {
constexpr char const* file = "rows.safetensors";
}  // namespace

TEST_CASE("cur is kvpress's") {
  auto const sets = golden::read_json("rows_kept.json");
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<compressor<score::cur<>>> const p(layer, {});
    auto const scores = golden::read_table(file, "cur." + std::to_string(layer) + ".score");
    for (int head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      auto const want = scores.row(head);
      golden::check_scores(p.plan, head, want);
      auto const kept =
          sets["cur"]["kept"][std::to_string(layer)][static_cast<std::size_t>(head)].get<std::vector<int>>();
      golden::check_kept(p.plan, head, kept, want);
    }
  }
}

TEST_CASE("SnapKV's scores times the L1 norm of projected values are kvpress's CriticalKV") {
  using critical = snap_kv<weigh::projected_value<>>;
  auto const output = golden::read_table(file, "criticalkv.wo").number;
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<critical> const p(
        layer, {.score = {.window = 32},
                .weigh = {.output = {output.data(), output.size()}, .query_heads = 9, .hidden = 96, .epsilon = 1e-4f},
                .smooth = {.kernel = 5}});
    auto const scores = golden::read_table(file, "criticalkv." + std::to_string(layer) + ".score");
    for (int head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      auto const want = scores.row(head);
      int compared = 0, differing = 0;
      for (std::size_t t = 0; t + 32 < want.size(); ++t) {
        if (want[t] > 1e30f) continue;  // what stays by attention alone, CriticalKV's first stage
        ++compared;
        if (!(std::abs(p.plan.scores(0, head)[t] - want[t]) <= 1e-4f * std::abs(want[t]))) ++differing;
      }
      CHECK(differing == 0);
      CHECK(compared > golden::tokens / 2);
    }
  }
}
