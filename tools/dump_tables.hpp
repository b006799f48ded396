// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a dump may hold beside a cache and its last queries, and the strategies that read it: the output projection,
// hidden states with the networks that learned from them, the queries and keys of a reconstruction pass.
#pragma once
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include <kvsieve/kvsieve.hpp>

#include "dump.hpp"
#include "field_text.hpp"

namespace kvsieve::tool::detail {

/// Weighs by values behind the output projection.
template <class C>
inline constexpr bool projects_values = requires { C::weigh_policy::quadratic; };
/// Reads hidden states and a network.
template <class C>
inline constexpr bool reads_hidden = std::is_same_v<typename C::pattern, patterns::per_hidden>;
/// Observes a reconstruction pass.
template <class C>
inline constexpr bool observes_pass = requires(typename C::params const& p) { p.score.chunks; };
/// Observes a pass and the last window, as sets of queries.
template <class C>
inline constexpr bool observes_sets = requires(typename C::params const& p) { p.score.sets; };
/// Observes a pass whose probabilities are multiplied by norms of projected values and of hidden states.
template <class C>
inline constexpr bool normalizes_pass = requires(typename C::params const& p) { p.group.weight.data(); };
/// Reads a pass behind the cache.
template <class C>
inline constexpr bool reads_pass = observes_pass<C> || observes_sets<C>;
/// What a person may set of a score that reads a network; its other fields are those of the network.
[[nodiscard]] inline bool is_window_of_gate(std::string const& key) {
  return key == "score.sink" || key == "score.long_prompt" || key.starts_with("score.window");
}
/// Whether the dump alone gives a field.
template <class C>
[[nodiscard]] bool comes_from_dump(std::string const& key) {
  if constexpr (reads_hidden<C>)
    if (key.starts_with("score.")) return !is_window_of_gate(key);
  if constexpr (observes_sets<C>)
    if (key == "score.own") return true;
  if constexpr (normalizes_pass<C>)
    if (key.starts_with("group.")) return true;
  if constexpr (projects_values<C>)
    return key == "weigh.output" || key == "weigh.query_heads" || key == "weigh.hidden" || key == "weigh.layer";
  return false;
}

/// What a strategy reads beside keys, values and queries, in words for the method table.
template <class C>
[[nodiscard]] std::string further_reads() {
  std::string text;
  for (auto const& [needed, word] : {std::pair{projects_values<C> || normalizes_pass<C>, ", output projection"},
                                     {reads_hidden<C>, ", hidden states"},
                                     {reads_pass<C>, ", a pass behind the cache"}})
    if (needed) text += word;
  return text;
}

/// "layers.9.o_proj is missing, and this strategy reads it".
[[nodiscard]] std::string missing_text(int layer, char const* name);
/// The tensor of all layers, one behind another, as numbers; refuses layers without it or of another shape.
[[nodiscard]] message stack_layers(cache_dump const& dump, char const* name, tensor dump_layer::* member,
                                   std::vector<float>& out);

/// Euclidean norms of every value behind each query head's part of the output projection, [Hq, N].
void append_projected_norms(cache_dump const& dump, dump_layer const& layer, std::vector<float>& out);
/// One over the norm of each hidden state of the pass, [P]; 0 for a state of zeros.
void append_inverse_norms(dump_layer const& layer, std::vector<float>& out);
/// Of the last queries those that are mixed with a pass: up to 64, as many as every layer has; 0 where one has none.
[[nodiscard]] int mixed_window(cache_dump const& dump);
/// The queries of a pass, with weight 0.7 together, and the last window's, with 0.3. Tokens before the first chunk are
/// seen by the whole pass.
[[nodiscard]] std::vector<query_set> mixed_sets(cache_dump const& dump, int window);

/// Fills what comes_from_dump() says and the chunks of a pass.
template <class C>
[[nodiscard]] message fill_tables(cache_dump const& dump, [[maybe_unused]] typename C::params& params,
                                  [[maybe_unused]] list_memory& lists) {
  auto const stacked = [&](char const* name, tensor dump_layer::* member, cuda::std::span<float const>& to) -> message {
    std::vector<float> all;
    if (message m = stack_layers(dump, name, member, all)) return m;
    to = lists.hold(std::move(all));
    return {};
  };
  if constexpr (projects_values<C>) {
    if (message m = stacked("o_proj", &dump_layer::output_projection, params.weigh.output)) return m;
    params.weigh.query_heads = dump.query_heads;
    params.weigh.hidden = static_cast<int>(dump.layers[0].output_projection.shape[0]);
  }
  if constexpr (reads_hidden<C>) {
    auto& p = params.score;
    if constexpr (requires { p.base_keys; }) {
      if (message m = stacked("gate.weight", &dump_layer::gate_weight, p.weight)) return m;
      if (message m = stacked("gate.bias", &dump_layer::gate_bias, p.bias)) return m;
      if (message m = stacked("gate.query_norm", &dump_layer::gate_query_norm, p.query_norm)) return m;
      if (message m = stacked("gate.key_norm", &dump_layer::gate_key_norm, p.key_norm)) return m;
      if (message m = stacked("gate.base_key", &dump_layer::gate_base_key, p.base_key)) return m;
      if (message m = stacked("gate.offset", &dump_layer::gate_offset, p.offset)) return m;
      p.group = dump.query_heads / dump.kv_heads;
      p.channels = static_cast<int>(dump.layers[0].gate_query_norm.shape[0]);
      p.base_keys = static_cast<int>(dump.layers[0].gate_base_key.shape[1]);
      p.width = static_cast<int>(dump.layers[0].gate_weight.shape[1]);
    } else {
      if (message m = stacked("kv_zap.weight", &dump_layer::zap_weight, p.weight)) return m;
      if (message m = stacked("kv_zap.bias", &dump_layer::zap_bias, p.bias)) return m;
      p.width = static_cast<int>(dump.layers[0].zap_weight.shape[1]);
    }
    if constexpr (requires { p.units; }) {
      if (message m = stacked("kv_zap.out_weight", &dump_layer::zap_out_weight, p.out_weight)) return m;
      if (message m = stacked("kv_zap.out_bias", &dump_layer::zap_out_bias, p.out_bias)) return m;
      p.units = static_cast<int>(dump.layers[0].zap_bias.shape[0]);
    }
    std::vector<hidden_rows> rows;
    for (auto const& l : dump.layers) {
      if (!l.hidden.present()) return missing_text(l.layer, "hidden");
      int const width = static_cast<int>(l.hidden.shape[1]);
      rows.push_back({l.hidden.bytes.get(), l.hidden.type, dump.tokens, width, width});
    }
    p.hidden = lists.hold(std::move(rows));
  }
  if constexpr (reads_pass<C>)
    for (auto const& l : dump.layers) {
      if (!l.pass_keys.present()) return missing_text(l.layer, "pass_k");
      if (observes_sets<C> && !l.queries.present()) return missing_text(l.layer, "q");
    }
  if constexpr (normalizes_pass<C>) {
    std::vector<float> weight, scale;
    for (auto const& l : dump.layers) {
      if (!l.output_projection.present()) return missing_text(l.layer, "o_proj");
      if (!l.pass_hidden.present()) return missing_text(l.layer, "pass_hidden");
      append_projected_norms(dump, l, weight);
      append_inverse_norms(l, scale);
    }
    params.group.weight = lists.hold(std::move(weight));
    params.group.query_heads = dump.query_heads;
    params.group.tokens = dump.tokens;
    params.score.scale = lists.hold(std::move(scale));
  }
  if constexpr (observes_sets<C>) {
    for (auto const& c : dump.pass) params.score.own += c.queries;
    params.score.sets = lists.hold(mixed_sets(dump, mixed_window(dump)));
  }
  if constexpr (observes_pass<C>) {
    std::vector<observe::repeated> chunks;
    for (auto const& c : dump.pass) chunks.push_back({c.from, c.to, c.queries});
    params.score.chunks = lists.hold(std::move(chunks));
  }
  return {};
}

/// The model's rotation as the dump has it, wherever a strategy asks for one.
void fill_rotation(cache_dump const& dump, field_refs const& fields);

/// The keys of a cache with those of a pass behind each head's.
[[nodiscard]] std::vector<float> keys_with_pass(cache_dump const& dump, dump_layer const& layer);
/// The queries of a pass with the last `window` of the cache behind each head's.
[[nodiscard]] std::vector<float> queries_of_pass(cache_dump const& dump, dump_layer const& layer, int window);
}  // namespace kvsieve::tool::detail
