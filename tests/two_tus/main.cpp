// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <cstdio>
#include <vector>

int kept_base(float*, float*);
int lanes_base();
int kept_wide(float*, float*);
int lanes_wide();

int main() {
  std::vector<float> k(256 * 64), v(k.size(), 1.0f);
  for (std::size_t i = 0; i < k.size(); ++i) k[i] = static_cast<float>(i * 7919 % 101) - 50.0f;
  bool const apart = lanes_base() == 4 && lanes_wide() == 16;
  int const base = kept_base(k.data(), v.data());
  int const wide = __builtin_cpu_supports("avx512vl") != 0 ? kept_wide(k.data(), v.data()) : base;
  std::printf("lanes %d and %d, kept %d and %d\n", lanes_base(), lanes_wide(), base, wide);
  return apart && base == 128 && wide == 128 ? 0 : 1;
}
