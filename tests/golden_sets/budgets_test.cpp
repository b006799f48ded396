// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Budgets that differ by layer or head: PyramidKV and AdaKV of kvpress, KVCache-Factory and their authors.
#include <kvsieve/budget/over_heads_mixed.hpp>
#include <kvsieve/budget/pyramid_floor.hpp>

#include "golden.hpp"

namespace {
using namespace kvsieve;

template <class C, class Params>
void agrees(std::string const& name, Params const& params_of) {
  for (int const layer : {0, 9, 21}) {
    int const list[] = {layer};
    golden::plan_of_layer<C> const p(layer, params_of(cs::span<int const>(list)));
    for (int head = 0; head < 3; ++head) {
      CAPTURE(name, layer, head);
      auto const want = golden::scores(name + "." + std::to_string(layer) + ".score", head);
      golden::check_scores(p.plan, head, want);
      golden::check_kept(p.plan, head, golden::kept(name, layer, head), want);
    }
  }
}
}  // namespace

TEST_CASE("pyramid_kv is kvpress's") {
  agrees<pyramid_kv<>>("pyramid_kv", [](cs::span<int const> layer) {
    return pyramid_kv<>::params{.score = {.window = 32},
                                .budget = {.beta = 5, .window = 32, .layers = 30, .layer = layer}};
  });
}

TEST_CASE("ada_kv is kvpress's AdaKV over SnapKV") {
  agrees<ada_kv<>>("ada_snap_kv", [](cs::span<int const>) { return ada_kv<>::params{}; });
}

TEST_CASE("a max-pooled window with whole steps is KVCache-Factory's PyramidKV") {
  using strategy = snap_kv<aggregate::sum, smooth::max, budget::pyramid_floor>;
  // The source took the three layers of the dump for the whole model.
  agrees<strategy>("kvcf_pyramidkv", [](cs::span<int const> layer) {
    static int number = 0;
    number = layer[0] == 0 ? 0 : layer[0] == 9 ? 1 : 2;
    return strategy::params{
        .score = {.window = 16},
        .smooth = {.kernel = 5},
        .budget = {.tokens = 180, .beta = 4, .window = 16, .layers = 3, .layer = cs::span<int const>(&number, 1)}};
  });
}

TEST_CASE("a max-pooled window with a mixed ranking is the AdaKV of its authors") {
  using strategy = ada_kv<smooth::max, budget::over_heads_mixed>;
  agrees<strategy>("adakv_original", [](cs::span<int const>) {
    return strategy::params{
        .score = {.window = 32}, .smooth = {.kernel = 7}, .budget = {.tokens = 224, .floor = 0.2, .as_source = true}};
  });
}
