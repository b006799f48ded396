// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Schedules on emulated blocks: caches that evict while a model generates, and prompts that come in chunks, step by
// step as on the host.
#include <kvsieve/device/attend/attend.hpp>
#include <kvsieve/device/plan/online.hpp>
#include <kvsieve/online.hpp>

#include "combinations.hpp"
#include "emulated_plan.hpp"
#include "generators.hpp"
#include "workspace.hpp"

namespace online_tests {
using namespace kvsieve_test;
using kvs::index;

namespace {
constexpr int D = 64;
kvs::host::on<> const inline_;

template <class T>
kvs::cs::span<T const> one(T const& x) {
  return {&x, 1};
}
template <class T>
kvs::cs::span<T const> all(std::vector<T> const& x) {
  return {x.data(), x.size()};
}
template <class T>
kvs::cs::span<T> each(std::vector<T>& x) {
  return {x.data(), x.size()};
}

/// Layers that generate, with what is remembered of them.
template <class A>
struct generating {
  int heads, group, room;
  std::vector<cache<float, D>> rows;
  std::vector<std::vector<float>> memory;
  std::vector<kvs::observed_state<A>> states;
  std::vector<int> entries;

  generating(int layers, int kv_heads, int of_group, int with_room)
      : heads(kv_heads), group(of_group), room(with_room) {
    int const of_state = kvs::folds_groups<A> ? heads : heads * group;
    for (int l = 0; l < layers; ++l) {
      rows.emplace_back(heads, room, 1u);
      memory.emplace_back(static_cast<std::size_t>(kvs::observed_state<A>::floats(of_state, room)));
      states.push_back(kvs::make_observed_state<A>(memory.back().data(), of_state, room, {}));
      entries.push_back(0);
    }
    for (std::size_t l = 0; l < memory.size(); ++l) states[l].data = memory[l].data();
  }
  [[nodiscard]] auto layers() {
    auto const layer = [&](std::size_t l) {
      auto const view = [&](tensor<float, D>& t) {
        return kvs::make_rows<D>(t.data(), heads, entries[l], index{room} * D, index{D});
      };
      return kvs::kv_layer{view(rows[l].keys), view(rows[l].values)};
    };
    std::vector v{layer(0)};
    for (std::size_t l = 1; l < rows.size(); ++l) v.push_back(layer(l));
    return v;
  }
  /// A new token in every layer; queries to come with it.
  std::vector<tensor<float, D>> grow(unsigned seed) {
    std::vector<tensor<float, D>> queries;
    for (std::size_t l = 0; l < rows.size(); ++l) {
      cache<float, D> const fresh(heads, 1, seed + 77 * static_cast<unsigned>(l));
      for (int h = 0; h < heads; ++h)
        for (int d = 0; d < D; ++d) {
          rows[l].keys.at(h, entries[l], d) = const_cast<cache<float, D>&>(fresh).keys.at(h, 0, d);
          rows[l].values.at(h, entries[l], d) = const_cast<cache<float, D>&>(fresh).values.at(h, 0, d);
        }
      ++entries[l];
      queries.emplace_back(heads * group, 1, seed + 5000 + static_cast<unsigned>(l));
    }
    return queries;
  }
};

/// Both generate and evict by a schedule; they keep the same entries, and what they remember is as far apart as sums
/// are rounded.
template <class C, int Threads>
void steps_agree(typename C::params params, int tokens, int every, int steps, std::uint64_t seed) {
  CAPTURE(Threads, tokens, every, seed);
  using A = typename C::aggregate_policy;
  kvs::eviction_schedule const schedule{tokens, every};
  params.budget.tokens = tokens;
  generating<A> on_device(2, 2, 3, static_cast<int>(schedule.room())), on_host_side(on_device);
  for (std::size_t l = 0; l < 2; ++l) on_host_side.states[l].data = on_host_side.memory[l].data();
  std::vector<int> counter(2, 0);
  for (std::size_t l = 0; l < 2; ++l) on_device.states[l].counter = &counter[l];
  emulated_device<Threads> const on{nullptr, seed};
  using device_type = emulated_device<Threads>;
  int evictions = 0;
  for (int step = 1; step <= steps; ++step) {
    auto const drawn = on_device.grow(static_cast<unsigned>(seed * 1000) + static_cast<unsigned>(step));
    (void)on_host_side.grow(static_cast<unsigned>(seed * 1000) + static_cast<unsigned>(step));
    std::vector<kvs::rows<float, D>> queries;
    for (auto const& q : drawn) queries.push_back(const_cast<tensor<float, D>&>(q).view());
    std::vector<std::vector<float>> out(4, std::vector<float>(6 * D));
    std::vector<kvs::rows<float, D>> to, want;
    for (std::size_t l = 0; l < 2; ++l) {
      to.push_back(kvs::make_rows<D>(out[l].data(), 6, 1));
      want.push_back(kvs::make_rows<D>(out[2 + l].data(), 6, 1));
    }
    auto const layers = on_device.layers(), host_layers = on_host_side.layers();
    using layer = typename decltype(on_device.layers())::value_type;
    kvs::device::attention<device_type, kvs::rows<float, D>, layer, A> const call(on, all(queries), all(layers));
    support::workspace scratch(call.bytes());
    REQUIRE(call.run_observed(all(to), {}, each(on_device.states), params.aggregate, scratch.span()));
    support::workspace more(kvs::attend_observed_workspace_bytes<A>(inline_, all(queries), all(host_layers)));
    REQUIRE(kvs::attend_observed<A>(inline_, all(queries), all(host_layers), all(want), each(on_host_side.states),
                                    params.aggregate, more.span()));
    for (std::size_t i = 0; i < out[0].size(); ++i) REQUIRE(std::abs(out[0][i] - out[2][i]) <= 2e-5f);
    if (!schedule.due(on_device.entries[0], step)) continue;
    ++evictions;
    kvs::device::observed_planning<C, device_type> const planning(on, all(on_device.states), all(on_device.entries), 2,
                                                                  params);
    workspace_memory memory(planning.bytes());
    kvs::token_plan const plan = planning.run(memory.get());
    char line[200];
    INFO(plan.state.message(line));
    REQUIRE(plan);
    support::workspace host_memory(
        kvs::plan_observed_workspace_bytes<C>(inline_, all(on_host_side.states), all(on_host_side.entries), 2, params));
    kvs::token_plan const expected = kvs::plan_observed<C>(inline_, all(on_host_side.states), all(on_host_side.entries),
                                                           2, params, host_memory.span());
    REQUIRE(expected);
    CHECK(plan.uniformity_class == expected.uniformity_class);
    for (int v = 0; v < 2; ++v)
      for (int h = 0; h < 2; ++h) {
        REQUIRE(kept(plan, v, h) == kept(expected, v, h));
        REQUIRE(near(scores(plan, v, h), scores(expected, v, h), 1e-4, 1e-3));
      }
    REQUIRE(kvs::device::move_kept_and_observed(on, plan, all(layers), all(on_device.states), params.aggregate));
    REQUIRE(kvs::apply_observed(inline_, expected, all(host_layers), all(on_host_side.states), params.aggregate));
    for (std::size_t l = 0; l < 2; ++l) {
      on_device.entries[l] = plan.count(static_cast<int>(l));
      on_host_side.entries[l] = expected.count(static_cast<int>(l));
      REQUIRE(on_device.entries[l] == tokens);
      for (int h = 0; h < 2; ++h)  // the same rows, bit for bit
        for (int t = 0; t < tokens; ++t)
          REQUIRE(std::memcmp(&on_device.rows[l].keys.at(h, t, 0), &on_host_side.rows[l].keys.at(h, t, 0),
                              D * sizeof(float)) == 0);
      REQUIRE(counter[l] == on_host_side.states[l].queries);
      // Columns behind the kept ones are new.
      auto const& s = on_device.states[l];
      auto const& h = on_host_side.states[l];
      for (int q = 0; q < s.heads; ++q)
        for (index e = tokens; e < s.capacity; ++e) REQUIRE(s.row(q, A::states)[e] == h.row(q, A::states)[e]);
    }
  }
  CHECK(evictions > 1);
}
}  // namespace

TEST_CASE("online on the device: H2O, TOVA, RoCo and LazyEviction keep what they keep on the host", "[device]") {
  steps_agree<kvs::online::h2o<>, 32>({}, 24, 3, race_check ? 32 : 60, 1);
  if (race_check) return;
  steps_agree<kvs::online::tova<>, 64>({.select = {.recent = 1}}, 20, 1, 40, 2);
  steps_agree<kvs::online::roco<>, 32>({.select = {.first = 0.3, .recent = 2}}, 24, 4, 60, 3);
  if constexpr (support::all_combinations)
    steps_agree<kvs::online::lazy_eviction<>, 128>(
        {.aggregate = {.threshold = 0.03f}, .select = {.sink = 1, .recent = 3}}, 18, 5, 50, 4);
}

TEST_CASE("prompts in chunks on the device: a bounded cache keeps what it keeps on the host", "[device]") {
  using strategy = kvs::snap_kv<>;
  constexpr int heads = 2, chunk = 40, tokens = 64, room = tokens + chunk;
  cache<float, D> got(heads, room, 31), want = got;
  strategy::params const p{.score = {.window = 8}, .budget = {.tokens = tokens}, .select = {.sink = 4, .recent = 8}};
  int held = 0;
  for (unsigned c = 0; c < 5; ++c) {
    CAPTURE(c);
    cache<float, D> fresh(heads, chunk, 100 + c);
    tensor<float, D> queries(4, 8, 200 + c);
    for (cache<float, D>* const to : {&got, &want})
      for (int h = 0; h < heads; ++h)
        for (int t = 0; t < chunk; ++t)
          for (int d = 0; d < D; ++d) {
            to->keys.at(h, held + t, d) = fresh.keys.at(h, t, d);
            to->values.at(h, held + t, d) = fresh.values.at(h, t, d);
          }
    held += chunk;
    auto const layer = [&](cache<float, D>& from) {
      auto const view = [&](tensor<float, D>& t) { return kvs::make_rows<D>(t.data(), heads, held, room * D, D); };
      return kvs::kv_layer{view(from.keys), view(from.values)};
    };
    std::vector const layers{layer(got)}, host_layers{layer(want)};
    std::vector const asked{queries.view()};
    auto const made = emulated_plan<strategy, 64>(layers, p, asked);
    support::workspace memory(kvs::workspace_bytes<strategy>(inline_, host_layers[0], asked[0], p));
    auto const expected = kvs::plan<strategy>(inline_, host_layers[0], asked[0], p, memory.span());
    REQUIRE(expected);
    for (int h = 0; h < heads; ++h) REQUIRE(kept(made.plan, 0, h) == kept(expected, 0, h));
    REQUIRE(kvs::device::move_kept<strategy>(emulated_device<64>{}, made.plan, all(layers)));
    REQUIRE(kvs::apply<strategy>(inline_, expected, all(host_layers)));
    held = made.plan.count();
    CHECK(held == (c == 0 ? chunk : tokens));
    for (int h = 0; h < heads; ++h)
      for (int t = 0; t < held; ++t)
        REQUIRE(std::memcmp(&got.values.at(h, t, 0), &want.values.at(h, t, 0), D * sizeof(float)) == 0);
  }
}

TEST_CASE("online on the device: what it refuses, and then nothing is launched", "[device]") {
  using C = kvs::online::roco<>;
  using A = C::aggregate_policy;
  int launches = 0;
  emulated_device<64> const on{&launches};
  std::vector<float> memory(static_cast<std::size_t>(kvs::observed_state<A>::floats(2, 32)), 0.25f);
  std::vector<kvs::observed_state<A>> states{{memory.data(), 32, 2, 5}};
  std::vector<int> entries{20};
  C::params const params{.budget = {.tokens = 8}};
  auto const argument = [&](int heads) {
    kvs::device::observed_planning<C, emulated_device<64>> const call(on, all(states), all(entries), heads, params);
    CHECK(call.bytes().device == 0);
    return std::string(call.run({}).state.argument);
  };
  CHECK(argument(1) == "state.heads");
  entries[0] = 33;
  CHECK(argument(2) == "entries");
  entries[0] = 20;
  states[0].queries = 0;
  CHECK(argument(2) == "state.queries");
  CHECK(launches == 0);
}
}  // namespace online_tests
