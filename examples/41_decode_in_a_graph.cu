// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A decode loop in a CUDA graph, captured once and replayed for every token: a key and a value come into the pages of
// each head, the query attends, and the attention that each entry gets is added up on the way (fused observation, what
// H2O keeps tokens by). Lengths and counts are device memory, so nothing changes from one replay to the next.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <kvsieve/kvsieve.cuh>
#include <numeric>
#include <string>
#include <vector>

namespace kvs = kvsieve;
using kvs::bf16;

namespace {
constexpr int heads = 8, query_heads = 32, prompt = 2000, steps = 64, page = 16, head_dim = 128;
constexpr int head_pages = (prompt + steps + page - 1) / page, pages = heads * head_pages;
using watched = kvs::aggregate::sum;

__device__ bf16 number(std::size_t i, unsigned seed) {
  auto const bits = kvs::mix(i + (std::uint64_t{seed} << 40));
  return kvs::from_float<bf16>(static_cast<float>(bits >> 40) * 0x1p-22f - 2.0f);
}
// Stands for an engine's prefill.
__global__ void prefill(bf16* out, std::size_t count) {
  std::size_t const step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) out[i] = number(i, 1);
}
// Stands for the projections of a layer: a block for each KV head appends a row and makes the queries of its group.
__global__ void next_token(bf16* keys, bf16* values, bf16* queries, int const* table, int* length) {
  int const head = static_cast<int>(blockIdx.x), at = length[head], channel = static_cast<int>(threadIdx.x);
  std::size_t const row = (static_cast<std::size_t>(table[head * head_pages + at / page]) * page + at % page);
  keys[row * head_dim + channel] = number(row * head_dim + channel, 2);
  values[row * head_dim + channel] = number(row * head_dim + channel, 3);
  for (int g = head * (query_heads / heads); g < (head + 1) * (query_heads / heads); ++g)
    queries[g * head_dim + channel] = number(static_cast<std::size_t>(at) * query_heads * head_dim + g * head_dim, 4);
  __syncthreads();  // the length was read by all
  if (channel == 0) length[head] = at + 1;
}

