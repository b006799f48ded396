// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "refit.hpp"

#include <algorithm>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/host/refit_values.hpp>

#include "head_dims.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace {

/// Query rows that a head is fitted to, at most: more take longer and give little.
constexpr int fitted_rows = 1024;
static_assert(fitted_rows <= evict::refit_values::most_rows);

/// Rows [heads, n, D] of a tensor, and behind each head's the rows [first, first + more) of another; null: none.
std::vector<float> with_rows(tensor const& front, tensor const* behind, std::int64_t first, std::int64_t more) {
  std::int64_t const dim = front.shape[2], own = front.shape[1] * dim;
  std::vector<float> all;
  all.reserve(static_cast<std::size_t>(front.shape[0] * (own + more * dim)));
  for (std::int64_t h = 0; h < front.shape[0]; ++h) {
    all.insert(all.end(), front.as<float>() + h * own, front.as<float>() + (h + 1) * own);
    if (behind == nullptr) continue;
    float const* const row = behind->as<float>() + (h * behind->shape[1] + first) * dim;
    all.insert(all.end(), row, row + more * dim);
  }
  return all;
}
/// Rows [first, first + count) of each head.
std::vector<float> rows_of(tensor const& from, std::int64_t first, std::int64_t count) {
  std::int64_t const dim = from.shape[2];
  std::vector<float> all;
  for (std::int64_t h = 0; h < from.shape[0]; ++h) {
    float const* const row = from.as<float>() + (h * from.shape[1] + first) * dim;
    all.insert(all.end(), row, row + count * dim);
  }
  return all;
}

/// One fit, layer by layer so that no more than one layer's cache is copied: to a chunk of the pass, `own` queries of
/// each head from `first` on, which see each other, or to the dump's own queries.
template <int D>
message fit(team_executor const& on, token_plan const& plan, cache_dump const& dump, double ridge, bool pass,
            std::int64_t first, std::int64_t own, kept_rows const& from, std::vector<std::vector<float>>& to) {
  evict::refit_values::params params;
  params.ridge = ridge;
  std::int64_t const most = std::max(1, fitted_rows / (dump.query_heads / dump.kv_heads));
  for (int v = 0; v < plan.views; ++v) {
    auto const at = static_cast<std::size_t>(v);
    auto const& l = dump.layers[at];
    std::int64_t const count = pass ? own : l.queries.shape[1];
    params.stride = static_cast<int>((count + most - 1) / most);
    auto const keys = with_rows(l.keys, pass ? &l.pass_keys : nullptr, first, own),
               values = with_rows(l.values, pass ? &l.pass_values : nullptr, first, own),
               queries = rows_of(pass ? l.pass_queries : l.queries, first, count);
    auto const tokens = static_cast<int>(dump.tokens + own);
    auto const view_of = [&](float const* rows) { return make_rows<D>(rows, dump.kv_heads, from.rows[at]); };
    auto const full =
        kv_layer{make_rows<D>(keys.data(), dump.kv_heads, tokens), make_rows<D>(values.data(), dump.kv_heads, tokens)};
    auto const asked = make_rows<D>(queries.data(), dump.query_heads, static_cast<int>(count));
    entry_bias const bias{from.biases.empty() ? nullptr : from.biases[at], from.rows[at], nullptr};
    auto const kept = kv_layer{view_of(from.keys[at]), view_of(to[at].data()), bias};
    auto const out = make_rows<D>(to[at].data(), dump.kv_heads, from.rows[at]);
    token_plan one = plan;  // of this view alone
    one.views = 1;
    one.logical_tokens = plan.logical_tokens + v;
    std::vector<index> offset;
    for (int h = 0; h <= plan.heads; ++h)
      offset.push_back(plan.offset[v * plan.heads + h] - plan.offset[v * plan.heads]);
    one.offset = offset.data();
    one.list = plan.list + plan.offset[v * plan.heads];
    one.score_offset = plan.score_offset + v;
    auto const span_of = [](auto const& x) { return cs::span(&x, 1); };
    auto const size = refit_values_workspace_bytes(on, span_of(asked), span_of(full), one, span_of(kept), params);
    bytes_ptr const memory = allocate(size);
    if (memory == nullptr) return "out of memory: the refit takes " + std::to_string(size) + " bytes";
    if (status const s = refit_values(on, span_of(asked), span_of(full), one, span_of(kept), span_of(out), params,
                                      std::span(memory.get(), size));
        !s)
      return text_of(s);
  }
  return {};
}
}  // namespace

bool refits(run_options const& options, cache_dump const& dump) {
  auto const has_values = [](dump_layer const& l) { return l.pass_values.present(); };
  return options.refit > 0 && (!options.refit_own ||
                               (!dump.pass.empty() && std::all_of(dump.layers.begin(), dump.layers.end(), has_values)));
}

message refit(team_executor const& on, token_plan const& plan, cache_dump const& dump, double ridge,
              kept_rows const& from, std::vector<std::vector<float>>& to) {
  for (auto const& l : dump.layers) {
    auto const missing = [&](char const* name) {
      return "layers." + std::to_string(l.layer) + "." + name + " is missing, and --refit reads it";
    };
    if (!dump.pass.empty() && !l.pass_values.present()) return missing("pass_v");
    if (dump.pass.empty() && !l.queries.present()) return missing("q");
  }
  to.clear();
  for (std::size_t v = 0; v < from.rows.size(); ++v)
    to.emplace_back(from.values[v], from.values[v] + std::ptrdiff_t{dump.kv_heads} * from.rows[v] * dump.head_dim);
  return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
    if (dump.pass.empty()) return fit<D>(on, plan, dump, ridge, false, 0, 0, from, to);
    std::int64_t first = 0;
    for (auto const& c : dump.pass) {
      if (message m = fit<D>(on, plan, dump, ridge, true, first, c.queries, from, to)) return m;
      first += c.queries;
    }
    return {};
  });
}
}  // namespace kvsieve::tool
