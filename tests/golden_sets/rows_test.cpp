// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores of rows and weights by values that NVIDIA kvpress computed: CurDKV, and CriticalKV's weight over SnapKV.
#include <kvsieve/score/cur.hpp>
#include <kvsieve/weigh/projected_value.hpp>

#include "golden.hpp"

namespace {
using namespace kvsieve;

std::vector<float> tensor_of(std::string const& name) {
  tool::input_file file;
  tool::safetensors::contents contents;
  REQUIRE(!file.open(std::filesystem::path(KVSIEVE_GOLDEN_DIR) / "rows.safetensors"));
  REQUIRE(!tool::safetensors::read_contents(file, contents));
  auto const* const entry = contents.find(name);
  INFO(name);
  REQUIRE(entry != nullptr);
  std::shared_ptr<std::byte const> bytes;
  REQUIRE(!tool::safetensors::read_tensor(file, contents, *entry, bytes));
  auto const* const first = reinterpret_cast<float const*>(bytes.get());
  return {first, first + entry->shape[0] * entry->shape[1]};
}
std::vector<float> row_of_head(std::vector<float> const& all, int head) {
  auto const first = all.begin() + head * golden::tokens;
  return {first, first + golden::tokens};
}
}  // namespace

TEST_CASE("cur is kvpress's") {
  std::ifstream file(std::filesystem::path(KVSIEVE_GOLDEN_DIR) / "rows_kept.json");
  auto const sets = nlohmann::json::parse(file);
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<compressor<score::cur<>>> const p(layer, {});
    auto const scores = tensor_of("cur." + std::to_string(layer) + ".score");
    for (int head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      auto const want = row_of_head(scores, head);
      golden::check_scores(p.plan, head, want);
      auto const kept =
          sets["cur"]["kept"][std::to_string(layer)][static_cast<std::size_t>(head)].get<std::vector<int>>();
      golden::check_kept(p.plan, head, kept, want);
    }
  }
}

TEST_CASE("SnapKV's scores times the L1 norm of projected values are kvpress's CriticalKV") {
  using critical = snap_kv<weigh::projected_value<>>;
  auto const output = tensor_of("criticalkv.wo");
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<critical> const p(
        layer, {.score = {.window = 32},
                .weigh = {.output = {output.data(), output.size()}, .query_heads = 9, .hidden = 96, .epsilon = 1e-4f},
                .smooth = {.kernel = 5}});
    auto const scores = tensor_of("criticalkv." + std::to_string(layer) + ".score");
    for (int head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      auto const want = row_of_head(scores, head);
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
