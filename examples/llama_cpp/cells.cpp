// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "cells.hpp"

#include <algorithm>

#include <kvsieve/host/on.hpp>

#include "text.hpp"

namespace kvsieve::llama_example {
namespace {

/// The plan of an outcome, with the memory it lies in.
struct listed_plan {
  std::vector<int> tokens, list;
  std::vector<index> offset{0};
  token_plan plan;
  listed_plan(tool::cache_dump const& dump, tool::outcome const& kept) : tokens(kept.layers.size(), dump.tokens) {
    for (auto const& l : kept.layers)
      for (auto const& h : l.kept) {
        list.insert(list.end(), h.begin(), h.end());
        offset.push_back(static_cast<index>(list.size()));
      }
    plan.views = static_cast<int>(kept.layers.size());
    plan.heads = dump.kv_heads;
    plan.logical_tokens = tokens.data();
    plan.offset = offset.data();
    plan.list = list.data();
  }
};

/// Puts merged rows of tokens that stay into a state, in its own type.
void put_merged(tool::outcome const& kept, engine::llama_state const& state, std::vector<unsigned char>& bytes,
                int dim) {
  for (std::size_t l = 0; l < kept.layers.size(); ++l)
    // Rows that were read back from a format are the tokens' own, rounded: the cells round them themselves.
    for (std::size_t h = 0; kept.layers[l].parts.empty() && h < kept.layers[l].stored.size(); ++h) {
      auto const& head = kept.layers[l].stored[h];
      for (std::size_t i = 0; i < head.token.size(); ++i)
        for (auto const& [to, rows] : {std::pair{state.cache.keys(static_cast<int>(l)), &head.keys},
                                       std::pair{state.cache.values(static_cast<int>(l)), &head.values}}) {
          auto const at = to.data - bytes.data() + to.place(head.token[i], static_cast<index>(h) * dim);
          ggml_fp32_to_fp16_row(rows->data() + i * static_cast<std::size_t>(dim),
                                reinterpret_cast<ggml_fp16_t*>(bytes.data() + at), dim);
        }
    }
}

}  // namespace

message read_state(session const& in, model_shape const& shape, std::vector<unsigned char>& bytes,
                   engine::llama_state& out) {
  if (message m = in.state(bytes)) return m;
  engine::llama_form const form{.extension = shape.extension, .caches = shape.window > 0 ? 2 : 1};
  if (status const s = engine::read_llama({bytes.data(), bytes.size()}, form, out); !s) return tool::text_of(s);
  if (out.cache.layers == static_cast<int>(shape.cached.size())) return {};
  return "the cache has " + std::to_string(out.cache.layers) + " layers, the model " +
         std::to_string(shape.cached.size());
}

message types_of(std::string const& store, ggml_type& keys, ggml_type& values) {
  struct row {
    char const* name;
    ggml_type keys, values;
  };
  constexpr row rows[] = {{"dense", GGML_TYPE_F16, GGML_TYPE_F16},       {"q8_0", GGML_TYPE_Q8_0, GGML_TYPE_Q8_0},
                          {"q8_0_q4_0", GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}, {"q5_1", GGML_TYPE_Q5_1, GGML_TYPE_Q5_1},
                          {"q5_0", GGML_TYPE_Q5_0, GGML_TYPE_Q5_0},      {"q4_1", GGML_TYPE_Q4_1, GGML_TYPE_Q4_1},
                          {"q4_0", GGML_TYPE_Q4_0, GGML_TYPE_Q4_0}};
  for (auto const& r : rows)
    if (store == r.name) {
      keys = r.keys;
      values = r.values;
      return {};
    }
  return "llama.cpp has no cache in " + store;
}

message fits_cells(tool::outcome const& kept) {
  for (auto const& l : kept.layers)
    for (std::size_t h = 0; h < l.stored.size(); ++h) {
      auto const& head = l.stored[h];
      if (!head.sums.empty() || head.token != l.kept[h])
        return "cells of llama.cpp hold no rows that stand for many tokens";
      for (float const b : head.bias)
        if (b != 0) return "cells of llama.cpp have no bias";
    }
  for (auto const& l : kept.layers)
    for (auto const& p : l.parts)
      for (auto const b : p.bias)
        if (b != 0) return "cells of llama.cpp have no bias";
  return {};
}

bool same_counts(tool::outcome const& kept) {
  std::size_t const first = kept.layers.front().kept.front().size();
  for (auto const& l : kept.layers)
    for (auto const& h : l.kept)
      if (h.size() != first) return false;
  return true;
}

message make_cells(session const& from, model_shape const& shape, tool::cache_dump const& dump,
                   tool::outcome const& kept, ggml_type keys, ggml_type values, kept_cells& out) {
  std::vector<unsigned char> bytes;
  engine::llama_state state;
  if (message m = read_state(from, shape, bytes, state)) return m;
  put_merged(kept, state, bytes, shape.head_dim);
  listed_plan const listed(dump, kept);
  bool const pads = !same_counts(kept);
  if (pads && (keys != GGML_TYPE_F16 || values != GGML_TYPE_F16))
    return "heads with other numbers of tokens are padded in f16 alone";
  engine::llama_output const output{.keys = static_cast<engine::llama_type>(keys),
                                    .values = static_cast<engine::llama_type>(values),
                                    .order = engine::llama_values::rows,
                                    .pad = pads};
  std::uint64_t size = 0;
  if (status const s = engine::llama_bytes(state, listed.plan, output, size); !s) return tool::text_of(s);
  kept_cells made;
  made.state.resize(size);
  if (status const s =
          engine::write_llama(host::on{}, state, listed.plan, output, {made.state.data(), made.state.size()});
      !s)
    return tool::text_of(s);
  for (auto const& l : kept.layers)
    for (auto const& h : l.kept) made.cells = std::max(made.cells, static_cast<int>(h.size()));
  if (pads)
    for (auto const& l : kept.layers)
      for (auto const& h : l.kept) made.padding.push_back(made.cells - static_cast<int>(h.size()));
  out = std::move(made);
  return {};
}

}  // namespace kvsieve::llama_example
