// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "pool.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "shapes.hpp"
#include "team.hpp"

namespace kvsieve::bench {

std::size_t last_level_cache() {
  long largest = 0;
#if defined(_SC_LEVEL3_CACHE_SIZE)
  for (int const name : {_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE}) largest = std::max(largest, sysconf(name));
#endif
  return largest > 0 ? static_cast<std::size_t>(largest) : std::size_t{32} << 20;
}

void* huge_memory(std::size_t bytes) {
  constexpr std::size_t page = std::size_t{2} << 20;
  void* const p = mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    std::fprintf(stderr, "kvsieve_bench: no memory for %zu MB\n", bytes >> 20);
    std::exit(1);
  }
  auto const start = (reinterpret_cast<std::uintptr_t>(p) + page - 1) / page * page;
#if defined(MADV_HUGEPAGE)
  madvise(reinterpret_cast<void*>(start), bytes, MADV_HUGEPAGE);
#endif
  return reinterpret_cast<void*>(start);
}

namespace {
/// A block of normals, repeated from a shifting start so that no two heads are alike.
template <element T>
ring<T> filled() {
  constexpr std::size_t block = std::size_t{1} << 20, shifts = 4096;
  std::size_t const two_sets = 2 * 2 * elements_of(longest) * sizeof(T);
  std::size_t const wanted = std::max({std::size_t{256} << 20, 4 * last_level_cache(), two_sets});
  std::size_t const bytes = std::min(wanted, std::size_t{1200} << 20);
  std::size_t const blocks = bytes / sizeof(T) / block;
  std::vector<T> numbers(block + shifts);
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  for (T& x : numbers) x = from_float<T>(normal(generator));
  T* const base = static_cast<T*>(huge_memory(blocks * block * sizeof(T)));
  on().for_each(static_cast<index>(blocks), [&](index i, int) {
    auto const b = static_cast<std::size_t>(i);
    std::memcpy(base + b * block, numbers.data() + b * 131 % shifts, block * sizeof(T));
  });
  return {base, blocks * block};
}
}  // namespace

template <element T>
ring<T>& pool() {
  static ring<T> numbers = filled<T>();
  return numbers;
}
template ring<float>& pool<float>();
template ring<bf16>& pool<bf16>();
template ring<f16>& pool<f16>();

ring<std::byte>& sink() {
  static ring<std::byte> memory = [] {
    std::size_t const bytes = std::max(std::size_t{256} << 20, 2 * elements_of(longest) * sizeof(float));
    auto* const p = static_cast<std::byte*>(huge_memory(bytes));
    std::memset(p, 1, bytes);
    return ring<std::byte>(p, bytes);
  }();
  return memory;
}
}  // namespace kvsieve::bench
