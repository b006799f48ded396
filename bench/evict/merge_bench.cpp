// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merging the evicted half of a cache into the kept half against the machine's multiply-adds: those of the product of
// evicted and kept keys that the search contains.
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/merge.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"
#include "shapes.hpp"

namespace kvsieve::bench {
namespace {
template <class E>
using merging = compressor<score::random, E>;

template <class C>
typename C::params half() {
  typename C::params p;
  p.budget.keep = 0.5;
  return p;
}

/// A plan for one layer, and memory for its result and for apply.
template <class C, class T>
struct prepared {
  explicit prepared(cache<T> const& layer)
      : of_plan(workspace_bytes<C>(on(), layer, half<C>())),
        plan(kvsieve::plan<C>(on(), layer, half<C>(), of_plan.bytes())),
        of_apply(apply_workspace_bytes<C>(on(), plan, layer, half<C>())),
        rows(2 * elements(layer.heads()) * sizeof(T)),
        codes(static_cast<std::size_t>(layer.heads() * plan.count())) {}
  [[nodiscard]] std::size_t elements(int heads) const {
    return static_cast<std::size_t>(heads) * static_cast<std::size_t>(plan.count()) * head_dim;
  }
  [[nodiscard]] kv_layer<kvsieve::rows<T, head_dim>> target() const {
    T* const p = reinterpret_cast<T*>(rows.bytes().data());
    return {make_rows<head_dim>(p, plan.heads, plan.count()),
            make_rows<head_dim>(p + elements(plan.heads), plan.heads, plan.count())};
  }
  status run(cache<T> const& layer) {
    return apply<C>(on(), plan, layer, target(), half<C>(), of_apply.bytes(),
                    entry_bias_target{codes.data(), plan.count(), nullptr});
  }
  workspace of_plan;
  token_plan plan;
  workspace of_apply, rows;
  std::vector<cs::uint8_t> codes;
};

template <class T>
bool matches() {
  using C = merging<evict::merge_nearest>;
  auto const layer = small_layer<T>();
  prepared<C, T> p(layer);
  if (!p.run(layer)) return false;
  auto const kept = p.plan.kept(0, 1);
  reference::head_to_merge const head(layer.keys, layer.values, 1, std::span<int const>(kept.data(), kept.size()));
  auto const scores = p.plan.scores(0, 1);
  std::vector<double> const score(scores.begin(), scores.end());
  auto const want = reference::merge_nearest(head, score);
  int differing = 0;
  for (std::size_t r = 0; r < want.values.size(); ++r)
    for (std::size_t d = 0; d < want.values[r].size(); ++d) {
      double const got = reference::element_at(p.target().values, 1, static_cast<index>(r), static_cast<int>(d));
      if (!(std::abs(got - want.values[r][d]) <= 2e-2 + 1e-2 * std::abs(got))) ++differing;
    }
  return differing <= head_dim * 2;  // rounding may choose another of two kept tokens that are as near
}

template <class E>
int against_product(char const* name) {
  auto const one = [&](auto type, int tokens) {
    using T = decltype(type);
    using C = merging<E>;
    std::string const full = std::string(name) + "/" + name_of(dtype_of<T>) + "/" + std::to_string(tokens);
    benchmark::RegisterBenchmark(full.c_str(),
                                 [name, tokens](benchmark::State& state) {
                                   static bool const right = matches<T>();
                                   if (!right) return state.SkipWithError("merged rows differ from the reference");
                                   prepared<C, T> p(cold_layer<T>(tokens));
                                   double const kept = p.plan.count(), evicted = tokens - kept;
                                   double const flops = 2.0 * kv_heads * kept * evicted * head_dim;
                                   constexpr double part = 8;
                                   status last;
                                   in_turns(
                                       state, name, dtype_of<T>, tokens,
                                       {.limit = "multiply-adds",
                                        .flops = flops,
                                        .machine = measured_limits().flops,
                                        .scale = part,
                                        .goal = 1.0 / 3},
                                       [&] { last = p.run(cold_layer<T>(tokens)); },
                                       [&] { multiply_add(flops / part); });
                                   if (!last) state.SkipWithError("apply refused its arguments");
                                 })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(tokens <= 4096 ? 15 : 5);
  };
  for (int const tokens : {4096, 16384}) one(float{}, tokens), one(bf16{}, tokens);
  return 0;
}
[[maybe_unused]] int const registered[] = {against_product<evict::merge_nearest>("evict/merge_nearest"),
                                           against_product<evict::look_m_weighted>("evict/look_m_weighted")};
}  // namespace
}  // namespace kvsieve::bench
