// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From a strategy type to a row of the method table that runs on a dump of any head dimension.
#pragma once
#include <chrono>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <kvsieve/kvsieve.hpp>

#include "choice.hpp"
#include "dump_tables.hpp"
#include "evict_choice_row.hpp"
#include "field_text.hpp"
#include "head_dims.hpp"
#include "storage.hpp"
#include "strategy.hpp"

namespace kvsieve::tool {

/// What a row says that the type does not.
struct preset_facts {
  std::string name, title, paper, source;
  std::vector<std::pair<std::string, std::string>> stages;
};

namespace detail {
/// Sets one field of params from text; `lists` keeps lists alive.
template <class Params>
message set_field(Params& params, std::string const& key, std::string const& text, list_memory& lists) {
  bool known = false, read = false;
  Params::each(params, [&](char const* stage, char const* name, auto& member, char const*, char const*) {
    if (std::string(stage) + "." + name != key) return;
    known = true;
    if constexpr (is_text<std::remove_cvref_t<decltype(member)>>) read = set_member(member, text, lists);
  });
  if (!known) return "--set " + key + ": this strategy has no such field";
  if (!read) return "--set " + key + ": '" + text + "' is not a value of that field";
  return {};
}

/// The model's rotation as the dump has it, wherever a strategy asks for one.
template <class Params>
void fill_rotation(cache_dump const& dump, Params& params) {
  Params::each(params, [&](char const*, char const* name, auto& member, char const*, char const*) {
    using type = std::remove_cvref_t<decltype(member)>;
    std::string const field = name;
    auto const is = [&](char const* word) { return field == word || field.ends_with(std::string(".") + word); };
    if constexpr (std::is_same_v<type, double>)
      if (is("rope_base") && dump.rope_theta > 0) member = dump.rope_theta;
    if constexpr (std::is_same_v<type, bool>)
      if (is("rope_interleaved")) member = dump.rope_style == "interleaved";
    if constexpr (std::is_same_v<type, int>)
      if (is("first_position")) member = static_cast<int>(dump.first_position);
  });
}

/// Where budget and selection, or what becomes of the others, are not the strategy's own, their fields are left alone.
template <class C>
message fill_params(cache_dump const& dump, run_options const& options, typename C::params& params, outcome& out,
                    list_memory& lists) {
  bool const other = options.other != nullptr;
  auto const left = [&](std::string const& key) {
    return (other && (key.starts_with("budget.") || key.starts_with("select."))) ||
           (options.evict != nullptr && key.starts_with("evict."));
  };
  fill_rotation(dump, params);
  if (message m = fill_tables<C>(dump, params, lists)) return m;
  if (!other)
    if (message m = fill_budget(dump, options, params.budget, lists)) return m;
  // Protection by mass asks the strategy's own budget what is kept, also where another one spends it.
  if constexpr (C::protect_policy::protects)
    if (other) (void)fill_budget(dump, options, params.budget, lists);
  if (!other) fill_layers(dump, params.select, lists);
  for (auto const& [key, text] : options.set)
    if (!left(key))
      if (message m = set_field(params, key, text, lists)) return m;
  C::params::each(params, [&](char const* stage, char const* name, auto& member, char const*, char const*) {
    if constexpr (is_text<std::remove_cvref_t<decltype(member)>>)
      if (std::string const key = std::string(stage) + "." + name; !left(key) && !comes_from_dump<C>(key))
        out.params.emplace_back(key, to_text(member));
  });
  return {};
}

/// Plans and compacts all layers of a dump of head dimension D. Bytes are those of the file's element type.
template <class C, int D>
message run_wide(cache_dump const& dump, run_options const& options, outcome& out) {
  using cache = rows<float const, D>;
  using result = rows<float, D>;
  list_memory lists;
  typename C::params params;
  if (message m = fill_params<C>(dump, options, params, out, lists)) return m;

  std::vector<kv_layer<cache>> layers, behind;
  std::vector<cache> queries;
  for (auto const& l : dump.layers) {
    layers.push_back({make_rows<D>(l.keys.as<float>(), dump.kv_heads, dump.tokens),
                      make_rows<D>(l.values.as<float>(), dump.kv_heads, dump.tokens)});
    if (!C::observes_queries) continue;
    if constexpr (reads_pass<C>) {
      static_assert(!reads(C::reads, needs::values), "a dump has no values of the pass");
      auto const keys = lists.hold(keys_with_pass(dump, l));
      auto const rows = make_rows<D>(keys.data(), dump.kv_heads, dump.tokens + l.pass_keys.shape[1]);
      behind.push_back({rows, rows});
      int const window = observes_sets<C> ? mixed_window(dump) : 0;
      auto const of_pass = lists.hold(queries_of_pass(dump, l, window));
      queries.push_back(make_rows<D>(of_pass.data(), dump.query_heads, l.pass_queries.shape[1] + window));
      continue;
    }
    if (!l.queries.present())
      return "layers." + std::to_string(l.layer) + ".q is missing, and this strategy reads queries";
    queries.push_back(make_rows<D>(l.queries.as<float>(), dump.query_heads, l.queries.shape[1]));
  }
  cuda::std::span<kv_layer<cache> const> const group(layers.data(), layers.size());
  auto const& seen = reads_pass<C> ? behind : layers;
  cuda::std::span<kv_layer<cache> const> const scored_group(seen.data(), seen.size());
  cuda::std::span<cache const> const observed(queries.data(), queries.size());

  host::team team(options.threads);
  host::on on(team);
  auto const call = [&](auto const& f) {
    if constexpr (C::observes_queries)
      return f(scored_group, observed);
    else
      return f(scored_group);
  };
  auto const start = std::chrono::steady_clock::now();
  bytes_ptr scored{nullptr, std::free};
  chosen_plan chosen;
  if (options.other == nullptr) {
    std::size_t const size = call([&](auto... views) { return workspace_bytes<C>(on, views..., params); });
    chosen.memory = allocate(size);
    if (chosen.memory == nullptr) return "out of memory: the workspace takes " + std::to_string(size) + " bytes";
    chosen.plan =
        call([&](auto... views) { return plan<C>(on, views..., params, std::span(chosen.memory.get(), size)); });
  } else if constexpr (requires { requires C::select_policy::rescores; }) {
    return "--budget, --select: this strategy scores anew while it selects; its own cannot be replaced";
  } else {
    std::size_t const size = call([&](auto... views) { return score_tokens_workspace_bytes<C>(on, views..., params); });
    scored = allocate(size);
    if (scored == nullptr) return "out of memory: the scores take " + std::to_string(size) + " bytes";
    auto const scores =
        call([&](auto... views) { return score_tokens<C>(on, views..., params, std::span(scored.get(), size)); });
    if (!scores) return text_of(scores.state);
    if (message m = options.other->run(on, scores, dump, options, out, chosen)) return m;
  }
  token_plan const& kept = chosen.plan;
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!kept) return text_of(kept.state);
  if (!kept.note) out.note = text_of(kept.note);

