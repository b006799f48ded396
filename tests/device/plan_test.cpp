// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a plan on the device refuses, how it lays out its memory, and how many launches it makes.
#include "emulated_plan.hpp"

#include <kvsieve/reference/top_k.hpp>

using namespace kvsieve_test;

namespace {
using layer_type = decltype(std::declval<cache<float, 64>&>().layer());
using queries_type = kvs::rows<float, 64>;

/// Status and argument of a plan for which nothing may be launched.
template <class C, class Queries = kvs::device::no_queries>
std::string refusal(std::vector<layer_type> const& layers, typename C::params const& p,
                    std::vector<Queries> const& queries = {}, std::size_t less_device = 0, std::size_t less_host = 0) {
  int launches = 0;
  emulated_device<32> const on{&launches};
  kvs::device::planner<C, emulated_device<32>, layer_type, Queries> planner(on, {layers.data(), layers.size()},
                                                                            {queries.data(), queries.size()}, p);
  workspace_memory memory({1 << 20, 1 << 16});
  auto w = memory.get();
  if (less_device != 0) w.device = w.device.first(planner.bytes().device - less_device);
  if (less_host != 0) w.host = w.host.first(planner.bytes().host - less_host);
  kvs::token_plan const plan = planner.run(w);
  CHECK_FALSE(plan);
  CHECK(launches == 0);
  char line[200];
  return std::string(plan.state.message(line));
}
}  // namespace

TEST_CASE("device plan: bad input is refused before anything is launched", "[device][plan]") {
  cache<float, 64> a(2, 40), b(3, 40);
  std::vector const one{a.layer()};
  using kd = kvs::key_diff<>;
  CHECK(refusal<kd>({}, {}) == "layers is 0, must be at least 1");
  CHECK(refusal<kd>({a.layer(), b.layer()}, {}) == "view 1: keys.heads is 3, must equal that of the first view, 2");
  CHECK(refusal<kd>(one, {.budget = {.keep = 1.5}}) == "budget.keep is 1.5, must be at most 1");
  CHECK(refusal<kd>(one, {.budget = {.keep = not_a_number}}) == "budget.keep is nan, must be at least 0");
  CHECK(refusal<kd>(one, {.select = {.sink = -1}}) == "select.sink is -1, must be at least 0");
  CHECK(refusal<kvs::lag_kv<>>(one, {.score = {.lag = 0}}) == "score.lag is 0, must be at least 1");
  CHECK(refusal<kd>(one, {}, {}, 1).starts_with("workspace.device is "));
  CHECK(refusal<kd>(one, {}, {}, 0, 1).starts_with("workspace.host is "));

  layer_type cut = a.layer();
  cut.values = kvs::make_rows<64>(a.values.data(), 2, 39);
  CHECK(refusal<kd>({cut}, {}) == "view 0: values.tokens is 39, must equal that of the keys, 40");
  layer_type empty{kvs::make_rows<64>(a.keys.data(), 2, 0), kvs::make_rows<64>(a.values.data(), 2, 0)};
  CHECK(refusal<kd>({empty}, {}) == "view 0: keys.tokens is 0, must be at least 1");
  layer_type off = a.layer();
  off.keys = kvs::make_rows<64>(a.keys.data() + 1, 2, 40);
  CHECK(refusal<kd>({off}, {}) == "view 0: keys is 4, bytes past the alignment that kernels need, 16");
  off.keys = kvs::make_rows<64>(static_cast<float*>(nullptr), 2, 40);
  CHECK(refusal<kd>({off}, {}).starts_with("view 0: keys is 0, must not be null"));

  tensor<float, 64> q(4, 8, 1), odd(3, 8, 1);
  using snap = kvs::snap_kv<>;
  std::vector<queries_type> const queries{q.view()}, wrong{odd.view()};
  CHECK(refusal<snap>(one, {.score = {.window = 8}}, wrong) ==
        "view 0: queries.heads is 3, must be a multiple of the KV heads, 2");
  CHECK(refusal<snap>(one, {.score = {.window = 9}}, queries) ==
        "view 0: queries.tokens is 8, must be at least the observed queries, 9");
  CHECK(refusal<snap>(one, {.score = {.window = 41}}, queries) ==
        "view 0: score.window is 41, must be at most the number of tokens, 40");
  CHECK(refusal<snap>(one, {.score = {.window = 8}, .smooth = {.kernel = 4}}, queries)
            .starts_with("smooth.kernel is 4, must be odd"));
  CHECK(refusal<snap>({a.layer(), a.layer()}, {.score = {.window = 8}}, queries) ==
        "queries is 1, must equal the number of views, 2");
}