bool fine(cudaError_t error, char const* what) {
  if (error != cudaSuccess) std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  return error == cudaSuccess;
}
bool fine(kvs::status const& s) {
  char line[160];
  if (!s) std::fprintf(stderr, "%s\n", std::string(s.message(line)).c_str());
  return static_cast<bool>(s);
}
template <class T>
bool upload(T*& to, std::vector<T> const& from) {
  return fine(cudaMalloc(&to, from.size() * sizeof(T)), "memory") &&
         fine(cudaMemcpy(to, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice), "upload");
}
template <class T>
kvs::cs::span<T const> one(T const& x) {
  return {&x, 1};
}
}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::puts("skipped: no GPU here");
    return 0;
  }
  cudaStream_t stream = nullptr;
  if (!fine(cudaStreamCreate(&stream), "stream")) return 1;
  kvs::device::on const on{stream};

  // One layer: a pool whose pages hold a head each, tables of pages that take turns, and lengths that kernels move on.
  std::vector<int> ids(pages), first(heads + 1), lengths(heads, prompt);
  for (int i = 0; i < pages; ++i) ids[static_cast<std::size_t>(i)] = i % head_pages * heads + i / head_pages;
  for (int h = 0; h <= heads; ++h) first[static_cast<std::size_t>(h)] = h * head_pages;
  int *table = nullptr, *begin = nullptr, *length = nullptr;
  if (!upload(table, ids) || !upload(begin, first) || !upload(length, lengths)) return 1;
  constexpr std::size_t half = std::size_t{pages} * page * head_dim, asked = std::size_t{query_heads} * head_dim;
  bf16* cache = nullptr;
  float* result = nullptr;
  if (!fine(cudaMalloc(&cache, (2 * half + asked) * sizeof(bf16)), "cache") ||
      !fine(cudaMalloc(&result, asked * sizeof(float)), "result"))
    return 1;
  prefill<<<512, 256, 0, stream>>>(cache, 2 * half);

  kvs::page_pool_view const pool{pages, {page * head_dim, 0, head_dim}};
  kvs::head_page_tables const tables{table, begin, length, prompt + steps};
  auto const rows = [&](bf16* data) { return kvs::make_ragged_paged<page, head_dim>(data, heads, pool, tables); };
  kvs::kv_layer const layer{rows(cache), rows(cache + half)};
  auto const query = kvs::make_rows<head_dim>(cache + 2 * half, query_heads, 1);
  auto const out = kvs::make_rows<head_dim>(result, query_heads, 1);

  // What is remembered of every entry, and the number of queries that were seen.
  constexpr int room = kvs::round_up<int>(prompt + steps, 16);
  kvs::observed_state<watched> state{nullptr, room, query_heads};
  auto const floats = static_cast<std::size_t>(state.floats(query_heads, room));
  std::size_t const bytes = kvs::attend_observed_workspace_bytes<watched>(on, one(query), one(layer));
  std::byte* memory = nullptr;
  if (!fine(cudaMalloc(&state.data, floats * sizeof(float)), "state") || !fine(cudaMalloc(&memory, bytes), "workspace"))
    return 1;
  if (!fine(cudaMalloc(&state.counter, sizeof(int)), "counter") ||
      !fine(cudaMemsetAsync(state.counter, 0, sizeof(int), stream), "counter"))
    return 1;
  if (!fine(kvs::begin_observed(on, state, {}, 0, room))) return 1;

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t step = nullptr;
  if (!fine(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture")) return 1;
  next_token<<<heads, head_dim, 0, stream>>>(cache, cache + half, cache + 2 * half, table, length);
  kvs::status const captured =
      kvs::attend_observed<watched>(on, one(query), one(layer), one(out),
                                    kvs::cs::span<kvs::observed_state<watched>>(&state, 1), {}, {memory, bytes});
  if (!fine(cudaStreamEndCapture(stream, &graph), "capture") || !fine(captured)) return 1;
  if (!fine(cudaGraphInstantiate(&step, graph, 0), "graph")) return 1;
  for (int i = 0; i < steps; ++i)
    if (!fine(cudaGraphLaunch(step, stream), "launch")) return 1;

  // The scores of all entries, as a selection takes them.
  constexpr int entries = prompt + steps;
  auto const stride = static_cast<std::size_t>(kvs::score_stride(entries));
  float* scores = nullptr;
  if (!fine(cudaMalloc(&scores, heads * stride * sizeof(float)), "scores")) return 1;
  if (!fine(kvs::observed_scores<kvs::aggregate::group_mean>(on, state, {}, {}, heads, entries,
                                                             {scores, heads * stride})))
    return 1;
  std::vector<float> score(stride);
  int queries = 0;
  if (!fine(cudaMemcpyAsync(score.data(), scores, entries * sizeof(float), cudaMemcpyDeviceToHost, stream), "copy") ||
      !fine(cudaMemcpyAsync(&queries, state.counter, sizeof(int), cudaMemcpyDeviceToHost, stream), "copy") ||
      !fine(cudaStreamSynchronize(stream), "run"))
    return 1;

  score.resize(entries);
  double const all = std::accumulate(score.begin(), score.end(), 0.0);
  std::vector<int> order(entries);
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + 4, order.end(), [&](int a, int b) {
    return score[static_cast<std::size_t>(a)] > score[static_cast<std::size_t>(b)];
  });
  std::printf("%d tokens decoded by one graph; head 0 gave its %d entries %.3f of attention, most of it to", queries,
              entries, all);
  for (int i = 0; i < 4; ++i) std::printf(" %d", order[static_cast<std::size_t>(i)]);
  std::puts("");
  cudaGraphExecDestroy(step);
  cudaGraphDestroy(graph);
  for (void* const p : {static_cast<void*>(scores), static_cast<void*>(state.counter), static_cast<void*>(state.data),
                        static_cast<void*>(memory), static_cast<void*>(result), static_cast<void*>(cache),
                        static_cast<void*>(length), static_cast<void*>(begin), static_cast<void*>(table)})
    cudaFree(p);
  cudaStreamDestroy(stream);
  // The probabilities of each query add up to 1.
  return queries == steps && std::abs(all - steps) < 1e-2 ? 0 : 1;
}
