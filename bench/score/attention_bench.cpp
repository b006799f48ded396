// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Window attention (SnapKV before pooling) against the multiply-adds of one pass over queries x keys, and every
// accumulator against the mean.
#include <kvsieve/aggregate/count_above.hpp>
#include <kvsieve/aggregate/decayed_sum.hpp>
#include <kvsieve/aggregate/last_above.hpp>
#include <kvsieve/aggregate/mean_share.hpp>
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/aggregate/worst_case.hpp>
#include <kvsieve/host/score/score_per_query.hpp>
#include <kvsieve/presets.hpp>
#include <kvsieve/reference/attention.hpp>
#include <kvsieve/reference/group.hpp>
#include <kvsieve/reference/mean.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"

namespace kvsieve::bench {
namespace {
template <class C, class T>
auto carve(arena& a, cache<T> const& layer, matrix<T> const& queries) {
  using scorer =
      host::score_per_query<typename C::score_policy, typename C::aggregate_policy, typename C::group_policy>;
  return scorer::carve(a, cs::span<cache<T> const>(&layer, 1), cs::span<matrix<T> const>(&queries, 1), on().workers(),
                       {.window = window}, {}, {});
}
template <class C, class T>
std::size_t scratch_bytes(int heads, int tokens) {
  T const* const none = nullptr;
  auto const keys = make_rows<head_dim>(none, heads, tokens);
  arena a;
  (void)carve<C, T>(a, {keys, keys}, make_rows<head_dim>(none, heads * (query_heads / kv_heads), window));
  return a.used();
}
template <class C, class T>
void run(cache<T> const& layer, matrix<T> const& queries, score_memory const& out, workspace const& scratch) {
  arena a(scratch.bytes());
  carve<C>(a, layer, queries)
      .run(on(), cs::span<cache<T> const>(&layer, 1), cs::span<matrix<T> const>(&queries, 1), out.rows());
}

template <class T>
bool matches() {
  auto const layer = small_layer<T>();
  auto const queries = small_queries<T>(window);
  score_memory const out(small_heads, small_tokens);
  run<snap_kv<>>(layer, queries, out, workspace(scratch_bytes<snap_kv<>, T>(small_heads, small_tokens)));
  constexpr int group = query_heads / kv_heads;
  constexpr std::size_t n = small_tokens;
  return deviation(out, 0, small_tokens - window, [&](int h, std::span<double> expected) {
           std::vector<double> p(window * n), each(group * n);
           for (int g = 0; g < group; ++g) {
             reference::attention(queries, h * group + g, layer.keys, h, window, std::span<double>(p));
             reference::mean(p, window, std::span<double>(each).subspan(static_cast<std::size_t>(g) * n, n));
           }
           reference::group_mean(each, group, expected);
         }) < 1e-4;
}

auto const registered =
    register_shapes<float, bf16>("score/attention_window", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      static bool const right = matches<T>();
      if (!right) return state.SkipWithError("window attention differs from the reference");
      score_memory const out(kv_heads, tokens);
      workspace const scratch(scratch_bytes<snap_kv<>, T>(kv_heads, tokens));
      double const flops = 2.0 * query_heads * window * tokens * head_dim;
      constexpr double part = 8;  // the limit runs an eighth of that: its rate does not depend on the amount
      in_turns(
          state, "score/attention_window", dtype_of<T>, tokens,
          {.limit = "multiply-adds of one pass",
           .bytes = static_cast<double>(elements_of(tokens) * sizeof(T)),
           .flops = flops,
           .machine = measured_limits().flops,
           .scale = part,
           .goal = 0.60},
          [&] { run<snap_kv<>>(cold_layer<T>(tokens), some_queries<T>(window), out, scratch); },
          [&] { multiply_add(flops / part); });
    });

// An accumulator against the mean, which differs in nothing else.
template <class Accumulator, policy... Others>
int against_mean(char const* name) {
  return register_shapes<float>(name, [name](auto type, benchmark::State& state, int tokens) {
    using T = decltype(type);
    using folding = snap_kv<Accumulator, Others...>;
    score_memory const out(kv_heads, tokens);
    workspace const own(scratch_bytes<folding, T>(kv_heads, tokens)),
        other(scratch_bytes<snap_kv<>, T>(kv_heads, tokens));
    in_turns(
        state, name, dtype_of<T>, tokens,
        {.limit = "the mean over the queries",
         .bytes = static_cast<double>(elements_of(tokens) * sizeof(T)),
         .flops = 2.0 * query_heads * window * tokens * head_dim,
         .goal = 0.85},
        [&] { run<folding>(cold_layer<T>(tokens), some_queries<T>(window), out, own); },
        [&] { run<snap_kv<>>(cold_layer<T>(tokens), some_queries<T>(window), out, other); });
  });
}
[[maybe_unused]] int const accumulators[] = {
    against_mean<aggregate::max>("score/attention_window/max"),
    against_mean<aggregate::root_mean_square>("score/attention_window/root_mean_square"),
    against_mean<aggregate::decayed_sum>("score/attention_window/decayed_sum"),
    against_mean<aggregate::mean_share>("score/attention_window/mean_share"),
    against_mean<aggregate::mean_variance>("score/attention_window/mean_variance"),
    against_mean<aggregate::count_above>("score/attention_window/count_above"),
    against_mean<aggregate::last_above>("score/attention_window/last_above"),
    against_mean<aggregate::worst_case, aggregate::group_max>("score/attention_window/worst_case")};
}  // namespace
}  // namespace kvsieve::bench
