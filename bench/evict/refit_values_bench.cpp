// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Value refit of a quarter of a cache to 256 of its last queries, against the machine's multiply-adds: those of the
// queries with the whole cache, of the weights with the values, and of the least squares.
#include <kvsieve/host/refit_values.hpp>
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/refit_values.hpp>
#include <kvsieve/reference/row.hpp>

#include <cmath>
#include <vector>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"
#include "shapes.hpp"

namespace kvsieve::bench {
namespace {
using strategy = compressor<score::random, store::ragged>;
constexpr int observed = 256;

strategy::params quarter() {
  strategy::params p;
  p.budget.keep = 0.25;
  return p;
}

/// A plan for one layer, its kept rows as they are, and memory for the fit.
template <class T>
struct prepared {
  prepared(cache<T> const& whole, matrix<T> const& queries)
      : layer(whole),
        asked(queries),
        of_plan(workspace_bytes<strategy>(on(), layer, quarter())),
        plan(kvsieve::plan<strategy>(on(), layer, quarter(), of_plan.bytes())),
        rows(2 * elements() * sizeof(T)),
        out(elements()),
        kept(view(reinterpret_cast<T*>(rows.bytes().data()))),
        fitted(applied() ? refit_values_workspace_bytes(on(), one(asked), one(layer), plan, one(kept), {}) : 0) {}
  static auto one(auto const& x) { return cs::span(&x, 1); }
  [[nodiscard]] std::size_t elements() const {
    return static_cast<std::size_t>(plan.heads) * static_cast<std::size_t>(plan.count()) * head_dim;
  }
  [[nodiscard]] kv_layer<kvsieve::rows<T, head_dim>> view(T* p) const {
    return {make_rows<head_dim>(p, plan.heads, plan.count()),
            make_rows<head_dim>(p + elements(), plan.heads, plan.count())};
  }
  bool applied() { return static_cast<bool>(apply<strategy>(on(), plan, layer, kept)); }
  [[nodiscard]] auto result() { return make_rows<head_dim>(out.data(), plan.heads, plan.count()); }
  status run() {
    auto const to = result();
    return refit_values(on(), one(asked), one(layer), plan, one(kept), one(to), {}, fitted.bytes());
  }
  cache<T> layer;
  matrix<T> asked;
  workspace of_plan;
  token_plan plan;
  workspace rows;
  std::vector<float> out;
  kv_layer<kvsieve::rows<T, head_dim>> kept;
  workspace fitted;
};

template <class T>
bool matches() {
  constexpr int few = 64, group = query_heads / kv_heads;
  auto const layer = small_layer<T>();
  prepared<T> p(layer, small_queries<T>(few));
  if (!p.run()) return false;
  auto const list = p.plan.kept(0, 1);
  auto const row = [](auto const& view, index token) {
    std::vector<double> r;
    for (int d = 0; d < head_dim; ++d) r.push_back(reference::element_at(view, 1, token, d));
    return r;
  };
  reference::matrix values, kept;
  for (index t = 0; t < small_tokens; ++t) values.push_back(row(layer.values, t));
  for (int const t : list) kept.push_back(values[static_cast<std::size_t>(t)]);
  std::vector<reference::refit_row> fitted;
  for (int g = group; g < 2 * group; ++g)
    for (int i = 3; i < few; i += 4) {  // every fourth, the last one among them
      auto& r = fitted.emplace_back();
      for (index t = 0; t < small_tokens; ++t) {
        double z = 0;
        for (int d = 0; d < head_dim; ++d)
          z += reference::element_at(p.asked, g, i, d) * reference::element_at(layer.keys, 1, t, d);
        r.whole.push_back(t <= small_tokens - few + i ? z / std::sqrt(double{head_dim}) : -INFINITY);
      }
      for (int const t : list) r.kept.push_back(r.whole[static_cast<std::size_t>(t)]);
    }
  auto const moves = reference::refit_values(fitted, values, kept, {}, 0.1);
  auto const got = p.result();
  for (std::size_t e = 0; e < kept.size(); ++e)
    for (std::size_t d = 0; d < head_dim; ++d)
      if (!(std::abs(got(1, static_cast<index>(e), static_cast<index>(d)) - (kept[e][d] + moves[e][d])) <= 1e-3))
        return false;
  return true;
}

int against_products() {
  auto const one = [](auto type, int tokens) {
    using T = decltype(type);
    std::string const full = "evict/refit_values/" + std::string(name_of(dtype_of<T>)) + "/" + std::to_string(tokens);
    benchmark::RegisterBenchmark(
        full.c_str(),
        [tokens](benchmark::State& state) {
          static bool const right = matches<T>();
          if (!right) return state.SkipWithError("fitted values differ from the reference");
          prepared<T> p(cold_layer<T>(tokens), some_queries<T>(observed));
          double const n = p.plan.count(), rows = double{query_heads} / kv_heads * observed / 4;
          double const least = n < rows ? n : rows, most = n < rows ? rows : n;
          double const products = 2 * rows * (tokens + n) * head_dim + least * least * most / 2 +
                                  least * least * least / 6 + least * (least + most) * head_dim;
          double const flops = 2.0 * kv_heads * products;
          constexpr double part = 4;
          status last;
          in_turns(
              state, "evict/refit_values", dtype_of<T>, tokens,
              {.limit = "multiply-adds",
               .flops = flops,
               .machine = measured_limits().flops,
               .scale = part,
               .goal = 0.5},
              [&] { last = p.run(); }, [&] { multiply_add(flops / part); });
          if (!last) state.SkipWithError("refit_values refused its arguments");
        })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(tokens <= 4096 ? 15 : 5);
  };
  for (int const tokens : {4096, 16384}) one(float{}, tokens), one(bf16{}, tokens);
  return 0;
}
[[maybe_unused]] int const registered = against_products();
}  // namespace
}  // namespace kvsieve::bench
