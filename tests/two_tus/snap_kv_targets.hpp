// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cstddef>
#include <vector>

#include <kvsieve/kvsieve.hpp>

inline constexpr int observed_tokens = 300, observed_dim = 64, observed_group = 4, observed_window = 32;

// The tokens that SnapKV keeps of bf16 keys, a quarter. Each translation unit has its own copy of this.
[[maybe_unused]] static std::vector<int> snap_quarter(kvsieve::bf16* keys, kvsieve::bf16* queries) {
  using strategy = kvsieve::snap_kv<>;
  strategy::params const params{.score = {.window = observed_window}, .budget = {.keep = 0.25}};
  kvsieve::host::on const on;
  kvsieve::kv_layer const cache{kvsieve::make_rows<observed_dim>(keys, 1, observed_tokens),
                                kvsieve::make_rows<observed_dim>(keys, 1, observed_tokens)};
  auto const observed = kvsieve::make_rows<observed_dim>(queries, observed_group, observed_window);
  std::vector<std::byte> memory(kvsieve::workspace_bytes<strategy>(on, cache, observed, params) + 64);
  std::size_t const skip = (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
  auto const plan = kvsieve::plan<strategy>(on, cache, observed, params, std::span(memory).subspan(skip));
  if (!plan) return {};
  auto const kept = plan.kept(0, 0);
  return {kept.begin(), kept.end()};
}
