// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Selection from given scores, and compaction by a given plan.
#include <kvsieve/reference/top_k.hpp>

#include <cstring>

#include "benches.hpp"
#include "plans.hpp"

namespace kvsieve::bench::gpu {
namespace {
/// One selection of half of every row.
void select(float* scores, int* lists, int tokens, int layers) {
  device::select_args args{};
  index const stride = score_stride(tokens);
  status const s =
      device::launch_views<device::select_body>(on(), layers, kv_heads, 1, args, [&](int v, device::select_part& part) {
        int const keep = tokens / 2;
        part = {scores + v * kv_heads * stride, lists + index{v} * kv_heads * keep, stride, keep, tokens, keep, 0, 0,
                partition{0, tokens, 1}};
        return 1;
      });
  if (!s) must(cudaErrorUnknown, "select");
}

void time_selection(int tokens, int layers) {
  record r{"select/top_k", "f32", tokens, layers, {}, {}, {}};
  auto const rows = static_cast<std::size_t>(layers * kv_heads),
             stride = static_cast<std::size_t>(score_stride(tokens));
  auto const keep = static_cast<std::size_t>(tokens / 2);
  r.least = {4.0 * static_cast<double>(rows) * tokens, 4.0 * static_cast<double>(rows * keep), 0};
  memory const lists(rows * keep * sizeof(int));
  std::vector<float*> sets;
  for (int i = 0; i < 4; ++i) sets.push_back(readable<float>().take(rows * stride));
  must(cudaMemset(lists.as<void>(), 0xff, rows * keep * sizeof(int)), "cudaMemset");
  must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  select(sets[0], lists.as<int>(), tokens, layers);
  wait();
  for (std::size_t row : {std::size_t{0}, rows / 2, rows - 1}) {
    auto const score = fetch(sets[0] + row * stride, static_cast<std::size_t>(tokens));
    std::vector<double> const wide(score.begin(), score.end());
    if (fetch(lists.as<int>() + row * keep, keep) != reference::top_k(wide, tokens / 2))
      r.wrong = "row " + std::to_string(row) + " differs from the reference";
  }
  if (r.wrong.empty())
    r.seconds = time_calls(
        [&](int i) { select(sets[static_cast<std::size_t>(i) % sets.size()], lists.as<int>(), tokens, layers); });
  records().push_back(std::move(r));
}

/// Counts elements of row i of `to` that are not those of row kept[i] of `from`, both on the host.
template <class T>
std::size_t wrong_rows(std::vector<T> const& from, int from_tokens, std::vector<T> const& to, int to_tokens, int head,
                       std::vector<int> const& kept) {
  std::size_t wrong = 0;
  auto const row = [&](std::vector<T> const& all, int tokens, std::size_t i) {
    return all.data() + (static_cast<std::size_t>(head) * static_cast<std::size_t>(tokens) + i) * head_dim;
  };
  for (std::size_t i = 0; i < kept.size(); ++i)
    wrong += std::memcmp(row(from, from_tokens, static_cast<std::size_t>(kept[i])), row(to, to_tokens, i),
                         head_dim * sizeof(T)) != 0;
  return wrong;
}

template <class T>
void time_compaction(int tokens, int layers, bool in_place) {
  using C = key_norm<>;
  int const keep = tokens / 2;
  record r{in_place ? "evict/compact_in_place" : "evict/compact", name_of<T>(), tokens, layers, {}, {}, {}};
  double const moved = 2.0 * layers * kv_heads * keep * head_dim * sizeof(T);
  r.least = {moved, moved, 0};
  C::params const p{.budget = {.tokens = keep}};
  std::vector<inputs<T>> from, to;
  for (int i = 0; i < sets_of<T>(tokens, layers); ++i) {
    from.emplace_back(in_place ? writable<T>() : readable<T>(), tokens, layers, 0);
    if (!in_place) to.emplace_back(writable<T>(), keep, layers, 0);
  }
  plan_memory m = memory_for<C>(from[0], p);
  token_plan const plan = plan_of<C>(from[0], p, m);
  auto const call = [&](int i) {
    auto const set = static_cast<std::size_t>(i) % from.size();
    status const s =
        in_place ? apply<C>(on(), plan, from[set].group()) : apply<C>(on(), plan, from[set].group(), to[set].group());
    if (!s) must(cudaErrorUnknown, "apply");
  };
  auto const last = static_cast<std::size_t>(layers - 1);
  wait();
  auto const all = [](matrix<T> const& rows) { return host_rows<T>(rows).data; };
  auto const keys = all(from[0].layers[last].keys), values = all(from[0].layers[last].values);
  call(0);
  wait();
  auto const& target = in_place ? from[0] : to[0];
  auto const moved_keys = all(target.layers[last].keys), moved_values = all(target.layers[last].values);
  std::size_t wrong = 0;
  for (int h = 0; h < kv_heads; ++h) {
    auto const k = plan.kept(layers - 1, h);
    auto const list = fetch(k.data(), k.size());
    int const width = in_place ? tokens : keep;
    wrong += wrong_rows(keys, tokens, moved_keys, width, h, list);
    wrong += wrong_rows(values, tokens, moved_values, width, h, list);
  }
  if (wrong != 0) r.wrong = std::to_string(wrong) + " rows differ";
  if (r.wrong.empty()) r.seconds = time_calls(call);
  records().push_back(std::move(r));
}
}  // namespace

void time_lists() {
  for (int const n : all_tokens) time_selection(n, 1);
  time_selection(model_tokens, model_layers);
  time_selection(131072, model_layers);
  for (int const n : all_tokens) {
    for (bool const in_place : {false, true}) {
      time_compaction<float>(n, 1, in_place);
      time_compaction<bf16>(n, 1, in_place);
    }
  }
  for (bool const in_place : {false, true}) {
    time_compaction<float>(model_tokens, model_layers, in_place);
    time_compaction<bf16>(model_tokens, model_layers, in_place);
  }
}
}  // namespace kvsieve::bench::gpu
