// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One of two libraries that use kvsieve by themselves, compiled for different architectures and flags, and that one
// program loads. Each has to launch its own kernels.
#include <kvsieve/device/run.cuh>
#include <kvsieve/presets.hpp>

#include "library.hpp"

namespace kvs = kvsieve;

namespace {
using strategy = kvs::streaming_llm<>;
constexpr int heads = 2, tokens = 100, head_dim = 64;

// Rows that no kernel reads here: where no memory is, the call is refused first.
library_answer ask(kvs::bf16* rows, std::byte* memory) {
  kvs::device::on const on{nullptr};
  kvs::kv_layer const layer{kvs::make_rows<head_dim>(rows, heads, tokens),
                            kvs::make_rows<head_dim>(rows, heads, tokens)};
  strategy::params const params{.budget = {.keep = 0.25}};
  auto const size = kvs::workspace_bytes<strategy>(on, layer, params);
  alignas(64) static std::byte counts[1024];
  library_answer a{kvs::device::build_tag<__CUDA_ARCH_LIST__>(), size.device, size.host, 0, 0, 0};
  if (size.host > sizeof counts) return a;
  kvs::token_plan const plan =
      kvs::plan<strategy>(on, layer, params, {{memory, memory == nullptr ? 0 : size.device}, {counts, size.host}});
  a.refused = static_cast<int>(plan.state.code);
  a.native = plan.state.native;
  if (plan) a.kept = plan.count(0, 0);
  return a;
}
}  // namespace

extern "C" __attribute__((visibility("default"))) library_answer KVSIEVE_LIBRARY(void* rows, void* memory) {
  return ask(static_cast<kvs::bf16*>(rows), static_cast<std::byte*>(memory));
}
