// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Caches in pages on a real GPU: planned and compacted where they lie they give the bytes of dense rows, a corrupt
// table is survived and counted, and attention that remembers may be replayed from a graph.
#include <kvsieve/aggregate/last_above_with_gap.hpp>
#include <kvsieve/core/paged.hpp>

#include "plan.hpp"

using namespace kvsieve_test;

namespace {
constexpr int D = 128, P = 16;
using cache = grouped_cache<kvs::bf16, D>;
using paged_rows = kvs::rows<kvs::bf16, D, kvs::layout_paged<P>>;
using paged_layer = kvs::kv_layer<paged_rows>;

/// The views of a cache in a pool of pages [P, heads, D], whose tables take turns.
struct paged_cache {
  int heads, pages = 0;
  std::vector<int> lengths;
  std::vector<std::vector<int>> table;
  std::vector<kvs::bf16> host;
  std::unique_ptr<buffer> memory, tables;

  explicit paged_cache(cache const& from) : heads(from.heads), lengths(from.lengths), table(lengths.size()) {
    for (bool more = true; more;) {
      more = false;
      for (std::size_t v = 0; v < lengths.size(); ++v)
        if (static_cast<int>(table[v].size()) * P < lengths[v]) {
          table[v].push_back(pages++);
          more = true;
        }
    }
    host.resize(2 * half());
    for (std::size_t v = 0; v < lengths.size(); ++v)
      for (int h = 0; h < heads; ++h)
        for (int t = 0; t < lengths[v]; ++t) {
          auto const dense = static_cast<std::size_t>(h * lengths[v] + t) * D;
          std::copy_n(from.keys[v]->host.begin() + static_cast<std::ptrdiff_t>(dense), D, &host[at(v, h, t)]);
          std::copy_n(from.values[v]->host.begin() + static_cast<std::ptrdiff_t>(dense), D,
                      &host[half() + at(v, h, t)]);
        }
    memory = std::make_unique<buffer>(host.size() * sizeof(kvs::bf16));
    tables = std::make_unique<buffer>(static_cast<std::size_t>(pages) * sizeof(int));
    upload();
  }
  void upload() const {
    REQUIRE(cudaMemcpy(memory->as<void>(), host.data(), host.size() * sizeof(kvs::bf16), cudaMemcpyHostToDevice) ==
            cudaSuccess);
    int* to = tables->as<int>();
    for (auto const& t : table) {
      REQUIRE(cudaMemcpy(to, t.data(), t.size() * sizeof(int), cudaMemcpyHostToDevice) == cudaSuccess);
      to += t.size();
    }
  }
  [[nodiscard]] std::size_t half() const {
    return static_cast<std::size_t>(pages) * P * static_cast<std::size_t>(heads) * D;
  }
  [[nodiscard]] std::size_t at(std::size_t v, int head, int token) const {
    auto const page = static_cast<std::size_t>(table[v][static_cast<std::size_t>(token / P)]);
    return ((page * P + static_cast<std::size_t>(token % P)) * static_cast<std::size_t>(heads) +
            static_cast<std::size_t>(head)) *
           D;
  }
  [[nodiscard]] std::vector<paged_layer> on_device() const {
    kvs::page_pool_view const pool{pages, kvs::nhd_pages(P, heads, D)};
    std::vector<paged_layer> all;
    int const* next = tables->as<int>();
    for (std::size_t v = 0; v < lengths.size(); ++v) {
      kvs::page_table const own{next, static_cast<kvs::index>(table[v].size())};
      auto const rows = [&](kvs::bf16* data) { return kvs::make_paged<P, D>(data, heads, lengths[v], pool, own); };
      all.push_back({rows(memory->as<kvs::bf16>()), rows(memory->as<kvs::bf16>() + half())});
      next += table[v].size();
    }
    return all;
  }
};

void same_as_dense() {
  using strategy = kvs::snap_kv<>;
  cache const dense(2, 4, {1000, 70, 333}, 3);
  paged_cache const paged(dense);
  strategy::params const p{.score = {.window = 32}, .budget = {.keep = 0.3}, .select = {.sink = 4}};
  stream s;
  kvs::device::on const on{s.handle};
  device_plan const want = plan_on_device<strategy>(on, dense, p);
  auto const layers = paged.on_device();
  auto const queries = dense.queries_on_device();
  kvs::kv_group<paged_layer> const group(layers.data(), layers.size());
  kvs::cs::span<cache::view const> const observed(queries.data(), queries.size());
  auto const size = kvs::workspace_bytes<strategy>(on, group, observed, p);
  buffer const memory(size.device), absent(sizeof(unsigned));
  REQUIRE(cudaMemset(absent.as<void>(), 0, sizeof(unsigned)) == cudaSuccess);
  std::vector<std::byte> host(size.host);
  kvs::token_plan const plan = kvs::plan<strategy>(on, group, observed, p, workspace_of(memory, host));
  REQUIRE(plan);
  REQUIRE(kvs::apply<strategy>(on, plan, group));
  REQUIRE(kvs::count_absent_pages(on, group, absent.as<unsigned>()));
  s.wait();
  CHECK(fetch(absent.as<unsigned>(), 1)[0] == 0);
  auto const left = fetch(paged.memory->as<kvs::bf16>(), paged.host.size());
  int wrong = 0;
  for (int v = 0; v < plan.views; ++v)
    for (int h = 0; h < plan.heads; ++h) {
      CAPTURE(v, h);
      result const got = fetch(plan, v, h), expected = fetch(want.plan, v, h);
      CHECK(got.kept == expected.kept);
      CHECK(std::memcmp(got.score.data(), expected.score.data(), got.score.size() * sizeof(float)) == 0);
      auto const view = static_cast<std::size_t>(v);
      for (std::size_t i = 0; i < got.kept.size(); ++i)
        for (std::size_t const part : {std::size_t{0}, paged.half()})
          wrong += std::memcmp(&left[part + paged.at(view, h, static_cast<int>(i))],
                               &paged.host[part + paged.at(view, h, got.kept[i])], D * sizeof(kvs::bf16)) == 0
                       ? 0
                       : 1;
    }
  CHECK(wrong == 0);
}

void corrupt_table() {
  using strategy = kvs::key_diff<>;
  cache const dense(2, 1, {200, 90}, 5);
  paged_cache paged(dense);
  paged.table[0][1] = -7;
  paged.table[0][3] = paged.pages;
  paged.table[1][0] = 0x7fffffff;
  paged.upload();
  stream s;
  kvs::device::on const on{s.handle};
  auto const layers = paged.on_device();
  kvs::kv_group<paged_layer> const group(layers.data(), layers.size());
  strategy::params const p{.budget = {.keep = 0.5}};
  auto const size = kvs::workspace_bytes<strategy>(on, group, p);
  buffer const memory(size.device), absent(sizeof(unsigned));
  REQUIRE(cudaMemset(absent.as<void>(), 0, sizeof(unsigned)) == cudaSuccess);
  std::vector<std::byte> host(size.host);
  REQUIRE(kvs::count_absent_pages(on, group, absent.as<unsigned>()));
  kvs::token_plan const plan = kvs::plan<strategy>(on, group, p, workspace_of(memory, host));
  REQUIRE(plan);
  REQUIRE(kvs::apply<strategy>(on, plan, group));
  s.wait();
  CHECK(fetch(absent.as<unsigned>(), 1)[0] == 2 * 3);
}

void replayed() {
  using A = kvs::aggregate::last_above_with_gap;
  constexpr int heads = 2, query_heads = 4, tokens = 500, steps = 5;
  cache const c(heads, query_heads / heads, {tokens}, 9);
  stream s;
  kvs::device::on const on{s.handle};
  auto const layers = c.on_device();
  auto const query = kvs::make_rows<D>(c.queries[0]->device.as<kvs::bf16>(), query_heads, 1);
  kvs::index const room = kvs::round_up<kvs::index>(tokens, 16);
  auto const floats = static_cast<std::size_t>(kvs::observed_state<A>::floats(query_heads, room));
  kvs::cs::span<cache::layer const> const views(layers.data(), 1);
  std::size_t const bytes =
      kvs::attend_observed_workspace_bytes<A>(on, kvs::cs::span<kvs::rows<kvs::bf16, D> const>(&query, 1), views);
  buffer const workspace(bytes), result(std::size_t{query_heads} * D * sizeof(float)), counter(sizeof(int));
  buffer const one(floats * sizeof(float)), other(floats * sizeof(float));
  auto const out = kvs::make_rows<D>(result.as<float>(), query_heads, 1);
  kvs::observed_state<A> counted{one.as<float>(), room, query_heads};
  kvs::observed_state<A> graphed{other.as<float>(), room, query_heads, 0, counter.as<int>()};
  REQUIRE(cudaMemset(counter.as<void>(), 0, sizeof(int)) == cudaSuccess);
  REQUIRE(kvs::begin_observed(on, counted, {}, 0, room));
  REQUIRE(kvs::begin_observed(on, graphed, {}, 0, room));
  auto const step = [&](kvs::observed_state<A>& state) {
    REQUIRE(kvs::attend_observed<A>(on, kvs::cs::span<kvs::rows<kvs::bf16, D> const>(&query, 1), views,
                                    kvs::cs::span<kvs::rows<float, D> const>(&out, 1),
                                    kvs::cs::span<kvs::observed_state<A>>(&state, 1), {}, workspace.bytes()));
  };
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  REQUIRE(cudaStreamBeginCapture(s.handle, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  step(graphed);
  REQUIRE(cudaStreamEndCapture(s.handle, &graph) == cudaSuccess);
  REQUIRE(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
  for (int i = 0; i < steps; ++i) {
    step(counted);
    REQUIRE(cudaGraphLaunch(exec, s.handle) == cudaSuccess);
  }
  s.wait();
  CHECK(fetch(counter.as<int>(), 1)[0] == steps);
  auto const a = fetch(one.as<float>(), floats), b = fetch(other.as<float>(), floats);
  CHECK(std::memcmp(a.data(), b.data(), floats * sizeof(float)) == 0);
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
}
}  // namespace

std::span<gpu_case const> kvsieve_test::page_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: plans and compaction in pages give what dense rows give", "[gpu][pages][sanitize]", same_as_dense},
      {"GPU: a corrupt table of pages leads nowhere", "[gpu][pages][sanitize]", corrupt_table},
      {"GPU: attention that remembers, replayed from a graph", "[gpu][attend][sanitize]", replayed}};
  return all;
}
