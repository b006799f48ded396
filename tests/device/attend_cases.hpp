// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Caches for decode attention on emulated blocks, and what the host and the reference make of them.
#pragma once
#include <kvsieve/device/attend/attend.hpp>
#include <kvsieve/host/run.hpp>
#include <kvsieve/reference/attend.hpp>

#include <catch2/catch_all.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "cache.hpp"
#include "emulated_block.hpp"
#include "workspace.hpp"

namespace attend_cases {
namespace kvs = kvsieve;
using kvs::index;
using support::all_combinations;

/// Elements that begin at a multiple of 64 bytes, as device memory does, and end where they end.
template <class T>
class room {
 public:
  explicit room(index count) : count_(count), memory_(static_cast<std::size_t>(count) * sizeof(T)) {}
  [[nodiscard]] T* data() const { return reinterpret_cast<T*>(memory_.span().data()); }
  [[nodiscard]] index size() const { return count_; }
  [[nodiscard]] T& operator[](index i) const { return data()[i]; }
  [[nodiscard]] bool guards_hold() const { return memory_.guards_hold(); }

 private:
  index count_;
  mutable support::workspace memory_;
};
template <class T>
room<T> normal_room(std::mt19937& random, index count, float size = 1.0f) {
  std::normal_distribution<float> normal;
  room<T> r(count);
  for (index i = 0; i < count; ++i) r[i] = kvs::from_float<T>(size * normal(random));
  return r;
}
inline index below(std::mt19937& random, index n) {
  return static_cast<index>(random() % static_cast<std::uint32_t>(n));
}

/// One view's query rows, of twice the usual size, and the shape of its group.
struct shape {
  index heads, group, asked;
  [[nodiscard]] index rows() const { return heads * group * asked; }
};
inline shape random_shape(std::mt19937& random, index most_heads = 3) {
  index const asked[] = {1, 1, 2, 8, 1 + below(random, kvs::most_new_queries)};
  index const heads = 1 + below(random, most_heads), group = 1 + below(random, 8);
  return {heads, group, asked[below(random, 5)]};
}

/// What attend gives for some views.
struct results {
  std::vector<std::vector<float>> out, sums;
};

template <class V>
auto span_of(std::vector<V> const& v) {
  return kvs::cs::span<V const>(v.data(), v.size());
}

/// Calls f(out views, options) with results to be filled.
template <int D, class F>
results into(std::vector<shape> const& shapes, F const& f) {
  results r;
  std::vector<kvs::rows<float, D>> outs;
  std::vector<kvs::query_numbers> numbers;
  for (shape const& s : shapes) {
    r.out.emplace_back(static_cast<std::size_t>(s.rows() * D), -7.0f);
    r.sums.emplace_back(static_cast<std::size_t>(s.rows()), -7.0f);
  }
  for (std::size_t v = 0; v < shapes.size(); ++v) {
    outs.push_back(kvs::make_rows<D>(r.out[v].data(), shapes[v].heads * shapes[v].group, shapes[v].asked));
    numbers.emplace_back(r.sums[v].data(), shapes[v].heads * shapes[v].group, shapes[v].asked);
  }
  f(span_of(outs), kvs::attend_options{.log_sum_exp = span_of(numbers)});
  return r;
}

/// On emulated blocks, in a workspace of exactly the bytes asked for.
template <int Threads, class Queries, class Layer>
results on_blocks(std::vector<shape> const& shapes, std::vector<Queries> const& queries,
                  std::vector<Layer> const& layers, int* launches = nullptr) {
  kvsieve_test::emulated_device<Threads> const on{launches};
  return into<Layer::head_dim>(shapes, [&](auto out, kvs::attend_options const& options) {
    kvs::device::attention<kvsieve_test::emulated_device<Threads>, Queries, Layer> const call(on, span_of(queries),
                                                                                              span_of(layers));
    support::workspace memory(call.bytes());
    kvs::status const s = call.run(out, options, memory.span());
    char line[200];
    INFO(s.message(line));
    REQUIRE(s);
    REQUIRE(memory.guards_hold());
  });
}
template <class Queries, class Layer>
results on_host(std::vector<shape> const& shapes, std::vector<Queries> const& queries,
                std::vector<Layer> const& layers) {
  kvs::host::on<> const on;
  return into<Layer::head_dim>(shapes, [&](auto out, kvs::attend_options const& options) {
    support::workspace memory(kvs::attend_workspace_bytes(on, span_of(queries), span_of(layers)));
    REQUIRE(kvs::attend(on, span_of(queries), span_of(layers), out, memory.span(), options));
  });
}

/// Largest distance from the reference, over all outputs and log-sum-exps.
template <class Queries, class Layer>
double distance(results const& got, std::vector<shape> const& shapes, std::vector<Queries> const& queries,
                std::vector<Layer> const& layers) {
  constexpr int D = Layer::head_dim;
  double most = 0;
  for (std::size_t v = 0; v < layers.size(); ++v)
    for (index q = 0; q < shapes[v].heads * shapes[v].group; ++q)
      for (index i = 0; i < shapes[v].asked; ++i) {
        std::vector<double> query(D), out(D);
        for (int d = 0; d < D; ++d)
          query[static_cast<std::size_t>(d)] = static_cast<double>(kvs::to_float(queries[v](q, i, d)));
        index const head = q / shapes[v].group;
        kvs::reference::attended want(query);
        kvs::each_part(layers[v], [&](auto const& part, int number) {
          bool const own = number == kvs::part_count<Layer> - 1;
          want.see(part.keys, part.values, head, part.tokens(head) - (own ? shapes[v].asked - 1 - i : 0),
                   [&](index h, index t) {
                     if constexpr (requires { part.bias(h, t); })
                       return static_cast<double>(part.bias(h, t));
                     else
                       return 0.0;
                   });
        });
        double const sum = want.finish(out);
        auto const row = static_cast<std::size_t>(q * shapes[v].asked + i);
        auto const add = [&](float is, double should) {
          if (static_cast<double>(is) == should) return;
          double const apart = std::abs(static_cast<double>(is) - should);
          most = apart <= most ? most : apart;  // a NaN stays
        };
        add(got.sums[v][row], sum);
        for (std::size_t d = 0; d < D; ++d) add(got.out[v][row * D + d], out[d]);
      }
  return most;
}
/// Largest distance of two results; equal infinities and NaNs at the same place count as none.
inline double distance(results const& a, results const& b) {
  double most = 0;
  auto const both = [&](std::vector<std::vector<float>> const& x, std::vector<std::vector<float>> const& y) {
    for (std::size_t v = 0; v < x.size(); ++v)
      for (std::size_t i = 0; i < x[v].size(); ++i) {
        if (x[v][i] == y[v][i] || (std::isnan(x[v][i]) && std::isnan(y[v][i]))) continue;
        double const apart = std::abs(static_cast<double>(x[v][i]) - static_cast<double>(y[v][i]));
        most = apart <= most ? most : apart;
      }
  };
  both(a.out, b.out);
  both(a.sums, b.sums);
  return most;
}

/// Logits of about 10 sizes, in float: each weight is off by 1e-6 or so of itself, and so is what they average.
inline constexpr double bound = 2e-5;

/// Emulated blocks, host and reference agree.
template <int Threads, class Queries, class Layer>
results agree(std::vector<shape> const& shapes, std::vector<Queries> const& queries, std::vector<Layer> const& layers) {
  results const got = on_blocks<Threads>(shapes, queries, layers);
  CHECK(distance(got, shapes, queries, layers) <= bound);
  CHECK(distance(got, on_host(shapes, queries, layers)) <= bound);
  return got;
}
}  // namespace attend_cases