TEST_CASE("device plan: compaction into the wrong place is refused", "[device][plan]") {
  cache<float, 64> c(2, 40), small(2, 9), other(3, 20);
  std::vector const layers{c.layer()};
  auto const made = emulated_plan<kvs::key_norm<>, 32>(layers, {.budget = {.tokens = 10}});
  int launches = 0;
  emulated_device<32> const on{&launches};
  auto const group = [](layer_type const& l) { return kvs::kv_group<layer_type>(&l, 1); };
  auto const copy = [&](layer_type const& to) {
    return kvs::device::copy_kept<kvs::key_norm<>>(on, made.plan, group(layers[0]), group(to));
  };
  CHECK(copy(small.layer()).code == kvs::errc::bad_shape);
  CHECK(copy(other.layer()).code == kvs::errc::bad_shape);
  CHECK(copy(c.layer()).code == kvs::errc::overlap);
  CHECK(kvs::device::move_kept<kvs::key_norm<>>(on, made.plan, group(small.layer())).code == kvs::errc::bad_plan);
  CHECK(kvs::device::move_kept<kvs::key_norm<>>(on, kvs::token_plan{kvs::fail(kvs::errc::bad_params, "", 0, "", 0)},
                                                group(layers[0]))
            .code == kvs::errc::bad_plan);
  CHECK(launches == 0);
}

TEST_CASE("device plan: a budget under the forced tokens is noted, and filled by them", "[device][plan]") {
  cache<float, 64> c(1, 50);
  std::vector const layers{c.layer()};
  auto const made =
      emulated_plan<kvs::key_norm<>, 32>(layers, {.budget = {.tokens = 6}, .select = {.sink = 4, .recent = 8}});
  CHECK(made.plan.note.argument == std::string_view("budget"));
  CHECK(made.plan.note.got == 6);
  CHECK(made.plan.note.expected == 12);
  CHECK(kept(made.plan, 0, 0) == std::vector{0, 1, 2, 3, 48, 49});
  auto const enough =
      emulated_plan<kvs::key_norm<>, 32>(layers, {.budget = {.tokens = 12}, .select = {.sink = 4, .recent = 8}});
  CHECK(enough.plan.note);
}

TEST_CASE("device plan: half of H2O's budget goes to recent tokens", "[device][plan]") {
  cache<float, 64> c(1, 40);
  std::vector const layers{c.layer()};
  using half_recent = kvs::key_norm<kvs::select::heavy_hitters>;
  auto const made = emulated_plan<half_recent, 32>(layers, {.budget = {.tokens = 10}});
  auto const list = kept(made.plan, 0, 0);
  CHECK(list == kvs::reference::top_k(scores(made.plan, 0, 0), 10, {.recent = 5}));
}

TEST_CASE("device plan: more views than a launch holds, each of its own length", "[device][plan]") {
  constexpr int views = 40;
  std::vector<cache<float, 64>> caches;
  for (int v = 0; v < views; ++v) caches.emplace_back(2, 3 + v % 7, static_cast<unsigned>(v));
  std::vector<layer_type> layers;
  for (auto& c : caches) layers.push_back(c.layer());
  int launches = 0;
  emulated_device<32> const on{&launches};
  kvs::key_diff<>::params const p{.budget = {.keep = 0.5}};
  kvs::device::planner<kvs::key_diff<>, emulated_device<32>, layer_type, kvs::device::no_queries> planner(
      on, {layers.data(), views}, {}, p);
  workspace_memory memory(planner.bytes());
  kvs::token_plan const plan = planner.run(memory.get());
  REQUIRE(plan);
  CHECK(launches == 8);  // two batches of: sum, join, map, select
  for (int v = 0; v < views; ++v) {
    CHECK(plan.tokens(v) == 3 + v % 7);
    auto const alone = emulated_plan<kvs::key_diff<>, 32>(std::vector{layers[static_cast<std::size_t>(v)]}, p);
    for (int h = 0; h < 2; ++h) {
      CHECK(plan.count(v, h) == (3 + v % 7) / 2);
      CHECK(scores(plan, v, h) == scores(alone.plan, 0, h));
      CHECK(kept(plan, v, h) == kept(alone.plan, 0, h));
    }
  }
}

TEST_CASE("device plan: the block size does not change what is kept", "[device][plan]") {
  cache<kvs::bf16, 64> c(2, 150);
  tensor<kvs::bf16, 64> q(4, 6, 3);
  std::vector const layers{c.layer()};
  std::vector const queries{q.view()};
  kvs::snap_kv<>::params const p{.score = {.window = 6}, .budget = {.tokens = 50}};
  auto const a = emulated_plan<kvs::snap_kv<>, 32>(layers, p, queries);
  auto const b = emulated_plan<kvs::snap_kv<>, 128>(layers, p, queries);
  for (int h = 0; h < 2; ++h) CHECK(kept(a.plan, 0, h) == kept(b.plan, 0, h));
}
