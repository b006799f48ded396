// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The features of the evicted half of a cache, summed with their values, against the machine's multiply-adds: those of
// the two products of the network and of the sums.
#include <kvsieve/evict/low_rank_state.hpp>
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/low_rank_state.hpp>

#include <cmath>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"
#include "shapes.hpp"

namespace kvsieve::bench {
namespace {
constexpr int rank = 8, units = 512;  // the paper's
using strategy = compressor<score::random, evict::low_rank_state>;

cs::span<float const> numbers(int heads, int each) {
  static std::vector<float> const all = [] {
    std::vector<float> f(static_cast<std::size_t>(kv_heads) * head_dim * units);
    for (std::size_t i = 0; i < f.size(); ++i) f[i] = static_cast<float>(i * 7 % 13) * 0.01f - 0.06f;
    return f;
  }();
  return {all.data(), static_cast<std::size_t>(heads * each)};
}

/// A plan for one layer that keeps half, sums, and memory for the result and for apply.
template <class T>
struct prepared {
  explicit prepared(cache<T> const& layer)
      : sums(static_cast<std::size_t>(low_rank_sums::floats(layer.heads(), rank, head_dim))),
        state{sums.data(), layer.heads(), rank, head_dim},
        of_plan(workspace_bytes<strategy>(on(), layer, params())),
        plan(kvsieve::plan<strategy>(on(), layer, params(), of_plan.bytes())),
        of_apply(apply_workspace_bytes<strategy>(on(), plan, layer, params())),
        rows(2 * elements() * sizeof(T)) {}
  [[nodiscard]] strategy::params params() const {
    strategy::params p;
    p.budget.keep = 0.5;
    p.evict = {{&state, 1},
               rank,
               units,
               numbers(state.heads, head_dim * units),
               numbers(state.heads, units * rank),
               numbers(state.heads, rank * rank),
               numbers(state.heads, rank),
               numbers(state.heads, rank),
               {}};
    return p;
  }
  [[nodiscard]] std::size_t elements() const {
    return static_cast<std::size_t>(plan.heads) * static_cast<std::size_t>(plan.count()) * head_dim;
  }
  status run(cache<T> const& layer) {
    T* const p = reinterpret_cast<T*>(rows.bytes().data());
    kv_layer const to{make_rows<head_dim>(p, plan.heads, plan.count()),
                      make_rows<head_dim>(p + elements(), plan.heads, plan.count())};
    return apply<strategy>(on(), plan, layer, to, params(), of_apply.bytes());
  }
  std::vector<float> sums;
  low_rank_sums state;
  workspace of_plan;
  token_plan plan;
  workspace of_apply, rows;
};

template <class T>
bool matches() {
  auto const layer = small_layer<T>();
  prepared<T> p(layer);
  if (!p.run(layer)) return false;
  auto const part = [&](cs::span<float const> t, int heads) {
    std::size_t const each = t.size() / static_cast<std::size_t>(heads);
    return std::span<float const>(t.data() + each, each);
  };
  auto const w = p.params().evict;
  auto const kept = p.plan.kept(0, 1);
  reference::head_to_merge const head(layer.keys, layer.values, 1, std::span<int const>(kept.data(), kept.size()));
  reference::low_rank_state want(rank, head_dim);
  reference::low_rank_network const network{part(w.in, layer.heads()), part(w.out, layer.heads()),
                                            part(w.mix, layer.heads()), part(w.scale, layer.heads()),
                                            part(w.mix_scale, layer.heads())};
  for (int const t : head.evicted) want.add(network, head.key(t), head.value(t));
  double error = 0, largest = 1e-30;
  for (int c = 0; c < rank; ++c)
    for (int d = 0; d < head_dim; ++d) {
      double const x = want.h[static_cast<std::size_t>(c)][static_cast<std::size_t>(d)];
      largest = std::max(largest, std::abs(x));
      error = std::max(error, std::abs(x - static_cast<double>(p.state.row(1, c)[d])));
    }
  return error < 1e-3 * largest;
}

template <class T>
int against_products(int tokens) {
  std::string const name = "evict/low_rank_state",
                    full = name + "/" + name_of(dtype_of<T>) + "/" + std::to_string(tokens);
  benchmark::RegisterBenchmark(full.c_str(),
                               [name, tokens](benchmark::State& state) {
                                 static bool const right = matches<T>();
                                 if (!right) return state.SkipWithError("sums differ from the reference");
                                 prepared<T> p(cold_layer<T>(tokens));
                                 double const evicted = tokens - p.plan.count();
                                 double const flops = 2.0 * kv_heads * evicted * (units + rank) * head_dim +
                                                      2.0 * kv_heads * evicted * units * rank;
                                 constexpr double part = 8;
                                 status last;
                                 in_turns(
                                     state, name.c_str(), dtype_of<T>, tokens,
                                     {.limit = "multiply-adds",
                                      .flops = flops,
                                      .machine = measured_limits().flops,
                                      .scale = part,
                                      .goal = 1.0 / 3},
                                     [&] { last = p.run(cold_layer<T>(tokens)); }, [&] { multiply_add(flops / part); });
                                 if (!last) state.SkipWithError("apply refused its arguments");
                               })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond)
      ->Iterations(5);
  return 0;
}
[[maybe_unused]] int const registered[] = {against_products<float>(4096), against_products<bf16>(4096)};
}  // namespace
}  // namespace kvsieve::bench