  std::vector<kv_layer<result>> packed;
  std::vector<bytes_ptr> memory;
  for (int v = 0; v < kept.views; ++v) {
    int const rows = kept.count(v);
    int const element = static_cast<int>(size_of(dump.type));
    memory.push_back(allocate(store::dense::bytes(dump.kv_heads, rows, D, sizeof(float))));
    auto* const data = reinterpret_cast<float*>(memory.back().get());
    packed.push_back({make_rows<D>(data, dump.kv_heads, rows),
                      make_rows<D>(data + index{dump.kv_heads} * rows * D, dump.kv_heads, rows)});
    out.bytes_before += store::dense::bytes(dump.kv_heads, dump.tokens, D, element);
    // Heads with counts of their own lie ragged.
    index kept_rows = 0;
    for (int h = 0; h < kept.heads; ++h) kept_rows += kept.count(v, h);
    out.bytes_after += kept.uniformity_class >= uniformity::U3
                           ? store::ragged::bytes(dump.kv_heads, kept_rows, D, element)
                           : store::dense::bytes(dump.kv_heads, rows, D, element);
  }
  auto const move = std::chrono::steady_clock::now();
  std::vector<std::vector<stored_head>> merged;
  if (options.evict != nullptr && options.evict->run) {
    if (message m = options.evict->run(on, kept, dump, options, out, merged)) return m;
  } else if constexpr (merges<typename C::evict_policy>) {
    if (options.evict == nullptr)
      if (message m = merge_rows<typename C::evict_policy, D>(on, kept, dump, params.evict, out, merged)) return m;
  }
  if (merged.empty()) {
    cuda::std::span<kv_layer<result> const> const to(packed.data(), packed.size());
    if (status const applied = host::compact(on, kept, group, to); !applied) return text_of(applied);
  }
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - move).count();
  out.seconds = seconds;
  out.uniformity = name_of(kept.uniformity_class);
  for (int v = 0; v < kept.views; ++v) {
    layer_outcome& l = out.layers.emplace_back();
    l.layer = dump.layers[static_cast<std::size_t>(v)].layer;
    for (int h = 0; h < kept.heads; ++h) {
      auto const list = kept.kept(v, h);
      l.kept.emplace_back(list.begin(), list.end());
      auto const scores = kept.scores(v, h);
      l.score.insert(l.score.end(), scores.begin(), scores.end());
    }
    if (!merged.empty()) l.stored = std::move(merged[static_cast<std::size_t>(v)]);
  }
  if (options.store == nullptr) return {};
  std::vector<float const*> keys, values;
  for (auto const& p : packed) {
    keys.push_back(p.keys.data_handle());
    values.push_back(p.values.data_handle());
  }
  return store_packed(*options.store, on, kept, std::move(keys), std::move(values), dump, out);
}
}  // namespace detail

