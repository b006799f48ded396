// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers that arrive one by one, on emulated blocks: what host::cascade keeps of them, after each.
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/device/plan/cascade.hpp>
#include <kvsieve/host/cascade.hpp>

#include "emulated_plan.hpp"
#include "generators.hpp"
#include "scores.hpp"
#include "workspace.hpp"

namespace device_cascade_tests {
using namespace kvsieve_test;
using kvs::index;

namespace {
template <class Budget, int Threads>
void arrives(typename Budget::params p, kvs::select::top_k::params const& select, std::uint64_t seed) {
  int const heads = *rc::gen::inRange(1, 4), tokens = *rc::gen::inRange(20, 200);
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  kvs::host::on<> const inline_;
  emulated_device<Threads> const on{nullptr, seed};
  using there_type = kvs::device::cascade<Budget>;
  using here_type = kvs::host::cascade<Budget>;
  static_assert(std::is_trivially_copyable_v<there_type>);
  workspace_memory memory(there_type::state_bytes(p, select, heads, tokens));
  support::workspace host_memory(here_type::state_bytes(p, select, heads, tokens));
  there_type there(p, select, heads, tokens, memory.get());
  here_type here(p, select, heads, tokens, host_memory.span());
  RC_ASSERT(static_cast<bool>(there.state()));
  RC_ASSERT(static_cast<bool>(here.state()));
  RC_ASSERT(there.most_held() == here.most_held());
  kvs::scored_view const seen{tokens, {0, 3}, {}};
  index const first = 0;
  for (int l = 0; l < p.layers; ++l) {
    std::vector<float> row =
        support::draw_scores(random, 0, static_cast<std::size_t>(heads * kvs::score_stride(tokens)));
    for (float& x : row) x = x * x * static_cast<float>(1 + l % 3);
    double const measured[] = {1.0 + static_cast<double>(random() % 100), 0.1 + static_cast<double>(random() % 10)};
    kvs::token_scores scores;
    scores.shape = {1, heads, 0};
    scores.seen = &seen;
    scores.score = row.data();
    scores.score_offset = &first;
    scores.statistics = {measured, 2};
    workspace_memory room(there.workspace_bytes(on));
    auto const plan = there.add(on, scores, room.get());
    RC_ASSERT(static_cast<bool>(plan));
    RC_ASSERT(there.add(on, scores, room.get()).state.argument == std::string_view("layers"));  // it waits
    kvs::token_plan const counted = on_host(plan);
    support::workspace host_room(here.workspace_bytes(inline_));
    kvs::token_plan const want = here.add(inline_, scores, host_room.span());
    RC_ASSERT(static_cast<bool>(want));
    RC_ASSERT(counted.views == want.views);
    for (int v = 0; v < want.views; ++v)
      for (int h = 0; h < heads; ++h) RC_ASSERT(kept(counted, v, h) == kept(want, v, h));
    RC_ASSERT(static_cast<bool>(there.settle(on, counted)));
    RC_ASSERT(there.layers() == here.layers());
    for (int v = 0; v <= l; ++v) RC_ASSERT(there.tokens(v) == here.tokens(v));
  }
  RC_ASSERT(there.workspace_bytes(on).device == 0u);
  RC_ASSERT(!there.settle(on, kvs::token_plan{}));
}
}  // namespace

TEST_CASE("cascade on the device: layers keep what they keep on the host, after each that arrives", "[device]") {
  constexpr int rounds = race_check ? 2 : 30;
  CHECK(support::holds("device cascade, entropy_variance", rounds, [] {
    arrives<kvs::budget::entropy_variance, 32>({.tokens = *rc::gen::inRange(10, 60), .layers = 5}, {.sink = 1}, 3);
  }));
  CHECK(support::holds("device cascade, layer_scores", rounds, [] {
    arrives<kvs::budget::layer_scores, 64>({.tokens = *rc::gen::inRange(10, 60), .layers = 4}, {}, 5);
  }));
}
}  // namespace device_cascade_tests
