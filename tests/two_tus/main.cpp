// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <cpuid.h>

#include <cstdio>
#include <random>
#include <vector>

#include "snap_kv_targets.hpp"

int kept_base(float*, float*);
int lanes_base();
int kept_wide(float*, float*);
int lanes_wide();
std::vector<int> observed_base(kvsieve::bf16*, kvsieve::bf16*);
std::vector<int> observed_matrix(kvsieve::bf16*, kvsieve::bf16*);
bool matrix_granted();

namespace {
/// True on a CPU with AMX for bf16, of a process that may use it.
bool has_matrix_unit() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & bf16) != 0 && (d & tile) != 0 && matrix_granted();
}

std::vector<kvsieve::bf16> rows(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<kvsieve::bf16> data(static_cast<std::size_t>(count * observed_dim));
  for (auto& x : data) x = kvsieve::from_float<kvsieve::bf16>(normal(random));
  return data;
}
}  // namespace

int main() {
  std::vector<float> k(256 * 64), v(k.size(), 1.0f);
  for (std::size_t i = 0; i < k.size(); ++i) k[i] = static_cast<float>(i * 7919 % 101) - 50.0f;
  bool const apart = lanes_base() == 4 && lanes_wide() == 16;
  int const base = kept_base(k.data(), v.data());
  int const wide = __builtin_cpu_supports("avx512vl") != 0 ? kept_wide(k.data(), v.data()) : base;
  std::printf("lanes %d and %d, kept %d and %d\n", lanes_base(), lanes_wide(), base, wide);

  auto keys = rows(observed_tokens, 1), queries = rows(observed_group * observed_window, 2);
  auto const lanes = observed_base(keys.data(), queries.data());
  bool const matrix = has_matrix_unit();
  bool const same = !matrix || observed_matrix(keys.data(), queries.data()) == lanes;
  std::printf("SnapKV keeps %zu; %s\n", lanes.size(),
              !matrix ? "no matrix unit here: not compared"
              : same  ? "the same in tiles"
                      : "others in tiles");
  return apart && base == 128 && wide == 128 && lanes.size() == observed_tokens / 4 && same ? 0 : 1;
}