/// The row of a preset.
template <class C>
[[nodiscard]] strategy make_strategy(preset_facts facts) {
  strategy s;
  s.name = std::move(facts.name);
  s.title = std::move(facts.title);
  s.paper = std::move(facts.paper);
  s.source = std::move(facts.source);
  s.stages = std::move(facts.stages);
  s.uniformity = name_of(C::uniformity_class);
  for (auto const& [need, word] :
       {std::pair{needs::keys, "keys"}, {needs::values, "values"}, {needs::queries, "queries"}})
    if (reads(C::reads, need)) s.reads += (s.reads.empty() ? "" : ", ") + std::string(word);
  s.reads += detail::further_reads<C>();
  if (s.reads.starts_with(", ")) s.reads.erase(0, 2);
  if (s.reads.empty()) s.reads = "nothing";
  typename C::params defaults;
  C::params::each(defaults,
                  [&](char const* stage, char const* name, auto& member, char const* unit, char const* meaning) {
                    std::string const key = std::string(stage) + "." + name;
                    if constexpr (detail::is_text<std::remove_cvref_t<decltype(member)>>)
                      if (!detail::comes_from_dump<C>(key)) s.fields.push_back({key, to_text(member), unit, meaning});
                  });
  s.run = [name = s.name](cache_dump const& dump, run_options const& options, outcome& out) -> message {
    outcome fresh;
    fresh.strategy = name;
    message m = built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) {
      return detail::run_wide<C, D>(dump, options, fresh);
    });
    if (!m) out = std::move(fresh);
    return m;
  };
  return s;
}

// The rows, by family; a file each, so that they compile side by side.
[[nodiscard]] std::vector<strategy> key_presets();
[[nodiscard]] std::vector<strategy> lag_presets();
[[nodiscard]] std::vector<strategy> row_presets();
[[nodiscard]] std::vector<strategy> window_presets();
[[nodiscard]] std::vector<strategy> full_attention_presets();
[[nodiscard]] std::vector<strategy> piece_presets();
[[nodiscard]] std::vector<strategy> page_presets();
[[nodiscard]] std::vector<strategy> round_presets();
[[nodiscard]] std::vector<strategy> position_presets();
[[nodiscard]] std::vector<strategy> observed_presets();
[[nodiscard]] std::vector<strategy> layer_budget_presets();
[[nodiscard]] std::vector<strategy> moment_presets();
[[nodiscard]] std::vector<strategy> merging_presets();
[[nodiscard]] std::vector<strategy> table_presets();
[[nodiscard]] std::vector<strategy> pass_presets();
}  // namespace kvsieve::tool
