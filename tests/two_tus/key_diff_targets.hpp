// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cstddef>
#include <vector>

#include <kvsieve/kvsieve.hpp>

inline constexpr int two_tus_tokens = 256, two_tus_dim = 64;

// Each translation unit has its own copy of this; what it calls has the target in its name.
static int keep_half(float* keys, float* values) {
  using strategy = kvsieve::key_diff<>;
  strategy::params const params{.budget = {.keep = 0.5}};
  kvsieve::host::on const on;
  kvsieve::kv_layer const cache{kvsieve::make_rows<two_tus_dim>(keys, 1, two_tus_tokens),
                                kvsieve::make_rows<two_tus_dim>(values, 1, two_tus_tokens)};
  std::vector<std::byte> memory(kvsieve::workspace_bytes<strategy>(on, cache, params) + 64);
  std::size_t const skip = (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
  auto const plan = kvsieve::plan<strategy>(on, cache, params, std::span(memory).subspan(skip));
  return plan ? plan.count() : -1;
}
