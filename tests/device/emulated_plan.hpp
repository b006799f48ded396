// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Random caches, and plans of the device's own launches made on emulated blocks.
#pragma once
#include <catch2/catch_all.hpp>
#include <cstdint>
#include <emulated_block.hpp>
#include <limits>
#include <random>
#include <vector>

#include <kvsieve/device/evict/compactor.hpp>
#include <kvsieve/device/plan/planner.hpp>
#include <kvsieve/presets.hpp>

namespace kvsieve_test {
namespace kvs = kvsieve;

inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
inline constexpr float infinite = std::numeric_limits<float>::infinity();

/// Elements of rows [heads, tokens, D], aligned as device memory is.
template <class T, int D>
struct tensor {
  struct alignas(64) line {
    T element[64 / sizeof(T)];
  };
  int heads, tokens;
  std::vector<line> memory;

  tensor(int h, int n, unsigned seed)
      : heads(h),
        tokens(n),
        memory(static_cast<std::size_t>(h) * static_cast<std::size_t>(n) * D * sizeof(T) / 64 + 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> lean(D);
    for (float& x : lean) x = normal(random);
    for (int head = 0; head < h; ++head) {
      for (int t = 0; t < n; ++t) {
        for (int d = 0; d < D; ++d)
          at(head, t, d) = kvs::from_float<T>(normal(random) + 0.5f * lean[static_cast<std::size_t>(d)]);
      }
    }
  }
  T* data() { return reinterpret_cast<T*>(memory.data()); }
  T& at(int head, int t, int d) { return data()[(static_cast<std::ptrdiff_t>(head) * tokens + t) * D + d]; }
  kvs::rows<T, D> view() { return kvs::make_rows<D>(data(), heads, tokens); }
};

template <class T, int D>
struct cache {
  tensor<T, D> keys, values;
  cache(int heads, int tokens, unsigned seed = 1) : keys(heads, tokens, seed), values(heads, tokens, seed + 1000) {}
  auto layer() { return kvs::kv_layer{keys.view(), values.view()}; }
};

struct alignas(64) workspace_line {
  std::byte byte[64];
};
/// Memory of a workspace, filled with rubbish.
struct workspace_memory {
  std::vector<workspace_line> device, host;
  explicit workspace_memory(kvs::device::workspace_size size) : device(size.device / 64 + 1), host(size.host / 64 + 1) {
    std::memset(static_cast<void*>(device.data()), 0xcd, device.size() * 64);
    std::memset(static_cast<void*>(host.data()), 0xcd, host.size() * 64);
    device_bytes = size.device;
    host_bytes = size.host;
  }
  std::size_t device_bytes, host_bytes;
  kvs::device::workspace get() {
    return {{reinterpret_cast<std::byte*>(device.data()), device_bytes},
            {reinterpret_cast<std::byte*>(host.data()), host_bytes}};
  }
};

/// A plan of the host's or a plan of which the device has the counts, and its memory.
template <class Plan>
struct made_plan {
  workspace_memory memory;
  Plan plan;
};

/// Plans on emulated blocks of `Threads` threads, in a workspace of exactly the bytes asked for.
template <class C, int Threads, class Layer, class Queries = kvs::device::no_queries>
made_plan<kvs::device::plan_of<C>> emulated_plan(std::vector<Layer> const& layers, typename C::params const& p,
                                                 std::vector<Queries> const& queries = {}) {
  emulated_device<Threads> const on;
  kvs::device::planner<C, emulated_device<Threads>, Layer, Queries> planner(on, {layers.data(), layers.size()},
                                                                            {queries.data(), queries.size()}, p);
  made_plan<kvs::device::plan_of<C>> made{workspace_memory(planner.bytes()), {}};
  made.plan = planner.run(made.memory.get());
  char line[200];
  INFO(made.plan.state.message(line));
  REQUIRE(made.plan);
  return made;
}

/// The same plan with its counts where the host reads them; on emulated blocks all memory is the host's.
inline kvs::token_plan on_host(kvs::token_plan const& plan) { return plan; }
inline kvs::token_plan on_host(kvs::device::open_plan const& plan) {
  return plan.with({plan.offset, static_cast<std::size_t>(plan.entries())});
}

inline std::vector<int> kept(kvs::token_plan const& plan, int view, int head) {
  auto const list = plan.kept(view, head);
  return {list.begin(), list.end()};
}
inline std::vector<double> scores(kvs::token_plan const& plan, int view, int head) {
  auto const s = plan.scores(view, head);
  return {s.begin(), s.end()};
}

/// True when every score is within `bound` of the expected one (relative to the larger of 1 and it), NaN where that is
/// NaN, and +inf is taken for a forced token.
inline bool near(std::vector<double> const& got, std::vector<double> const& expected, double bound, double least = 1) {
  for (std::size_t t = 0; t < got.size(); ++t) {
    if (std::isnan(got[t]) && std::isnan(expected[t])) continue;
    if (std::isinf(got[t]) && got[t] > 0) continue;
    if (got[t] == expected[t]) continue;
    if (!(std::abs(got[t] - expected[t]) <= bound * std::max(least, std::abs(expected[t])))) {
      UNSCOPED_INFO("token " << t << ": got " << got[t] << ", expected " << expected[t]);
      return false;
    }
  }
  return true;
}
}  // namespace kvsieve_test
