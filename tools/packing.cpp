// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "packing.hpp"

#include <chrono>

#include "head_dims.hpp"
#include "storage.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace {

template <int D>
message pack_wide(team_executor const& on, token_plan const& plan, cache_dump const& dump, run_options const& options,
                  double seconds, std::vector<std::vector<stored_head>> merged, outcome& out) {
  using cache = rows<float const, D>;
  using result = rows<float, D>;
  std::vector<kv_layer<cache>> layers;
  std::vector<kv_layer<result>> packed;
  std::vector<bytes_ptr> memory;
  for (int v = 0; v < plan.views; ++v) {
    auto const& l = dump.layers[static_cast<std::size_t>(v)];
    layers.push_back({make_rows<D>(l.keys.as<float>(), dump.kv_heads, dump.tokens),
                      make_rows<D>(l.values.as<float>(), dump.kv_heads, dump.tokens)});
    int const rows = plan.count(v);
    std::size_t const size = store::dense::bytes(dump.kv_heads, rows, D, sizeof(float));
    memory.push_back(allocate(size));
    if (memory.back() == nullptr) return "out of memory: the kept rows take " + std::to_string(size) + " bytes";
    auto* const data = reinterpret_cast<float*>(memory.back().get());
    packed.push_back({make_rows<D>(data, dump.kv_heads, rows),
                      make_rows<D>(data + index{dump.kv_heads} * rows * D, dump.kv_heads, rows)});
  }
  auto const start = std::chrono::steady_clock::now();
  if (merged.empty()) {
    cuda::std::span<kv_layer<cache> const> const from(layers.data(), layers.size());
    cuda::std::span<kv_layer<result> const> const to(packed.data(), packed.size());
    if (status const applied = host::compact(on, plan, from, to); !applied) return text_of(applied);
  }
  out.seconds = seconds + std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  out.uniformity = name_of(plan.uniformity_class);
  for (int v = 0; v < plan.views; ++v) {
    layer_outcome& l = out.layers.emplace_back();
    l.layer = dump.layers[static_cast<std::size_t>(v)].layer;
    for (int h = 0; h < plan.heads; ++h) {
      auto const list = plan.kept(v, h);
      l.kept.emplace_back(list.begin(), list.end());
      auto const scores = plan.scores(v, h);
      l.score.insert(l.score.end(), scores.begin(), scores.end());
    }
    if (!merged.empty()) l.stored = std::move(merged[static_cast<std::size_t>(v)]);
  }
  if (options.store == nullptr && options.refit == 0) return {};
  std::vector<float const*> keys, values;
  for (auto const& p : packed) {
    keys.push_back(p.keys.data_handle());
    values.push_back(p.values.data_handle());
  }
  return store_packed(options, on, plan, std::move(keys), std::move(values), dump, out);
}
}  // namespace

void count_bytes(token_plan const& plan, cache_dump const& dump, outcome& out) {
  int const element = static_cast<int>(size_of(dump.type));
  for (int v = 0; v < plan.views; ++v) {
    out.bytes_before += store::dense::bytes(dump.kv_heads, dump.tokens, dump.head_dim, element);
    index rows = 0;
    for (int h = 0; h < plan.heads; ++h) rows += plan.count(v, h);
    out.bytes_after += plan.uniformity_class >= uniformity::U3
                           ? store::ragged::bytes(dump.kv_heads, rows, dump.head_dim, element)
                           : store::dense::bytes(dump.kv_heads, plan.count(v), dump.head_dim, element);
  }
}

message pack(team_executor const& on, token_plan const& plan, cache_dump const& dump, run_options const& options,
             double seconds, std::vector<std::vector<stored_head>> merged, outcome& out) {
  return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) {
    return pack_wide<D>(on, plan, dump, options, seconds, std::move(merged), out);
  });
}
}  // namespace kvsieve::tool
