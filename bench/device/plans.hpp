// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans on the GPU: checked against the host's, then timed.
#pragma once
#include <kvsieve/host/run.hpp>
#include <kvsieve/kvsieve.cuh>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pool.hpp"
#include "record.hpp"

namespace kvsieve::bench::gpu {

template <class T>
constexpr char const* name_of() {
  return sizeof(T) == 4 ? "f32" : "bf16";
}
inline device::on on() { return device::on{stream()}; }

/// The host's workers, for checks alone.
inline host::team& team() {
  static host::team one(std::min(16, static_cast<int>(std::thread::hardware_concurrency())));
  return one;
}

/// One set of inputs.
template <class T>
struct inputs {
  std::vector<cache_layer<T>> layers;
  std::vector<matrix<T>> queries;

  inputs(pool<T>& from, int tokens, int count, int observed) : layers(from.layers(tokens, count)) {
    for (int i = 0; i < count && observed > 0; ++i) queries.push_back(from.rows_of(query_heads, observed));
  }
  [[nodiscard]] kv_group<cache_layer<T>> group() const { return {layers.data(), layers.size()}; }
  [[nodiscard]] cs::span<matrix<T> const> observed() const { return {queries.data(), queries.size()}; }
};

/// A plan's workspace, which all plans of one benchmark are made in.
struct plan_memory {
  memory there;
  std::vector<std::byte> here;
  explicit plan_memory(device::workspace_size const& s) : there(s.device), here(s.host) {}
  [[nodiscard]] device::workspace get() { return {there.bytes(), here}; }
};

template <class C, class T>
plan_memory memory_for(inputs<T> const& in, typename C::params const& p) {
  if constexpr (C::observes_queries)
    return plan_memory(workspace_bytes<C>(on(), in.group(), in.observed(), p));
  else
    return plan_memory(workspace_bytes<C>(on(), in.group(), p));
}
template <class C, class T>
token_plan plan_of(inputs<T> const& in, typename C::params const& p, plan_memory& m) {
  if constexpr (C::observes_queries)
    return plan<C>(on(), in.group(), in.observed(), p, m.get());
  else
    return plan<C>(on(), in.group(), p, m.get());
}

/// How far scores of the two machines may lie apart: `bound` of the larger of `least` and the score.
struct closeness {
  double bound = 1e-4, least = 1e-6;
};

template <class T>
struct host_rows {
  std::vector<T> data;
  matrix<T> view;
  host_rows(host_rows const&) = delete;
  explicit host_rows(matrix<T> const& m)
      : data(fetch(m.data_handle(), static_cast<std::size_t>(m.extent(0) * m.extent(1)) * head_dim)),
        view(make_rows<head_dim>(data.data(), m.extent(0), m.extent(1))) {}
};

/// Compares view `v` of a plan with the host's plan of the same numbers.
/// @returns what differs, or nothing.
template <class C, class T>
std::string difference(token_plan const& there, inputs<T> const& in, int v, typename C::params const& p,
                       closeness const& close) {
  auto const at = static_cast<std::size_t>(v);
  host_rows<T> keys(in.layers[at].keys), values(in.layers[at].values);
  cache_layer<T> const layer{keys.view, values.view};
  host::on const workers{team()};
  struct alignas(64) line {
    std::byte byte[64];
  };
  std::vector<line> room;
  token_plan here;
  auto const make = [&](auto const&... q) {
    room.resize(workspace_bytes<C>(workers, layer, q..., p) / 64 + 1);
    here = plan<C>(workers, layer, q..., p, std::span(reinterpret_cast<std::byte*>(room.data()), room.size() * 64));
  };
  std::unique_ptr<host_rows<T>> queries;
  if constexpr (C::observes_queries) {
    queries = std::make_unique<host_rows<T>>(in.queries[at]);
    make(queries->view);
  } else {
    make();
  }
  char text[256];
  if (!here) return "host: " + std::string(here.state.message(text));
  for (int h = 0; h < here.heads; ++h) {
    auto const s = there.scores(v, h);
    auto const got = fetch(s.data(), s.size());
    auto const want = here.scores(0, h);
    for (std::size_t t = 0; t < got.size(); ++t) {
      double const g = static_cast<double>(got[t]), w = static_cast<double>(want[t]);
      if (g == w || std::abs(g - w) <= close.bound * std::max(close.least, std::abs(w))) continue;
      std::snprintf(text, sizeof text, "view %d head %d token %zu: score %g, host %g", v, h, t, g, w);
      return text;
    }
    if (there.count(v, h) != here.count(0, h)) return "kept counts differ";
    auto const k = there.kept(v, h);
    auto const list = fetch(k.data(), k.size());
    auto const stay = here.kept(0, h);
    std::vector<int> apart;
    std::ranges::set_symmetric_difference(list, stay, std::back_inserter(apart));
    double lowest = INFINITY, highest = -INFINITY;
    for (int const t : apart) {
      lowest = std::min(lowest, static_cast<double>(want[static_cast<std::size_t>(t)]));
      highest = std::max(highest, static_cast<double>(want[static_cast<std::size_t>(t)]));
    }
    if (!apart.empty() && !(highest - lowest <= 2 * close.bound * std::max(close.least, std::abs(highest)))) {
      std::snprintf(text, sizeof text, "view %d head %d: %zu tokens kept by one alone, scores %g to %g", v, h,
                    apart.size(), lowest, highest);
      return text;
    }
  }
  return {};
}

/// Checks the first and the last view of a plan, then times plans of cold inputs. `least` is what one layer costs.
template <class C, class T>
void time_plan(char const* name, int tokens, int layers, int observed, typename C::params const& p, cost const& least,
               closeness const& close = {}) {
  record r{name, name_of<T>(), tokens, layers, {}, {}, {}};
  double const n = layers;
  r.least = {n * least.read, n * least.written, n * least.flops};
  std::vector<inputs<T>> sets;
  for (int i = 0; i < sets_of<T>(tokens, layers); ++i) sets.emplace_back(readable<T>(), tokens, layers, observed);
  plan_memory m = memory_for<C>(sets[0], p);
  token_plan const plan = plan_of<C>(sets[0], p, m);
  char text[256];
  if (!plan) {
    r.wrong = std::string(plan.state.message(text));
  } else {
    wait();
    r.wrong = difference<C>(plan, sets[0], 0, p, close);
    if (r.wrong.empty() && layers > 1) r.wrong = difference<C>(plan, sets[0], layers - 1, p, close);
  }
  if (r.wrong.empty()) {
    r.seconds = time_calls([&](int i) {
      token_plan const again = plan_of<C>(sets[static_cast<std::size_t>(i) % sets.size()], p, m);
      if (!again) must(cudaErrorUnknown, "plan");
    });
  }
  records().push_back(std::move(r));
}

/// Bytes of the keys (or values) of a layer.
template <class T>
double row_bytes(int tokens) {
  return static_cast<double>(elements_of(tokens) * sizeof(T));
}
inline double score_bytes(int tokens) { return 4.0 * kv_heads * tokens; }
}  // namespace kvsieve::bench::gpu
