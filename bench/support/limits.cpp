// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "limits.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>

#include "pool.hpp"
#include "shapes.hpp"
#include "team.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace kvsieve::bench {
namespace {
#if defined(__AVX512F__)
constexpr int lanes = 16, chains = 20;
#elif defined(__AVX__)
constexpr int lanes = 8, chains = 12;
#else
constexpr int lanes = 4, chains = 12;
#endif
typedef float vector __attribute__((vector_size(4 * lanes)));
typedef float loose __attribute__((vector_size(4 * lanes), aligned(4), may_alias));

constexpr std::size_t step = 8 * sizeof(vector);

/// Calls work(begin, size) with each worker's share, cut at multiples of `step`.
template <class Work>
void share(std::size_t bytes, Work const& work) {
  int const all = workers().workers();
  workers()(all, [&](int w) {
    auto const cut = [&](int i) {
      return i == all ? bytes : bytes / step * static_cast<std::size_t>(i) / static_cast<std::size_t>(all) * step;
    };
    work(cut(w), cut(w + 1) - cut(w));
  });
}

float lanes_of(vector v) {
  float s = 0;
  for (int i = 0; i < lanes; ++i) s += v[i];
  return s;
}
}  // namespace

void read_sum(void const* from, std::size_t bytes) {
  share(bytes, [&](std::size_t begin, std::size_t size) {
    auto const* p = reinterpret_cast<loose const*>(static_cast<char const*>(from) + begin);
    vector sums[8] = {};
    for (std::size_t i = 0; i + 8 <= size / sizeof(vector); i += 8) {
#if defined(__clang__)
#pragma unroll
#else
#pragma GCC unroll 8
#endif
      for (std::size_t j = 0; j < 8; ++j) sums[j] += p[i + j];
    }
    for (int j = 1; j < 8; ++j) sums[0] += sums[j];
    float const total = lanes_of(sums[0]);
    benchmark::DoNotOptimize(total);
  });
}

void copy_streaming(void* to, void const* from, std::size_t bytes) {
  share(bytes, [&](std::size_t begin, std::size_t size) {
    char* const d = static_cast<char*>(to) + begin;
    char const* const s = static_cast<char const*>(from) + begin;
#if defined(__AVX512F__)
    for (std::size_t i = 0; i + 64 <= size; i += 64)
      _mm512_stream_si512(reinterpret_cast<__m512i*>(d + i), _mm512_loadu_si512(s + i));
    _mm_sfence();
#elif defined(__SSE2__)
    for (std::size_t i = 0; i + 16 <= size; i += 16)
      _mm_stream_si128(reinterpret_cast<__m128i*>(d + i), _mm_loadu_si128(reinterpret_cast<__m128i const*>(s + i)));
    _mm_sfence();
#else
    std::memcpy(d, s, size);
#endif
  });
}

void copy_plain(void* to, void const* from, std::size_t bytes) {
  share(bytes, [&](std::size_t begin, std::size_t size) {
    auto* const d = reinterpret_cast<loose*>(static_cast<char*>(to) + begin);
    auto const* const s = reinterpret_cast<loose const*>(static_cast<char const*>(from) + begin);
    for (std::size_t i = 0; i < size / sizeof(vector); ++i) {
      d[i] = s[i];
#if defined(__GNUC__)
      asm volatile("");  // keeps the loop from becoming a call of memcpy, which may stream
#endif
    }
  });
}

double multiply_add(double flops) {
  int const all = workers().workers();
  long const turns = std::max(1L, static_cast<long>(flops / (2.0 * chains * lanes * all)));
  workers()(all, [&](int) {
    vector sum[chains], x, y;
    for (int i = 0; i < lanes; ++i) x[i] = 1.0000001f, y[i] = 1e-9f;
    for (auto& s : sum) s = y;
    for (long k = 0; k < turns; ++k) {
#if defined(__clang__)
#pragma unroll
#else
#pragma GCC unroll 32
#endif
      for (int i = 0; i < chains; ++i) sum[i] = sum[i] * x + y;
#if defined(__x86_64__)
      asm volatile("" : "+v"(x), "+v"(y));
#endif
    }
    for (int i = 1; i < chains; ++i) sum[0] += sum[i];
    float const total = lanes_of(sum[0]);
    benchmark::DoNotOptimize(total);
  });
  return 2.0 * chains * lanes * all * static_cast<double>(turns);
}

limits const& measured_limits() {
  static limits const all = [] {
    constexpr std::size_t bytes = std::size_t{64} << 20;
    limits best;
    auto const keep = [](double& rate, double amount, timing t) { rate = std::max(rate, amount / t.wall * 1e-9); };
    // Arithmetic is the workers' own: time that others took from them does not count.
    auto const keep_own = [](double& rate, double amount, timing t) { rate = std::max(rate, amount / t.cpu * 1e-9); };
    for (int round = 0; round < 15; ++round) {
      void const* const from = pool<float>().take(bytes / sizeof(float));
      std::byte* const to = sink().take(bytes);
      keep(best.read, bytes, time_of([&] { read_sum(from, bytes); }));
      void const* const next = pool<float>().take(bytes / sizeof(float));
      keep(best.copy, 2.0 * bytes, time_of([&] { copy_streaming(to, next, bytes); }));
      void const* const last = pool<float>().take(bytes / sizeof(float));
      keep(best.plain_copy, 2.0 * bytes, time_of([&] { copy_plain(sink().take(bytes), last, bytes); }));
      double done = 0;
      auto const t = time_of([&] { done = multiply_add(1e9); });
      keep_own(best.flops, done, t);
    }
    return best;
  }();
  return all;
}
}  // namespace kvsieve::bench
