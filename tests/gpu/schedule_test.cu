// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What stays on the device, on a real GPU: a plan divided into levels and read by attention as one CUDA graph, and what
// goes on while a model generates. Results are the host's, up to rounding.
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/device/divide.cuh>
#include <kvsieve/device/online.cuh>
#include <kvsieve/device/score_tokens.cuh>
#include <kvsieve/device/steps.cuh>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/host/step_d2o.hpp>
#include <kvsieve/online.hpp>

#include "plan.hpp"

using namespace kvsieve_test;

namespace {
constexpr int D = 64;
using kvs::index;
using cache = grouped_cache<float, D>;
kvs::host::on<> const inline_;

template <class T>
kvs::cs::span<T const> one(T const& x) {
  return {&x, 1};
}
/// The largest distance, with a message of where it is.
double apart(std::vector<float> const& a, std::vector<float> const& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return most;
}
std::vector<host_line> lines(std::size_t bytes) { return std::vector<host_line>(bytes / 64 + 1); }
std::span<std::byte> bytes_of(std::vector<host_line>& of) {
  return {reinterpret_cast<std::byte*>(of.data()), of.size() * 64};
}

template <class Codec>
struct level {
  buffer keys, values;
  explicit level(index rows)
      : keys(static_cast<std::size_t>(kvs::encoded_bytes<Codec, D>(rows)) + 64),
        values(static_cast<std::size_t>(kvs::encoded_bytes<Codec, D>(rows)) + 64) {}
  auto layer(kvs::device::open_plan const& plan) const {
    auto const rows = [&](buffer const& of) {
      return kvs::make_encoded_ragged<Codec, D>(of.as<kvs::byte>(), plan.heads, plan.offsets(), plan.most());
    };
    return kvs::kv_layer{rows(keys), rows(values)};
  }
};

/// Captured once, replayed: the graph plans, divides, encodes and attends, and no call in it waited for the device.
void levels_captured(int tokens) {
  CAPTURE(tokens);
  using six = kvs::encode::rotated<kvs::encode::bits<6>>;
  using three = kvs::encode::rotated<kvs::encode::bits<3>>;
  using strategy = kvs::key_norm<kvs::budget::over_all, kvs::store::ragged>;
  cache const c(2, 2, {tokens}, 3);
  stream s;
  kvs::device::on const on{s.handle};
  auto const from = c.on_device();
  strategy::params const p{.budget = {.keep = 0.25}};
  auto const size = kvs::workspace_bytes<strategy>(on, from[0], p);
  buffer const memory(size.device);
  std::vector<std::byte> here(size.host);
  std::vector<index> const entries{tokens / 8, tokens};
  tensor<float, D> query(4, 1, 9);
  query.upload();
  buffer const result(4 * D * sizeof(float));
  auto const out = kvs::make_rows<D>(result.as<float>(), 4, 1);
  kvs::device::open_plan plan, parts[2];
  kvs::cs::span<kvs::device::open_plan> const both(parts, 2);
  std::unique_ptr<buffer> divided, scratch;
  std::vector<std::byte> divided_here;
  std::unique_ptr<level<six>> first;
  std::unique_ptr<level<three>> second;

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t run = nullptr;
  // Memory is made before the capture; sizes follow from shapes, as an uncaptured plan tells.
  plan = kvs::plan<strategy>(on, from[0], p, workspace_of(memory, here));
  REQUIRE(plan);
  auto const more = kvs::store::divide_by_score_workspace_bytes(on, plan, 2);
  divided = std::make_unique<buffer>(more.device);
  divided_here.resize(more.host);
  kvs::cs::span<index const> const numbers(entries.data(), 2);
  REQUIRE(kvs::store::divide_by_score(on, plan, numbers, workspace_of(*divided, divided_here), both));
  first = std::make_unique<level<six>>(parts[0].rows);
  second = std::make_unique<level<three>>(parts[1].rows);
  auto const layer = kvs::make_parts(first->layer(parts[0]), second->layer(parts[1]));
  scratch = std::make_unique<buffer>(kvs::attend_workspace_bytes(on, query.on_device(), layer));
  s.wait();
  REQUIRE(cudaStreamBeginCapture(s.handle, cudaStreamCaptureModeGlobal) == cudaSuccess);
  plan = kvs::plan<strategy>(on, from[0], p, workspace_of(memory, here));
  kvs::status done = plan.state;
  if (done) done = kvs::store::divide_by_score(on, plan, numbers, workspace_of(*divided, divided_here), both);
  if (done) done = kvs::apply<strategy>(on, parts[0], from[0], first->layer(parts[0]));
  if (done) done = kvs::apply<strategy>(on, parts[1], from[0], second->layer(parts[1]));
  if (done) done = kvs::attend(on, query.on_device(), layer, out, scratch->bytes());
  REQUIRE(cudaStreamEndCapture(s.handle, &graph) == cudaSuccess);
  char line[200];
  INFO(done.message(line));
  REQUIRE(done);
  REQUIRE(cudaGraphInstantiate(&run, graph, 0) == cudaSuccess);
  for (int i = 0; i < 2; ++i) REQUIRE(cudaGraphLaunch(run, s.handle) == cudaSuccess);
  s.wait();

  // The host's division of the device's scores, its bytes and its attention.
  std::vector<index> offset(static_cast<std::size_t>(plan.entries()));
  kvs::token_plan counted = kvs::copy_offsets(on, plan, offset);
  s.wait();
  auto const list = fetch(plan.list, static_cast<std::size_t>(offset.back()));
  auto const score = fetch(plan.score, static_cast<std::size_t>(2 * kvs::score_stride(tokens)));
  counted.list = list.data();
  counted.score = score.data();
  kvs::token_plan want[2];
  auto room = lines(kvs::store::divide_by_score_workspace_bytes(counted, 2));
  REQUIRE(kvs::store::divide_by_score(counted, numbers, bytes_of(room), kvs::cs::span<kvs::token_plan>(want, 2)));
  auto const mine = c.on_host();
  auto const encoded = [&]<class Codec>(Codec, kvs::token_plan const& part, std::vector<kvs::byte>& k,
                                        std::vector<kvs::byte>& v) {
    k.resize(static_cast<std::size_t>(kvs::encoded_bytes<Codec, D>(part.offset[2])) + 1);
    v.resize(k.size());
    kvs::kv_layer const to{kvs::make_encoded_ragged<Codec, D>(k.data(), 2, part.offset),
                           kvs::make_encoded_ragged<Codec, D>(v.data(), 2, part.offset)};
    REQUIRE(kvs::apply<strategy>(inline_, part, mine[0], to));
    return to;
  };
  std::vector<kvs::byte> memory_of[4];
  auto const expected = kvs::make_parts(encoded(six{}, want[0], memory_of[0], memory_of[1]),
                                        encoded(three{}, want[1], memory_of[2], memory_of[3]));
  for (int i = 0; i < 2; ++i) {
    auto const there = fetch(parts[i].offset, 3);
    for (std::size_t h = 0; h < 3; ++h) CHECK(there[h] == want[i].offset[h]);
    auto const kept = fetch(parts[i].list, static_cast<std::size_t>(there[2]));
    CHECK(std::equal(kept.begin(), kept.end(), want[i].list));
  }
  std::vector<float> reference(4 * D);
  auto scratch_here = lines(kvs::attend_workspace_bytes(inline_, query.on_host(), expected));
  REQUIRE(kvs::attend(inline_, query.on_host(), expected, kvs::make_rows<D>(reference.data(), 4, 1),
                      bytes_of(scratch_here)));
  CHECK(apart(fetch(result.as<float>(), 4 * D), reference) <= 2e-3);  // a code may hang on a fused multiply-add
  cudaGraphExecDestroy(run);
  cudaGraphDestroy(graph);
}

/// The halves of a plan are the plan.
void halves(int tokens) {
  using budget = kvs::budget::over_all;
  using strategy = kvs::key_diff<budget, kvs::store::ragged>;
  cache const c(2, 1, {tokens, tokens / 2}, 5);
  stream s;
  kvs::device::on const on{s.handle};
  strategy::params const p{.budget = {.keep = 0.3}, .select = {.sink = 2}};
  auto const layers = c.on_device();
  kvs::kv_group<cache::layer> const group(layers.data(), layers.size());
  auto const size = kvs::score_tokens_workspace_bytes<strategy>(on, group, p);
  buffer const memory(size.device);
  std::vector<std::byte> here(size.host);
  auto const scores = kvs::score_tokens<strategy>(on, group, p, workspace_of(memory, here));
  REQUIRE(scores);
  auto const more = kvs::choose_tokens_workspace_bytes<budget, kvs::select::top_k>(on, scores, p.budget, p.select);
  buffer const chosen(more.device);
  std::vector<std::byte> chosen_here(more.host);
  auto const plan =
      kvs::choose_tokens<budget, kvs::select::top_k>(on, scores, p.budget, p.select, workspace_of(chosen, chosen_here));
  REQUIRE(plan);
  std::vector<index> offset(static_cast<std::size_t>(plan.entries()));
  kvs::token_plan const got = kvs::copy_offsets(on, plan, offset);
  s.wait();
  device_plan const want = plan_on_device<strategy>(on, c, p);
  for (int v = 0; v < 2; ++v)
    for (int h = 0; h < 2; ++h) CHECK(fetch(got, v, h).kept == fetch(want.plan, v, h).kept);
}

/// Steps of D2O on both.
void steps(int prompt) {
  CAPTURE(prompt);
  constexpr int heads = 2, room = 4096;
  kvs::evict::d2o_step::params const p{.heavy = 300, .recent = 100};
  tensor<float, D> keys(heads, room, 7), values(heads, room, 8);
  keys.upload();
  values.upload();
  stream s;
  kvs::device::on const on{s.handle};
  buffer const numbers(heads * room * sizeof(float)), stored(sizeof(float)), seen_there(heads * room * sizeof(float));
  REQUIRE(cudaMemset(stored.as<void>(), 0xff, sizeof(float)) == cudaSuccess);  // NaN
  std::vector<float> numbers_here(heads * room);
  kvs::d2o_state state{.score = numbers.as<float>(), .heads = heads, .capacity = room, .stored = stored.as<float>()};
  kvs::d2o_state state_here{.score = numbers_here.data(), .heads = heads, .capacity = room};
  std::mt19937 random(3);
  for (int step = 0; step < 4; ++step) {
    int const tokens = step == 0 ? prompt : state.used + 8;
    std::vector<float> seen(static_cast<std::size_t>(heads * kvs::score_stride(tokens)));
    for (float& x : seen) x = static_cast<float>(random() % 100000) * 1e-5f;
    REQUIRE(cudaMemcpy(seen_there.as<float>(), seen.data(), seen.size() * sizeof(float), cudaMemcpyHostToDevice) ==
            cudaSuccess);
    auto const rows = [&](float* of) { return kvs::make_rows<D>(of, heads, tokens, index{room} * D, index{D}); };
    kvs::kv_layer const layer{rows(keys.device.as<float>()), rows(values.device.as<float>())};
    kvs::kv_layer const layer_here{rows(keys.host.data()), rows(values.host.data())};
    kvs::cs::span<float const> const attention(seen_there.as<float>(), seen.size()),
        attention_here(seen.data(), seen.size());
    kvs::cs::span<kvs::d2o_state> const states(&state, 1), states_here(&state_here, 1);
    buffer const memory(kvs::step_d2o_workspace_bytes(on, one(layer), one(attention), p, states));
    REQUIRE(kvs::step_d2o(on, one(layer), one(attention), p, states, memory.bytes()));
    s.wait();
    auto here = lines(kvs::step_d2o_workspace_bytes(inline_, one(layer_here), one(attention_here), p, states_here));
    REQUIRE(kvs::step_d2o(inline_, one(layer_here), one(attention_here), p, states_here, bytes_of(here)));
    REQUIRE(state.used == state_here.used);
    CHECK(std::abs(fetch(stored.as<float>(), 1)[0] - state_here.threshold) <= 1e-5f);
    auto const got = keys.download();
    int far = 0;
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < state.used * D; ++i)
        far += std::abs(got[static_cast<std::size_t>(h * room * D + i)] -
                        keys.host[static_cast<std::size_t>(h * room * D + i)]) > 1e-4f;
    CHECK(far <= heads * state.used * D / 200);  // a nearest token that hangs on the last bit
    keys.host = got;
    values.host = values.download();
  }
}

void small() {
  levels_captured(200);
  halves(150);
  steps(500);
}
void large() {
  levels_captured(20000);
  halves(9000);
  steps(3000);
}
}  // namespace

std::span<gpu_case const> kvsieve_test::schedule_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: levels in a graph, halves of a plan and steps, small", "[gpu][store][sanitize]", small},
      {"GPU: levels in a graph, halves of a plan and steps", "[gpu][store]", large}};
  return all;
}
