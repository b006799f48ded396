// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The norm of projected values against the machine's multiply-adds: L1 of every entry, L2 from Gram matrices.
#include <kvsieve/host/score/project_values.hpp>
#include <kvsieve/reference/projected_value.hpp>
#include <kvsieve/weigh/projected_value.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"
#include "shapes.hpp"
#include "team.hpp"

namespace kvsieve::bench {
namespace {
constexpr int hidden_entries = 1024;

std::vector<float> const& output() {
  static std::vector<float> const table = [] {
    std::vector<float> t(static_cast<std::size_t>(hidden_entries * query_heads * head_dim));
    for (std::size_t i = 0; i < t.size(); ++i) t[i] = static_cast<float>(i * 7 % 13) - 6.0f;
    return t;
  }();
  return table;
}

template <class Weigh, class T>
void run(cache<T> const& layer, int heads_of_query, score_memory const& out, workspace const& scratch) {
  cs::span<cache<T> const> const layers(&layer, 1);
  int const tokens = layer.tokens();
  typename Weigh::params const params{
      .output = {output().data(), static_cast<std::size_t>(hidden_entries * heads_of_query * head_dim)},
      .query_heads = heads_of_query,
      .hidden = hidden_entries};
  arena a(scratch.bytes());
  host::project_values<Weigh>::carve(a, layers, on().workers(), params)
      .run(on(), layers, [&](index) { return tokens; }, [&](index v, index h) { return out.rows().row(v, h, tokens); });
}

template <class Weigh, class T>
bool matches() {
  auto const layer = small_layer<T>();
  constexpr int heads = small_heads * (query_heads / kv_heads);
  score_memory const out(small_heads, small_tokens);
  workspace const scratch(std::size_t{1} << 22);
  for (int h = 0; h < small_heads; ++h)
    for (int t = 0; t < small_tokens; ++t) out.rows().row(0, h, small_tokens)[t] = 1.0f;
  run<Weigh>(layer, heads, out, scratch);
  return deviation(out, 0, 40, [&](int h, std::span<double> expected) {
           auto const few = make_rows<head_dim>(layer.values.data_handle(), small_heads, 40, layer.values.stride(0),
                                                layer.values.stride(1));
           auto const norms = reference::projected_norms(
               few, h, std::span(output()).first(static_cast<std::size_t>(hidden_entries * heads * head_dim)), heads,
               Weigh::quadratic, reference::joined::mean);
           for (std::size_t t = 0; t < norms.size(); ++t) expected[t] = norms[t];
         }) < 1e-4;
}

// flops(tokens): what one query head takes.
template <class Weigh>
int against_peak(char const* name, double (*flops)(double tokens)) {
  return register_shapes<float, bf16>(name, [=](auto type, benchmark::State& state, int tokens) {
    using T = decltype(type);
    static bool const right = matches<Weigh, T>();
    if (!right) return state.SkipWithError("projected values differ from the reference");
    score_memory const out(kv_heads, tokens);
    workspace const scratch(std::size_t{1} << 24);
    double const all = query_heads * flops(tokens);
    constexpr double part = 8;
    in_turns(
        state, name, dtype_of<T>, tokens,
        {.limit = "multiply-adds",
         .bytes = static_cast<double>(elements_of(tokens) * sizeof(T)),
         .flops = all,
         .machine = measured_limits().flops,
         .scale = part,
         .goal = 0.50},
        [&] { run<Weigh>(cold_layer<T>(tokens), query_heads, out, scratch); }, [&] { multiply_add(all / part); });
  });
}
[[maybe_unused]] int const registered[] = {
    against_peak<weigh::projected_value<>>("weigh/projected_value/L1",
                                           [](double tokens) { return 2.0 * tokens * head_dim * hidden_entries; }),
    against_peak<weigh::projected_value<projected::length>>("weigh/projected_value/L2", [](double tokens) {
      return 2.0 * (tokens + hidden_entries) * head_dim * head_dim;
    })};
}  // namespace
}  // namespace kvsieve::bench
