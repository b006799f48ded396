// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compress a cache after prefill, on the stream that filled it: SnapKV over all layers in one call, in place. Nothing
// here waits for the GPU until the result is read.
#include <cstdio>
#include <kvsieve/kvsieve.cuh>
#include <vector>

namespace kvs = kvsieve;
using kvs::bf16, kvs::row_view;

namespace {
constexpr int layers = 4, heads = 8, query_heads = 32, tokens = 4096, window = 64, head_dim = 128;
using strategy = kvs::snap_kv<>;
using view = kvs::rows<bf16, head_dim>;
using layer = kvs::kv_layer<view>;

// Stands for an engine's prefill: values that look like a cache.
__global__ void prefill(bf16* out, std::size_t count, unsigned seed) {
  std::size_t const step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    auto const bits = kvs::mix(i + (std::uint64_t{seed} << 40));
    out[i] = kvs::from_float<bf16>(static_cast<float>(bits >> 40) * 0x1p-23f - 1.0f);
  }
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
}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::puts("skipped: no GPU here");
    return 0;
  }
  cudaStream_t stream = nullptr;
  if (!fine(cudaStreamCreate(&stream), "stream")) return 1;

  // The engine's cache: keys and values of every layer [heads, tokens, D], and the last window of queries.
  std::size_t const rows = std::size_t{heads} * tokens * head_dim,
                    query_rows = std::size_t{query_heads} * window * head_dim;
  std::size_t const count = layers * (2 * rows + query_rows);
  bf16* cache = nullptr;
  if (!fine(cudaMalloc(&cache, count * sizeof(bf16)), "cache")) return 1;
  prefill<<<512, 256, 0, stream>>>(cache, count, 1);

  std::vector<layer> views;
  std::vector<view> queries;
  for (int i = 0; i < layers; ++i) {
    bf16* const at = cache + static_cast<std::size_t>(i) * (2 * rows + query_rows);
    views.push_back({kvs::make_rows<head_dim>(at, heads, tokens), kvs::make_rows<head_dim>(at + rows, heads, tokens)});
    queries.push_back(kvs::make_rows<head_dim>(at + 2 * rows, query_heads, window));
  }
  kvs::kv_group<layer> const all(views.data(), views.size());
  kvs::cs::span<view const> const observed(queries.data(), queries.size());

  // The workspace, once for all steps of this shape: device memory for kernels, and a little host memory for counts.
  strategy::params const params{.score = {.window = window}, .budget = {.keep = 0.25}, .select = {.sink = 4}};
  kvs::device::on const on{stream};
  auto const size = kvs::workspace_bytes<strategy>(on, all, observed, params);
  std::byte* memory = nullptr;
  if (!fine(cudaMalloc(&memory, size.device), "workspace")) return 1;
  std::vector<std::byte> counts(size.host);

  kvs::token_plan const plan = kvs::plan<strategy>(on, all, observed, params, {{memory, size.device}, counts});
  if (!fine(plan.state) || !fine(kvs::apply<strategy>(on, plan, all))) return 1;

  // Counts are known at once; the lists are read when the stream has got there.
  std::vector<int> kept(static_cast<std::size_t>(plan.count(0, 0)));
  if (!fine(cudaMemcpyAsync(kept.data(), plan.kept(0, 0).data(), kept.size() * sizeof(int), cudaMemcpyDeviceToHost,
                            stream),
            "copy"))
    return 1;
  if (!fine(cudaStreamSynchronize(stream), "run")) return 1;

  double const per_token = 2.0 * heads * head_dim * sizeof(bf16) * layers / 1048576.0;
  std::printf("kept %d of %d tokens per head, %.1f of %.1f MiB; the next token has position %d\n", plan.count(0),
              tokens, plan.count(0) * per_token, tokens * per_token, plan.tokens(0));
  std::printf("layer 0, head 0 keeps");
  for (std::size_t i = 0; i < 8 && i < kept.size(); ++i) std::printf(" %d", kept[i]);
  std::printf(" ... %d\n", kept.back());
  cudaFree(memory);
  cudaFree(cache);
  cudaStreamDestroy(stream);
  return 0;
}
