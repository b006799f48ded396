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
#include "packing.hpp"
#include "strategy.hpp"
#include "text.hpp"

namespace kvsieve::tool {

/// What a row says that the type does not.
struct preset_facts {
  std::string name, title, paper, source;
  std::vector<std::pair<std::string, std::string>> stages;
};

namespace detail {
/// All fields of a strategy that a person can set.
template <class C>
[[nodiscard]] field_refs fields_of(typename C::params& params) {
  field_refs fields;
  C::params::each_stage(params, [&](char const* stage, auto& p) { add_fields(fields, stage, p); });
  return fields;
}

/// Takes what was set by hand, and tells `out` every field that the dump alone does not give. Where budget and
/// selection, or what becomes of the others, are not the strategy's own, their fields are left alone.
[[nodiscard]] message set_fields(field_refs const& fields, run_options const& options,
                                 bool (*comes_from_dump)(std::string const&), outcome& out, list_memory& lists);

template <class C>
message fill_params(cache_dump const& dump, run_options const& options, typename C::params& params, outcome& out,
                    list_memory& lists) {
  bool const other = options.other != nullptr;
  auto const fields = fields_of<C>(params);
  fill_rotation(dump, fields);
  if (message m = fill_tables<C>(dump, params, lists)) return m;
  if (!other)
    if (message m = fill_budget(dump, options, params.budget, lists)) return m;
  // Protection by mass asks the strategy's own budget what is kept, also where another one spends it.
  if constexpr (C::protect_policy::protects)
    if (other) (void)fill_budget(dump, options, params.budget, lists);
  if (!other) fill_layers(dump, params.select, lists);
  return set_fields(fields, options, &comes_from_dump<C>, out, lists);
}

/// What a strategy observes.
enum class observed { nothing, queries, pass, sets };

/// The views of a dump that a strategy reads: `seen` has the keys of a pass behind the cache where it is observed.
template <int D>
struct dump_views {
  using cache = rows<float const, D>;
  std::vector<kv_layer<cache>> seen;
  std::vector<cache> queries;
};

template <int D>
[[nodiscard]] message view_dump(cache_dump const& dump, observed what, dump_views<D>& out, list_memory& lists) {
  for (auto const& l : dump.layers) {
    if (what == observed::pass || what == observed::sets) {
      auto const keys = lists.hold(keys_with_pass(dump, l));
      auto const all = make_rows<D>(keys.data(), dump.kv_heads, dump.tokens + l.pass_keys.shape[1]);
      out.seen.push_back({all, all});
      int const window = what == observed::sets ? mixed_window(dump) : 0;
      auto const of_pass = lists.hold(queries_of_pass(dump, l, window));
      out.queries.push_back(make_rows<D>(of_pass.data(), dump.query_heads, l.pass_queries.shape[1] + window));
      continue;
    }
    out.seen.push_back({make_rows<D>(l.keys.as<float>(), dump.kv_heads, dump.tokens),
                        make_rows<D>(l.values.as<float>(), dump.kv_heads, dump.tokens)});
    if (what == observed::nothing) continue;
    if (!l.queries.present())
      return "layers." + std::to_string(l.layer) + ".q is missing, and this strategy reads queries";
    out.queries.push_back(make_rows<D>(l.queries.as<float>(), dump.query_heads, l.queries.shape[1]));
  }
  return {};
}

/// Plans and compacts all layers of a dump of head dimension D. Bytes are those of the file's element type.
template <class C, int D>
message run_wide(cache_dump const& dump, run_options const& options, outcome& out) {
  list_memory lists;
  typename C::params params;
  if (message m = fill_params<C>(dump, options, params, out, lists)) return m;
  static_assert(!reads_pass<C> || !reads(C::score_policy::reads | C::weigh_policy::reads, needs::values),
                "scores of a pass are those of its keys: the views hold these in place of its values");
  dump_views<D> of_dump;
  constexpr observed what = observes_sets<C>      ? observed::sets
                            : observes_pass<C>    ? observed::pass
                            : C::observes_queries ? observed::queries
                                                  : observed::nothing;
  if (message m = view_dump(dump, what, of_dump, lists)) return m;
  cuda::std::span<kv_layer<rows<float const, D>> const> const seen(of_dump.seen.data(), of_dump.seen.size());
  cuda::std::span<rows<float const, D> const> const queries(of_dump.queries.data(), of_dump.queries.size());

  host::team team(options.threads);
  host::on on(team);
  auto const call = [&](auto const& f) {
    if constexpr (C::observes_queries)
      return f(seen, queries);
    else
      return f(seen);
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

  auto const middle = std::chrono::steady_clock::now();
  std::vector<std::vector<stored_head>> merged;
  count_bytes(kept, dump, out);
  if (options.evict != nullptr && options.evict->run) {
    if (message m = options.evict->run(on, kept, dump, options, out, merged)) return m;
  } else if constexpr (merges<typename C::evict_policy>) {
    if (options.evict == nullptr)
      if (message m = merge_rows<typename C::evict_policy, D>(on, kept, dump, params.evict, out, merged)) return m;
  }
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - middle).count();
  return pack(on, kept, dump, options, seconds, std::move(merged), out);
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
  s.fields = rows_of(detail::fields_of<C>(defaults));
  std::erase_if(s.fields, [](field const& f) { return detail::comes_from_dump<C>(f.key); });
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
