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

#include "strategy.hpp"

namespace kvsieve::tool {

/// What a row says that the type does not.
struct preset_facts {
  std::string name, title, paper, source;
  std::vector<std::pair<std::string, std::string>> stages;
};

/// The number as the command line writes it.
template <class T>
[[nodiscard]] std::string to_text(T const& value);
/// Reads a number; false when the text is not one, or not of this type.
[[nodiscard]] bool from_text(std::string const& text, int& value);
[[nodiscard]] bool from_text(std::string const& text, float& value);
[[nodiscard]] bool from_text(std::string const& text, double& value);
[[nodiscard]] bool from_text(std::string const& text, std::uint64_t& value);
/// Reads "i,j,k".
[[nodiscard]] bool from_text(std::string const& text, std::vector<int>& value);

namespace detail {
using bytes_ptr = std::unique_ptr<std::byte, void (*)(void*)>;
[[nodiscard]] inline bytes_ptr allocate(std::size_t size) {
  std::size_t const whole = (size + 63) / 64 * 64;
  return {static_cast<std::byte*>(std::aligned_alloc(64, whole == 0 ? 64 : whole)), std::free};
}

/// Sets one field of params from text; `lists` keeps index lists alive.
template <class Params>
message set_field(Params& params, std::string const& key, std::string const& text,
                  std::vector<std::unique_ptr<std::vector<int>>>& lists) {
  bool known = false, read = false;
  Params::each(params, [&](char const* stage, char const* name, auto& member, char const*, char const*) {
    if (std::string(stage) + "." + name != key) return;
    known = true;
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, cuda::std::span<int const>>) {
      lists.push_back(std::make_unique<std::vector<int>>());
      read = from_text(text, *lists.back());
      member = {lists.back()->data(), lists.back()->size()};
    } else {
      read = from_text(text, member);
    }
  });
  if (!known) return "--set " + key + ": this strategy has no such field";
  if (!read) return "--set " + key + ": '" + text + "' is not a value of that field";
  return {};
}

template <class C>
message fill_params(run_options const& options, typename C::params& params, outcome& out,
                    std::vector<std::unique_ptr<std::vector<int>>>& lists) {
  if (options.keep >= 0) params.budget.keep = options.keep;
  if (options.tokens >= 0) {
    if (options.tokens > 2147418112)
      return "--tokens is " + std::to_string(options.tokens) + ", must be at most 2147418112";
    params.budget.tokens = static_cast<int>(options.tokens);
  }
  for (auto const& [key, text] : options.set)
    if (message m = set_field(params, key, text, lists)) return m;
  C::params::each(params, [&](char const* stage, char const* name, auto& member, char const*, char const*) {
    out.params.emplace_back(std::string(stage) + "." + name, to_text(member));
  });
  return {};
}

[[nodiscard]] inline std::string text_of(status const& s) {
  char line[256];
  return std::string(s.message(line));
}

/// Plans and compacts all layers of a dump of head dimension D. Bytes are those of the file's element type.
template <class C, int D>
message run_wide(cache_dump const& dump, run_options const& options, outcome& out) {
  using cache = rows<float const, D>;
  using result = rows<float, D>;
  std::vector<std::unique_ptr<std::vector<int>>> lists;
  typename C::params params;
  if (message m = fill_params<C>(options, params, out, lists)) return m;

  std::vector<kv_layer<cache>> layers;
  std::vector<cache> queries;
  for (auto const& l : dump.layers) {
    layers.push_back({make_rows<D>(l.keys.as<float>(), dump.kv_heads, dump.tokens),
                      make_rows<D>(l.values.as<float>(), dump.kv_heads, dump.tokens)});
    if (!C::observes_queries) continue;
    if (!l.queries.present())
      return "layers." + std::to_string(l.layer) + ".q is missing, and this strategy reads queries";
    queries.push_back(make_rows<D>(l.queries.as<float>(), dump.query_heads, l.queries.shape[1]));
  }
  cuda::std::span<kv_layer<cache> const> const group(layers.data(), layers.size());
  cuda::std::span<cache const> const observed(queries.data(), queries.size());

  host::team team(options.threads);
  host::on on(team);
  auto const call = [&](auto const& f) {
    if constexpr (C::observes_queries)
      return f(group, observed);
    else
      return f(group);
  };
  std::size_t const size = call([&](auto... views) { return workspace_bytes<C>(on, views..., params); });
  bytes_ptr const workspace = allocate(size);
  if (workspace == nullptr) return "out of memory: the workspace takes " + std::to_string(size) + " bytes";

  auto const start = std::chrono::steady_clock::now();
  token_plan const kept =
      call([&](auto... views) { return plan<C>(on, views..., params, std::span(workspace.get(), size)); });
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
    out.bytes_after += store::dense::bytes(dump.kv_heads, rows, D, element);
  }
  auto const move = std::chrono::steady_clock::now();
  status const applied =
      apply<C>(on, kept, group, cuda::std::span<kv_layer<result> const>(packed.data(), packed.size()));
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - move).count();
  if (!applied) return text_of(applied);
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
  }
  return {};
}

/// The head dimensions that this program is built for.
template <int... D>
struct head_dims {
  template <class C>
  static message run(cache_dump const& dump, run_options const& options, outcome& out) {
    message result;
    bool const known = ((dump.head_dim == D && (result = run_wide<C, D>(dump, options, out), true)) || ...);
    if (known) return result;
    std::string all;
    ((all += (all.empty() ? "" : ", ") + std::to_string(D)), ...);
    return "head_dim is " + std::to_string(dump.head_dim) + ", this program is built for " + all;
  }
};
using built_head_dims = head_dims<KVSIEVE_TOOL_HEAD_DIMS>;
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
  if (s.reads.empty()) s.reads = "nothing";
  typename C::params defaults;
  C::params::each(defaults,
                  [&](char const* stage, char const* name, auto& member, char const* unit, char const* meaning) {
                    s.fields.push_back({std::string(stage) + "." + name, to_text(member), unit, meaning});
                  });
  s.run = [name = s.name](cache_dump const& dump, run_options const& options, outcome& out) -> message {
    outcome fresh;
    fresh.strategy = name;
    message m = detail::built_head_dims::run<C>(dump, options, fresh);
    if (!m) out = std::move(fresh);
    return m;
  };
  return s;
}

// The rows, by family; a file each, so that they compile side by side.
[[nodiscard]] std::vector<strategy> key_presets();
[[nodiscard]] std::vector<strategy> lag_presets();
[[nodiscard]] std::vector<strategy> window_presets();
[[nodiscard]] std::vector<strategy> full_attention_presets();
[[nodiscard]] std::vector<strategy> position_presets();
}  // namespace kvsieve::tool
