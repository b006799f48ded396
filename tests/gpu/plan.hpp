// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A grouped cache on both machines, and the plans that both make of it.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <memory>
#include <vector>

#include <kvsieve/host/run.hpp>
#include <kvsieve/kvsieve.cuh>
#include <kvsieve/reference/top_k.hpp>

#include "case.hpp"
#include "memory.hpp"

namespace kvsieve_test {

template <class T>
std::vector<T> fetch(T const* from, std::size_t count) {
  std::vector<T> got(count);
  REQUIRE(cudaMemcpy(got.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
  return got;
}

/// What a plan on the device says of one head, on the host.
struct result {
  std::vector<float> score;
  std::vector<int> kept;
};
inline result fetch(kvs::token_plan const& plan, int view, int head) {
  auto const s = plan.scores(view, head);
  auto const k = plan.kept(view, head);
  return {fetch(s.data(), s.size()), fetch(k.data(), k.size())};
}

inline kvs::device::workspace workspace_of(buffer const& device, std::vector<std::byte>& host) {
  return {device.bytes(), host};
}

/// Views of several lengths with keys, values, and a query for each token and query head.
template <class T, int D>
struct grouped_cache {
  using view = kvs::rows<T, D>;
  using layer = kvs::kv_layer<view>;
  int heads, group;
  std::vector<int> lengths;
  std::vector<std::unique_ptr<tensor<T, D>>> keys, values, queries;

  grouped_cache(int kv_heads, int query_heads_each, std::vector<int> tokens, unsigned seed = 1)
      : heads(kv_heads), group(query_heads_each), lengths(std::move(tokens)) {
    for (int const n : lengths) {
      keys.push_back(std::make_unique<tensor<T, D>>(heads, n, seed++));
      values.push_back(std::make_unique<tensor<T, D>>(heads, n, seed++));
      queries.push_back(std::make_unique<tensor<T, D>>(heads * group, n, seed++));
      for (auto const* const all : {&keys, &values, &queries}) all->back()->upload();
    }
  }
  [[nodiscard]] std::vector<layer> on_device() const {
    std::vector<layer> all;
    for (std::size_t v = 0; v < lengths.size(); ++v) all.push_back({keys[v]->on_device(), values[v]->on_device()});
    return all;
  }
  [[nodiscard]] std::vector<layer> on_host() const {
    std::vector<layer> all;
    for (std::size_t v = 0; v < lengths.size(); ++v) all.push_back({mine(*keys[v]), mine(*values[v])});
    return all;
  }
  [[nodiscard]] std::vector<view> queries_on_device() const {
    std::vector<view> all;
    for (auto const& q : queries) all.push_back(q->on_device());
    return all;
  }
  [[nodiscard]] std::vector<view> queries_on_host() const {
    std::vector<view> all;
    for (auto const& q : queries) all.push_back(mine(*q));
    return all;
  }

 private:
  static view mine(tensor<T, D>& t) { return kvs::make_rows<D>(t.host.data(), t.heads, t.tokens); }
};

/// A plan and the memory that it lies in.
struct device_plan {
  std::unique_ptr<buffer> memory;
  std::vector<std::byte> host;
  std::vector<kvs::index> offset;  // of a plan whose counts the device makes
  kvs::token_plan plan;
};

template <class C, class T, int D>
device_plan plan_on_device(kvs::device::on on, grouped_cache<T, D> const& cache, typename C::params const& p) {
  auto const layers = cache.on_device();
  auto const queries = cache.queries_on_device();
  kvs::kv_group<typename grouped_cache<T, D>::layer> const group(layers.data(), layers.size());
  kvs::cs::span<typename grouped_cache<T, D>::view const> const observed(queries.data(), queries.size());
  device_plan made;
  auto const plan = [&](auto const&... q) {
    auto const size = kvs::workspace_bytes<C>(on, group, q..., p);
    made.memory = std::make_unique<buffer>(size.device);
    made.host.resize(size.host);
    REQUIRE(cudaMemset(made.memory->template as<void>(), 0xcd, size.device) == cudaSuccess);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
    auto const planned = kvs::plan<C>(on, group, q..., p, workspace_of(*made.memory, made.host));
    if constexpr (std::is_same_v<kvs::device::plan_of<C>, kvs::device::open_plan>) {
      made.offset.resize(static_cast<std::size_t>(planned.entries()));
      made.plan = kvs::copy_offsets(on, planned, made.offset);
    } else {
      made.plan = planned;
    }
  };
  if constexpr (C::observes_queries)
    plan(observed);
  else
    plan();
  char line[200];
  INFO(made.plan.state.message(line));
  REQUIRE(made.plan);
  REQUIRE(cudaStreamSynchronize(on.stream()) == cudaSuccess);
  return made;
}

struct alignas(64) host_line {
  std::byte byte[64];
};
struct host_plan {
  std::vector<host_line> memory;
  kvs::token_plan plan;
};
template <class C, class T, int D>
host_plan plan_on_host(grouped_cache<T, D> const& cache, typename C::params const& p) {
  kvs::host::on<> const inline_;
  auto const layers = cache.on_host();
  auto const queries = cache.queries_on_host();
  kvs::kv_group<typename grouped_cache<T, D>::layer> const group(layers.data(), layers.size());
  kvs::cs::span<typename grouped_cache<T, D>::view const> const observed(queries.data(), queries.size());
  host_plan made;
  auto const plan = [&](auto const&... q) {
    made.memory.resize(kvs::workspace_bytes<C>(inline_, group, q..., p) / 64 + 1);
    made.plan = kvs::plan<C>(inline_, group, q..., p,
                             std::span(reinterpret_cast<std::byte*>(made.memory.data()), made.memory.size() * 64));
  };
  if constexpr (C::observes_queries)
    plan(observed);
  else
    plan();
  REQUIRE(made.plan);
  return made;
}

/// How far scores may lie apart: `bound` of the larger of `least` and the score.
struct closeness {
  double bound = 2e-5, least = 1e-3;
};
/// Of cosines, whose products of up to 1 are rounded however close to 0 their sum is.
constexpr closeness cosines{2e-5, 0.05};

/// The two plans agree: scores up to rounding, kept sets but for tokens whose scores are that close. What the device
/// keeps follows from its own scores. `skip(view, head, token)`: a token whose score may be another one.
template <class C, class Skip>
void compare(kvs::token_plan const& there, kvs::token_plan const& here, closeness const& close, Skip const& skip) {
  REQUIRE(there.views == here.views);
  REQUIRE(there.heads == here.heads);
  CHECK(there.uniformity_class == here.uniformity_class);
  for (int v = 0; v < here.views; ++v) {
    REQUIRE(there.tokens(v) == here.tokens(v));
    for (int h = 0; h < here.heads; ++h) {
      CAPTURE(v, h);
      REQUIRE(there.count(v, h) == here.count(v, h));
      result const got = fetch(there, v, h);
      auto const want = here.scores(v, h);
      int far = 0, forced = 0;
      for (std::size_t t = 0; t < want.size(); ++t) {
        double const g = static_cast<double>(got.score[t]), w = static_cast<double>(want[t]);
        forced += std::isinf(w) && w > 0 ? 1 : 0;
        if (std::isnan(w) ? std::isnan(g) : g == w) continue;
        if (std::abs(g - w) <= close.bound * std::max(close.least, std::abs(w))) continue;
        if (skip(v, h, static_cast<int>(t))) continue;
        if (far++ == 0) UNSCOPED_INFO("token " << t << ": device " << g << ", host " << w);
      }
      CHECK(far == 0);

      auto const stay = here.kept(v, h);
      std::vector<int> apart;
      std::set_symmetric_difference(got.kept.begin(), got.kept.end(), stay.begin(), stay.end(),
                                    std::back_inserter(apart));
      double lowest = INFINITY, highest = -INFINITY;
      bool skipped = false;
      for (int const t : apart) {
        lowest = std::min(lowest, static_cast<double>(want[static_cast<std::size_t>(t)]));
        highest = std::max(highest, static_cast<double>(want[static_cast<std::size_t>(t)]));
        skipped = skipped || skip(v, h, t);
      }
      CHECK(
          (apart.empty() || skipped || highest - lowest <= 2 * close.bound * std::max(close.least, std::abs(highest))));

      // Forced tokens are +inf by now, so the scores alone tell what stays.
      if (!C::select_policy::in_partitions && forced <= there.count(v, h)) {
        std::vector<double> const wide(got.score.begin(), got.score.end());
        CHECK(got.kept == kvs::reference::top_k(wide, there.count(v, h)));
      }
    }
  }
}

/// Plans on both machines and compares.
template <class C, class T, int D>
void same_as_host(grouped_cache<T, D> const& cache, typename C::params const& p, closeness const& close = {}) {
  stream s;
  device_plan const there = plan_on_device<C>(kvs::device::on{s.handle}, cache, p);
  host_plan const here = plan_on_host<C>(cache, p);
  compare<C>(there.plan, here.plan, close, [](int, int, int) { return false; });
}
}  // namespace kvsieve_test
