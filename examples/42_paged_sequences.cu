// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A serving engine's cache: sequences of different lengths in pages of one pool. One call plans all of them, one moves
// what stays to the front of each table's order; how many pages come free is known at once, without waiting for the
// GPU. Attention then reads what is left, where it lies.
#include <cstdio>
#include <cstring>
#include <kvsieve/kvsieve.cuh>
#include <kvsieve/store/paged.hpp>
#include <string>
#include <vector>

namespace kvs = kvsieve;
using kvs::bf16;

namespace {
constexpr int heads = 8, query_heads = 32, window = 32, page = 16, head_dim = 128, sequences = 3;
constexpr int tokens[sequences] = {3000, 517, 1800};
using strategy = kvs::snap_kv<kvs::store::paged<page>>;
using view = kvs::rows<bf16, head_dim, kvs::layout_paged<page>>;
using layer = kvs::kv_layer<view>;

// Stands for an engine's prefill.
__global__ void prefill(bf16* out, std::size_t count) {
  std::size_t const step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step)
    out[i] = kvs::from_float<bf16>(static_cast<float>(kvs::mix(i) >> 40) * 0x1p-23f - 1.0f);
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
constexpr int pages_of(int n) { return (n + page - 1) / page; }
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

  // The pool, keys then values, and the tables: pages are handed out in turns, as they are while sequences grow.
  std::vector<int> table[sequences];
  int pages = 0;
  for (bool more = true; more;) {
    more = false;
    for (int s = 0; s < sequences; ++s)
      if (static_cast<int>(table[s].size()) < pages_of(tokens[s])) {
        table[s].push_back(pages++);
        more = true;
      }
  }
  std::size_t const half = static_cast<std::size_t>(pages) * page * heads * head_dim;
  std::size_t const query_rows = std::size_t{query_heads} * window * head_dim;
  bf16* cache = nullptr;
  int* tables = nullptr;
  if (!fine(cudaMalloc(&cache, (2 * half + sequences * query_rows) * sizeof(bf16)), "cache") ||
      !fine(cudaMalloc(&tables, static_cast<std::size_t>(pages) * sizeof(int)), "tables"))
    return 1;
  prefill<<<512, 256, 0, stream>>>(cache, 2 * half + sequences * query_rows);

  kvs::page_pool_view const pool{pages, kvs::nhd_pages(page, heads, head_dim)};
  std::vector<layer> views;
  std::vector<kvs::rows<bf16, head_dim>> queries;
  int* at = tables;
  for (int s = 0; s < sequences; ++s) {
    if (!fine(cudaMemcpyAsync(at, table[s].data(), table[s].size() * sizeof(int), cudaMemcpyHostToDevice, stream),
              "tables"))
      return 1;
    kvs::page_table const own{at, static_cast<kvs::index>(table[s].size())};
    views.push_back({kvs::make_paged<page, head_dim>(cache, heads, tokens[s], pool, own),
                     kvs::make_paged<page, head_dim>(cache + half, heads, tokens[s], pool, own)});
    queries.push_back(kvs::make_rows<head_dim>(cache + 2 * half + s * query_rows, query_heads, window));
    at += table[s].size();
  }
  kvs::kv_group<layer> const all(views.data(), views.size());
  kvs::cs::span<kvs::rows<bf16, head_dim> const> const observed(queries.data(), queries.size());
  std::vector<bf16> before(2 * half), after(2 * half);  // for the check at the end
  if (!fine(cudaMemcpyAsync(before.data(), cache, before.size() * sizeof(bf16), cudaMemcpyDeviceToHost, stream),
            "copy"))
    return 1;

  strategy::params const params{.score = {.window = window}, .budget = {.keep = 0.25}, .select = {.sink = 4}};
  auto const size = kvs::workspace_bytes<strategy>(on, all, observed, params);
  std::byte* memory = nullptr;
  unsigned* absent = nullptr;
  if (!fine(cudaMalloc(&memory, size.device), "workspace") || !fine(cudaMalloc(&absent, sizeof *absent), "absent") ||
      !fine(cudaMemsetAsync(absent, 0, sizeof *absent, stream), "absent"))
    return 1;
  std::vector<std::byte> counts(size.host);
  kvs::token_plan const plan = kvs::plan<strategy>(on, all, observed, params, {{memory, size.device}, counts});
  if (!fine(plan.state) || !fine(kvs::apply<strategy>(on, plan, all)) ||
      !fine(kvs::count_absent_pages(on, all, absent)))
    return 1;

