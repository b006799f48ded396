// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merges what a plan of a dump does not keep, by a policy that is known when this is compiled.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <kvsieve/kvsieve.hpp>

#include "evict_choice.hpp"
#include "field_text.hpp"
#include "head_dims.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace detail {

/// The rows of every head, and their bytes in the file's element type instead of those of the kept rows in the outcome.
template <class Evict, int D>
message merge_rows(team_executor const& on, token_plan const& plan, cache_dump const& dump,
                   typename Evict::params const& params, outcome& out, std::vector<std::vector<stored_head>>& merged) {
  using cache = rows<float const, D>;
  using result = rows<float, D>;
  using layer = kv_layer<cache>;
  using call = host::merge_call<Evict, layer>;
  std::vector<layer> from;
  std::vector<kv_layer<result>> to;
  std::vector<std::vector<float>> memory;
  std::vector<std::vector<std::uint8_t>> codes;
  std::vector<entry_bias_target> bias;
  std::vector<int> most;
  for (int v = 0; v < plan.views; ++v) {
    auto const& l = dump.layers[static_cast<std::size_t>(v)];
    from.push_back({make_rows<D>(l.keys.as<float>(), dump.kv_heads, dump.tokens),
                    make_rows<D>(l.values.as<float>(), dump.kv_heads, dump.tokens)});
    int longest = 0;
    for (int h = 0; h < plan.heads; ++h) longest = std::max(longest, call::rows_of(plan, params, v, h));
    most.push_back(longest);
    memory.emplace_back(static_cast<std::size_t>(2 * dump.kv_heads * longest * D + 1));
    codes.emplace_back(static_cast<std::size_t>(dump.kv_heads * longest + 1));
    float* const data = memory.back().data();
    to.push_back({make_rows<D>(data, dump.kv_heads, longest),
                  make_rows<D>(data + index{dump.kv_heads} * longest * D, dump.kv_heads, longest)});
    bias.push_back({codes.back().data(), longest, nullptr});
  }
  cuda::std::span<layer const> const group(from.data(), from.size());
  std::size_t const size = call::bytes(on, plan, group, params);
  bytes_ptr const workspace = allocate(size);
  if (workspace == nullptr) return "out of memory: the workspace takes " + std::to_string(size) + " bytes";
  status const done = call::run(on, plan, group, cuda::std::span<kv_layer<result> const>(to.data(), to.size()), params,
                                std::span(workspace.get(), size),
                                cuda::std::span<entry_bias_target const>(bias.data(), Evict::biased ? bias.size() : 0));
  if (!done) return text_of(done);
  out.bytes_after = 0;
  std::size_t const element = static_cast<std::size_t>(size_of(dump.type));
  for (int v = 0; v < plan.views; ++v) {
    auto& heads = merged.emplace_back();
    index all = 0;
    for (int h = 0; h < plan.heads; ++h) {
      int const count = call::rows_of(plan, params, v, h), slots = count - plan.count(v, h);
      stored_head& m = heads.emplace_back();
      all += count;
      m.token.assign(static_cast<std::size_t>(slots), -1);
      for (int const t : plan.kept(v, h)) m.token.push_back(t);
      auto const copy = [&](auto const& view, std::vector<float>& rows_of_head) {
        float const* const first = row_of(view, h, 0);
        rows_of_head.assign(first, first + index{count} * D);
      };
      copy(to[static_cast<std::size_t>(v)].keys, m.keys);
      copy(to[static_cast<std::size_t>(v)].values, m.values);
      for (int i = 0; i < count; ++i)
        m.bias.push_back(Evict::biased ? decode_bias(bias[static_cast<std::size_t>(v)].row(h)[i]) : 0.0f);
    }
    int const longest = most[static_cast<std::size_t>(v)];
    bool const ragged = plan.uniformity_class >= uniformity::U3;
    out.bytes_after += ragged ? store::ragged::bytes(dump.kv_heads, all, D, static_cast<int>(element))
                              : store::dense::bytes(dump.kv_heads, longest, D, static_cast<int>(element));
    if (Evict::biased) out.bytes_after += static_cast<std::size_t>(ragged ? all : index{dump.kv_heads} * longest);
  }
  return {};
}
}  // namespace detail

/// The row of a policy that merges.
template <class Evict>
evict_choice make_evict_choice(char const* name) {
  evict_choice c{name, {}, {}};
  typename Evict::params defaults;
  field_refs own;
  add_fields(own, "evict", defaults);
  c.fields = rows_of(own);
  c.run = [](team_executor const& on, token_plan const& plan, cache_dump const& dump, run_options const& options,
             outcome& out, std::vector<std::vector<stored_head>>& merged) -> message {
    list_memory lists;
    typename Evict::params params;
    field_refs fields;
    add_fields(fields, "evict", params);
    for (auto const& [key, text] : options.set)
      if (key.starts_with("evict."))
        if (message m = set_field(fields, key, text, lists, "this policy has")) return m;
    for (auto const& f : fields) out.params.emplace_back(f.key(), to_text(f.member));
    return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) {
      return detail::merge_rows<Evict, D>(on, plan, dump, params, out, merged);
    });
  };
  return c;
}
}  // namespace kvsieve::tool
