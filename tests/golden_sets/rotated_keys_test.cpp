// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/host/rotate_keys.hpp>

#include "golden.hpp"

TEST_CASE("rotate_to_slots: keys are kvpress's") {
  auto const inputs = golden::read_layer(9);
  auto const kept = golden::read_table("rotated_keys.safetensors", "kept");
  auto const want = golden::read_table("rotated_keys.safetensors", "keys");
  auto const all = golden::rows_of(inputs.keys);
  std::vector<int> list;
  std::vector<float> rows;
  for (float const t : kept.number) {
    list.push_back(static_cast<int>(t));
    for (int d = 0; d < golden::head_dim; ++d) rows.push_back(all(1, list.back(), d));
  }
  int const tokens = golden::tokens;
  kvsieve::index const offset[] = {0, static_cast<kvsieve::index>(list.size())};
  kvsieve::token_plan plan;
  plan.views = plan.heads = 1;
  plan.logical_tokens = &tokens;
  plan.offset = offset;
  plan.list = list.data();
  auto const view = kvsieve::make_rows<golden::head_dim>(rows.data(), 1, offset[1]);
  REQUIRE(kvsieve::rotate_to_slots(kvsieve::host::on{}, plan, kvsieve::cs::span<decltype(view) const>(&view, 1),
                                   {.base = 100000}));
  // The source forms angles in float, which leaves its keys up to 2e-4 from a rotation in double.
  double worst = 0;
  for (std::size_t i = 0; i < rows.size(); ++i)
    worst = std::max(worst, std::abs(double{rows[i]} - double{want.number[i]}));
  CHECK(worst <= 2e-4);
}