  // What is left of the views, and one query for each sequence.
  std::vector<layer> left;
  std::vector<kvs::rows<bf16, head_dim>> next;
  std::vector<kvs::rows<float, head_dim>> out;
  float* result = nullptr;
  std::size_t const asked = std::size_t{query_heads} * head_dim;
  if (!fine(cudaMalloc(&result, sequences * asked * sizeof(float)), "result")) return 1;
  for (int s = 0; s < sequences; ++s) {
    auto const& v = views[static_cast<std::size_t>(s)];
    left.push_back({kvs::first_tokens(v.keys, plan.count(s)), kvs::first_tokens(v.values, plan.count(s))});
    next.push_back(kvs::make_rows<head_dim>(cache + 2 * half + s * query_rows, query_heads, 1));
    out.push_back(kvs::make_rows<head_dim>(result + s * asked, query_heads, 1));
  }
  kvs::cs::span<kvs::rows<bf16, head_dim> const> const query(next.data(), next.size());
  kvs::cs::span<layer const> const rest(left.data(), left.size());
  std::size_t const bytes = kvs::attend_workspace_bytes(on, query, rest);
  std::byte* scratch = nullptr;
  if (!fine(cudaMalloc(&scratch, bytes), "scratch")) return 1;
  if (!fine(kvs::attend(on, query, rest, kvs::cs::span<kvs::rows<float, head_dim> const>(out.data(), out.size()),
                        {scratch, bytes})))
    return 1;

  int freed = 0;
  for (int s = 0; s < sequences; ++s) {
    int const had = pages_of(tokens[s]), has = pages_of(plan.count(s));
    std::printf("sequence %d: %d of %d tokens stay, in %d of %d pages\n", s, plan.count(s), tokens[s], has, had);
    freed += had - has;
  }

  // Every kept row is where it should be.
  unsigned missing = 0;
  std::vector<float> outputs(sequences * asked);
  if (!fine(cudaMemcpyAsync(after.data(), cache, after.size() * sizeof(bf16), cudaMemcpyDeviceToHost, stream),
            "copy") ||
      !fine(cudaMemcpyAsync(&missing, absent, sizeof missing, cudaMemcpyDeviceToHost, stream), "copy") ||
      !fine(cudaMemcpyAsync(outputs.data(), result, outputs.size() * sizeof(float), cudaMemcpyDeviceToHost, stream),
            "copy"))
    return 1;
  int wrong = 0;
  for (int s = 0; s < sequences; ++s)
    for (int h = 0; h < heads; ++h) {
      std::vector<int> kept(static_cast<std::size_t>(plan.count(s)));
      if (!fine(cudaMemcpyAsync(kept.data(), plan.kept(s, h).data(), kept.size() * sizeof(int), cudaMemcpyDeviceToHost,
                                stream),
                "copy") ||
          !fine(cudaStreamSynchronize(stream), "run"))
        return 1;
      auto const row = [&](int token) {
        auto const p = static_cast<std::size_t>(table[s][static_cast<std::size_t>(token / page)]);
        return ((p * page + static_cast<std::size_t>(token % page)) * heads + static_cast<std::size_t>(h)) * head_dim;
      };
      for (int i = 0; i < plan.count(s); ++i) {
        std::size_t const to = row(i), from = row(kept[static_cast<std::size_t>(i)]);
        for (std::size_t const part : {std::size_t{0}, half})
          wrong += std::memcmp(&after[part + to], &before[part + from], head_dim * sizeof(bf16)) == 0 ? 0 : 1;
      }
    }
  for (float const x : outputs) wrong += x - x == 0.0f ? 0 : 1;
  std::printf("%d of %d pages are free, %d rows are wrong, %u pages were absent\n", freed, pages, wrong, missing);
  for (void* const p : {static_cast<void*>(scratch), static_cast<void*>(result), static_cast<void*>(absent),
                        static_cast<void*>(memory), static_cast<void*>(tables), static_cast<void*>(cache)})
    cudaFree(p);
  cudaStreamDestroy(stream);
  return wrong == 0 && missing == 0 ? 0 : 1;
}
