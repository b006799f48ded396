// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A cache in levels of precision from one budget of bytes, made on the stream that filled it: one ranking over layers
// and heads, the best tokens in 8 bits, others in 6 and 4, the rest gone. Where rows lie follows from scores, so the
// host knows bounds alone and waits for nothing; attention reads one level after another.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <kvsieve/device/divide.cuh>
#include <kvsieve/kvsieve.cuh>
#include <kvsieve/store/level_sets.hpp>
#include <string>
#include <vector>

namespace kvs = kvsieve;
using kvs::bf16;

namespace {
constexpr int layers = 4, heads = 8, query_heads = 32, tokens = 4096, window = 64, head_dim = 128;
using strategy = kvs::snap_kv<kvs::budget::over_all, kvs::store::ragged>;
using levels = kvs::store::middle_levels;
using view = kvs::rows<bf16, head_dim>;
using layer = kvs::kv_layer<view>;
using packed = kvs::rows<bf16, head_dim, kvs::layout_ragged>;

// Stands for an engine's prefill: values that look like a cache.
__global__ void prefill(bf16* out, std::size_t count, unsigned seed) {
  std::size_t const step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    auto const bits = kvs::mix(i + (std::uint64_t{seed} << 40));
    out[i] = kvs::from_float<bf16>(static_cast<float>(bits >> 40) * 0x1p-22f - 2.0f);
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

// Device memory; a call that wants none gets none.
template <class T>
T* room(kvs::index count) {
  void* p = nullptr;
  return fine(cudaMalloc(&p, static_cast<std::size_t>(count < 1 ? 1 : count) * sizeof(T)), "memory")
             ? static_cast<T*>(p)
             : nullptr;
}
struct memory {
  std::byte* device;
  std::size_t bytes;
  std::vector<std::byte> host;
  explicit memory(kvs::device::workspace_size const& size)
      : device(room<std::byte>(static_cast<kvs::index>(size.device))), bytes(size.device), host(size.host) {}
  kvs::device::workspace get() { return {{device, bytes}, host}; }
};
template <class T>
kvs::cs::span<T const> all_of(std::vector<T> const& x) {
  return {x.data(), x.size()};
}

// What the queries read of a stored cache, to the host.
template <class Layer>
std::vector<float> attended(kvs::device::on on, std::vector<view> const& queries, std::vector<Layer> const& stored) {
  constexpr kvs::index count = kvs::index{layers} * query_heads * head_dim;
  float* const out = room<float>(count);
  std::vector<kvs::rows<float, head_dim>> outputs;
  for (int i = 0; i < layers; ++i)
    outputs.push_back(kvs::make_rows<head_dim>(out + kvs::index{i} * query_heads * head_dim, query_heads, 1));
  std::size_t const bytes = kvs::attend_workspace_bytes(on, all_of(queries), all_of(stored));
  std::span<std::byte> const workspace{room<std::byte>(static_cast<kvs::index>(bytes)), bytes};
  std::vector<float> here(static_cast<std::size_t>(count));
  if (!fine(kvs::attend(on, all_of(queries), all_of(stored), all_of(outputs), workspace)) ||
      !fine(cudaMemcpyAsync(here.data(), out, here.size() * sizeof(float), cudaMemcpyDeviceToHost, on.stream()),
            "copy") ||
      !fine(cudaStreamSynchronize(on.stream()), "run"))
    here.clear();
  cudaFree(workspace.data());
  cudaFree(out);
  return here;
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

  // The engine's cache: keys and values of every layer [heads, tokens, D], and the last window of queries.
  constexpr kvs::index rows = kvs::index{heads} * tokens * head_dim,
                       asked = kvs::index{query_heads} * window * head_dim;
  constexpr kvs::index count = layers * (2 * rows + asked);
  bf16* const cache = room<bf16>(count);
  if (cache == nullptr) return 1;
  prefill<<<512, 256, 0, stream>>>(cache, count, 1);
  std::vector<layer> views;
  std::vector<view> queries, last;
  for (int i = 0; i < layers; ++i) {
    bf16* const at = cache + i * (2 * rows + asked);
    views.push_back({kvs::make_rows<head_dim>(at, heads, tokens), kvs::make_rows<head_dim>(at + rows, heads, tokens)});
    queries.push_back(kvs::make_rows<head_dim>(at + 2 * rows, query_heads, window));
    last.push_back(kvs::make_rows<head_dim>(at + 2 * rows + (window - 1) * head_dim, query_heads, 1,
                                            kvs::index{window} * head_dim, kvs::index{head_dim}));
  }

  // A tenth of the bytes: how many entries that is follows from the shares and sizes of the levels.
  constexpr kvs::index bytes = 2 * layers * rows * static_cast<kvs::index>(sizeof(bf16)) / 10;
  levels::table<head_dim> const table(false);
  kvs::index entries[levels::count];
  kvs::index const kept = table.view().entries(bytes, {entries, levels::count});
  strategy::params const params{
      .score = {.window = window},
      .budget = {.keep = static_cast<double>(kept) / (static_cast<double>(layers) * heads * tokens)},
      .select = {.sink = 4}};

  memory planned(kvs::workspace_bytes<strategy>(on, all_of(views), all_of(queries), params));
  auto const plan = kvs::plan<strategy>(on, all_of(views), all_of(queries), params, planned.get());
  if (!fine(plan.state)) return 1;
  memory divided(kvs::store::divide_by_score_workspace_bytes(on, plan, levels::count));
  kvs::device::open_plan parts[levels::count];
  if (!fine(kvs::store::divide_by_score(on, plan, {entries, levels::count}, divided.get(), {parts, levels::count})))
    return 1;

  // A plan of a level is applied to packed rows with its own table, which lies on the device.
  kvs::byte *keys[levels::count], *values[levels::count];
  kvs::index taken = 0;
  auto const stored = [&]<class Level>(int l, int v) {
    using kvs::make_encoded_ragged;
    return kvs::kv_layer{
        make_encoded_ragged<typename Level::keys, head_dim>(keys[l], heads, parts[l].offsets(v), parts[l].most(v)),
        make_encoded_ragged<typename Level::values, head_dim>(values[l], heads, parts[l].offsets(v), parts[l].most(v))};
  };
  bool done = true;
  levels::each([&]<class Level>(int l) {
    kvs::index const of_keys = kvs::encoded_bytes<typename Level::keys, head_dim>(parts[l].rows),
                     of_values = kvs::encoded_bytes<typename Level::values, head_dim>(parts[l].rows);
    keys[l] = room<kvs::byte>(of_keys);
    values[l] = room<kvs::byte>(of_values);
    taken += of_keys + of_values;
    std::vector<decltype(stored.template operator()<Level>(l, 0))> targets;
    for (int v = 0; v < layers; ++v) targets.push_back(stored.template operator()<Level>(l, v));
    done = done && fine(kvs::apply<strategy>(on, parts[l], all_of(views), all_of(targets)));
    std::printf("level %d: up to %lld entries of %d bytes\n", l, static_cast<long long>(parts[l].rows),
                table.of[l].entry_bytes);
  });
  if (!done) return 1;

  // Attention over all levels, and for comparison over the same tokens as they were.
  auto const joined = [&](int v) {
    return levels::parts([&]<class Level>(int l) { return stored.template operator()<Level>(l, v); });
  };
  std::vector<decltype(joined(0))> in_levels;
  for (int v = 0; v < layers; ++v) in_levels.push_back(joined(v));
  std::vector<float> const got = attended(on, last, in_levels);

  bf16* const whole = room<bf16>(2 * plan.rows * head_dim);
  std::vector<kvs::kv_layer<packed>> as_they_were;
  for (int v = 0; v < layers; ++v)
    as_they_were.push_back(
        {kvs::make_ragged<head_dim>(whole, heads, plan.offsets(v), plan.most(v)),
         kvs::make_ragged<head_dim>(whole + plan.rows * head_dim, heads, plan.offsets(v), plan.most(v))});
  if (!fine(kvs::apply<strategy>(on, plan, all_of(views), all_of(as_they_were)))) return 1;
  std::vector<float> const want = attended(on, last, as_they_were);

  double apart = 0, size = 0;
  for (std::size_t i = 0; i < got.size() && i < want.size(); ++i) {
    apart += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
    size += std::pow(static_cast<double>(want[i]), 2);
  }
  bool const close = !got.empty() && !want.empty() && std::sqrt(apart / size) < 0.25;
  std::printf("%.1f of %.1f MiB; outputs are %.1f %% of their length from those over the same tokens in bf16\n",
              static_cast<double>(taken) / 1048576.0, static_cast<double>(2 * layers * rows) * sizeof(bf16) / 1048576.0,
              100 * std::sqrt(apart / size));
  for (int l = 0; l < levels::count; ++l) {
    cudaFree(keys[l]);
    cudaFree(values[l]);
  }
  cudaFree(whole);
  cudaFree(divided.device);
  cudaFree(planned.device);
  cudaFree(cache);
  cudaStreamDestroy(stream);
  return close ? 0 : 1;
}
