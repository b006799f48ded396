// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A score of your own as a kernel: the struct is all there is to write. The library launches it on the stream with any
// budget, selection and storage, and runs the same struct on the host, against which the result is checked here.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <kvsieve/kvsieve.cuh>
#include <string>
#include <vector>

namespace kvs = kvsieve;

/// Keys far from the mean key of their head stay: the distance is the sum of absolute differences.
struct far_from_mean : kvs::policy_base<kvs::stages::score, kvs::needs::keys> {
  using pattern = kvs::patterns::per_row;
  static constexpr bool summarises = true;  // a first pass makes the mean row

  // The first pass: what a fragment of a row says of its weight, the weight, and the share that it gives.
  template <class F>
  KVSIEVE_HD static F weigh_term(F key) {
    return key - key;  // 0, or NaN where a channel is not finite
  }
  template <class S>
  KVSIEVE_HD static S weigh(S sum) {
    return sum;
  }
  template <class S>
  KVSIEVE_HD static S share(S weight) {
    using kvs::where;
    return where(weight == S(0.0f), S(1.0f), S(0.0f));
  }
  // The second: what a fragment adds to the sum over a row, and the score.
  template <class F>
  KVSIEVE_HD static F term(F key, F mean) {
    return max(key - mean, mean - key);
  }
  template <class S>
  KVSIEVE_HD static S score(S sum, S weight, float) {
    return sum + weight;
  }
};

namespace {
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
  constexpr int heads = 8, tokens = 4096, head_dim = 128, keep = 512;
  using strategy = kvs::compressor<far_from_mean>;
  strategy::params const params{.budget = {.tokens = keep}, .select = {.sink = 4}};
  std::vector<float> cache(std::size_t{2} * heads * tokens * head_dim);
  for (std::size_t i = 0; i < cache.size(); ++i) cache[i] = static_cast<float>(kvs::mix(i) >> 40) * 0x1p-23f - 1.0f;
  auto const view = [](float* at) {
    auto const rows = [&](float* data) { return kvs::make_rows<head_dim>(data, heads, tokens); };
    return kvs::kv_layer{rows(at), rows(at + std::size_t{heads} * tokens * head_dim)};
  };

  // On the host.
  kvs::host::on const here;
  auto const own = view(cache.data());
  std::vector<std::byte> memory(kvs::workspace_bytes<strategy>(here, own, params) + 64);
  auto const past = reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
  kvs::token_plan const expected = kvs::plan<strategy>(here, own, params, std::span(memory).subspan(64 - past));
  if (!fine(expected.state)) return 1;

  // On the device: the same call.
  cudaStream_t stream = nullptr;
  float* there = nullptr;
  std::byte* scratch = nullptr;
  if (!fine(cudaStreamCreate(&stream), "stream") || !fine(cudaMalloc(&there, cache.size() * sizeof(float)), "cache") ||
      !fine(cudaMemcpy(there, cache.data(), cache.size() * sizeof(float), cudaMemcpyHostToDevice), "upload"))
    return 1;
  kvs::device::on const on{stream};
  auto const size = kvs::workspace_bytes<strategy>(on, view(there), params);
  std::vector<std::byte> counts(size.host);
  if (!fine(cudaMalloc(&scratch, size.device), "workspace")) return 1;
  kvs::token_plan const plan = kvs::plan<strategy>(on, view(there), params, {{scratch, size.device}, counts});
  if (!fine(plan.state)) return 1;

  int differ = 0;
  double apart = 0;
  for (int h = 0; h < heads; ++h) {
    std::vector<int> kept(keep);
    std::vector<float> score(tokens);
    if (!fine(cudaMemcpyAsync(kept.data(), plan.kept(0, h).data(), keep * sizeof(int), cudaMemcpyDeviceToHost, stream),
              "copy") ||
        !fine(cudaMemcpyAsync(score.data(), plan.scores(0, h).data(), tokens * sizeof(float), cudaMemcpyDeviceToHost,
                              stream),
              "copy") ||
        !fine(cudaStreamSynchronize(stream), "run"))
      return 1;
    auto const own_kept = expected.kept(0, h);
    std::vector<int> others;
    std::set_difference(kept.begin(), kept.end(), own_kept.begin(), own_kept.end(), std::back_inserter(others));
    differ += static_cast<int>(others.size());
    for (std::size_t t = 0; t < score.size(); ++t)
      if (double const want = expected.scores(0, h)[t]; std::isfinite(want))  // forced tokens are +inf
        apart = std::fmax(apart, std::abs(score[t] - want) / want);
  }
  std::printf("%d of %d tokens of each of %d heads stay; scores are within %.1e of the host's, which keeps %d others\n",
              keep, tokens, heads, apart, differ);
  cudaFree(scratch);
  cudaFree(there);
  cudaStreamDestroy(stream);
  // Sums are added in another order, so two tokens at the cut may change places.
  return apart < 1e-5 && differ <= heads ? 0 : 1;
}
