// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "reading.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "cells.hpp"
#include "file.hpp"
#include "output_projection.hpp"
#include "pass.hpp"
#include "text.hpp"
#include "watched_tensor.hpp"

namespace kvsieve::llama_example {
namespace {

using clock = std::chrono::steady_clock;
double since(clock::time_point start) { return std::chrono::duration<double>(clock::now() - start).count(); }

/// Keys or values of a layer of a state, [Hkv, cells, D].
tool::tensor widened(engine::llama_tensor const& from, int heads, int dim) {
  float* to = nullptr;
  tool::tensor t = floats({heads, from.cells, dim}, to);
  if (to == nullptr) return t;
  auto const* const traits = ggml_get_type_traits(static_cast<ggml_type>(from.type));
  for (std::int64_t h = 0; h < heads; ++h)
    for (std::int64_t c = 0; c < from.cells; ++c) {
      auto const* const row = from.data + from.place(c, h * dim);
      float* const at = to + (h * from.cells + c) * dim;
      if (from.type == engine::llama_type::f32)
        std::memcpy(at, row, static_cast<std::size_t>(dim) * sizeof(float));
      else
        traits->to_float(row, at, dim);
    }
  return t;
}

/// Keys and values of all layers that have all tokens.
message take_cache(session const& in, model_shape const& shape, tool::cache_dump& dump) {
  std::vector<unsigned char> bytes;
  engine::llama_state state;
  if (message m = read_state(in, shape, bytes, state)) return m;
  dump.tokens = state.cache.cells;
  switch (state.cache.keys(0).type) {
    case engine::llama_type::f32:
      dump.type = kvsieve::dtype::f32;
      break;
    case engine::llama_type::bf16:
      dump.type = kvsieve::dtype::bf16;
      break;
    default:
      dump.type = kvsieve::dtype::f16;
  }
  for (int l = 0; l < state.cache.layers; ++l) {
    auto const keys = state.cache.keys(l), values = state.cache.values(l);
    int const channels = shape.kv_heads * shape.head_dim, number = shape.cached[static_cast<std::size_t>(l)];
    if (keys.channels != channels || values.channels != channels)
      return "layer " + std::to_string(number) + " has " + std::to_string(keys.channels) + " channels of keys and " +
             std::to_string(values.channels) + " of values; this example takes layers that are alike, with " +
             std::to_string(channels);
    auto& layer = dump.layers.emplace_back();
    layer.layer = number;
    layer.keys = widened(keys, shape.kv_heads, shape.head_dim);
    layer.values = widened(values, shape.kv_heads, shape.head_dim);
    if (!layer.keys.present() || !layer.values.present()) return "out of memory: the cache in floats";
  }
  return {};
}

/// Holds the last token's attention of a layer against the definition.
message check_attention(tool::cache_dump const& dump, std::size_t index, std::vector<float> const& attention) {
  auto const& l = dump.layers[index];
  auto const dim = static_cast<std::size_t>(dump.head_dim), tokens = static_cast<std::size_t>(dump.tokens);
  auto const group = static_cast<std::size_t>(dump.query_heads / dump.kv_heads);
  double apart = 0, size = 0;
  std::vector<double> weight(tokens);
  for (std::size_t h = 0; h < static_cast<std::size_t>(dump.query_heads); ++h) {
    auto const last = static_cast<std::size_t>(l.queries.shape[1]) - 1;
    float const* const q = l.queries.as<float>() + (h * (last + 1) + last) * dim;
    float const* const k = l.keys.as<float>() + h / group * tokens * dim;
    float const* const v = l.values.as<float>() + h / group * tokens * dim;
    double top = -1e300, sum = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      double dot = 0;
      for (std::size_t c = 0; c < dim; ++c) dot += static_cast<double>(q[c]) * static_cast<double>(k[t * dim + c]);
      weight[t] = dot / std::sqrt(static_cast<double>(dim));
      top = std::max(top, weight[t]);
    }
    std::vector<double> out(dim);
    for (std::size_t t = 0; t < tokens; ++t) {
      double const p = std::exp(weight[t] - top);
      sum += p;
      for (std::size_t c = 0; c < dim; ++c) out[c] += p * static_cast<double>(v[t * dim + c]);
    }
    for (std::size_t c = 0; c < dim; ++c) {
      auto const theirs = static_cast<double>(attention[h * dim + c]);
      apart += (theirs - out[c] / sum) * (theirs - out[c] / sum);
      size += theirs * theirs;
    }
  }
  // Flash attention adds values up in f16, which gives about 1e-3 and with thousands of tokens 1e-2.
  double const error = std::sqrt(apart / std::max(size, 1e-30));
  if (error <= 0.05) return {};
  char text[160];
  std::snprintf(text, sizeof text,
                "the attention of layer %d differs by %.2g from softmax(q k / sqrt(D)) v: it has a scale, a cap, sinks "
                "or a mask of its own",
                l.layer, error);
  return text;
}

}  // namespace

wanted wanted_by(tool::strategy const& of, int queries, double repeated) {
  wanted w;
  auto const reads = [&](char const* what) { return of.reads.find(what) != std::string::npos; };
  w.queries = queries;
  for (auto const& [stage, policy] : of.stages)
    if (stage == "score" &&
        (policy.find("all queries") != std::string::npos || policy.find("history") != std::string::npos))
      w.queries = -1;
  w.pass = reads("a pass behind the cache");
  w.repeated = repeated;
  w.hidden = reads("hidden states") || (w.pass && reads("output projection"));
  w.output_projection = reads("output projection");
  return w;
}

wanted both(wanted const& a, wanted const& b) {
  return {a.queries < 0 || b.queries < 0 ? -1 : std::max(a.queries, b.queries), a.pass || b.pass,
          std::max(a.repeated, b.repeated), a.hidden || b.hidden, a.output_projection || b.output_projection};
}

message take_down(session const& in, model const& of, std::vector<watched_layer> const& seen, int window,
                  tool::cache_dump& out) {
  auto const& shape = of.shape();
  tool::cache_dump dump;
  dump.model = shape.name;
  dump.num_layers = shape.layers;
  dump.query_heads = shape.query_heads;
  dump.kv_heads = shape.kv_heads;
  dump.head_dim = shape.head_dim;
  dump.rope_theta = shape.rope_base;
  dump.rope_style = shape.rope_interleaved ? "interleaved" : "half";
  if (message m = take_cache(in, shape, dump)) return m;
  auto const width = static_cast<std::size_t>(shape.query_heads) * static_cast<std::size_t>(shape.head_dim);
  for (std::size_t l = 0; l < dump.layers.size(); ++l) {
    auto const layer = static_cast<std::size_t>(shape.cached[l]);
    std::size_t const there = layer < seen.size() ? seen[layer].queries.size() / width : 0;
    if (there == 0)
      return "layer " + std::to_string(layer) + " gave no queries: llama.cpp has no tensor Qcur-" +
             std::to_string(layer) + " of this model";
    std::size_t const taken =
        std::min({there, static_cast<std::size_t>(window), static_cast<std::size_t>(dump.tokens)});
    dump.layers[l].queries =
        by_head(std::span(seen[layer].queries).last(taken * width), shape.query_heads, shape.head_dim);
    if (!seen[layer].attention.empty())
      if (message m = check_attention(dump, l, seen[layer].attention)) return m;
  }
  out = std::move(dump);
  return {};
}

message read_prompt(session& in, model const& of, std::span<llama_token const> tokens, int position, wanted const& what,
                    reading& out) {
  int const count = static_cast<int>(tokens.size());
  if (count < 1) return "the text has no tokens";
  if (what.pass)
    if (message m = without_windows(of.shape(), "a pass behind the cache pushes tokens out of windows")) return m;
  int const window = what.queries < 0 ? count : std::clamp(what.queries, 1, count);
  reading fresh;
  auto const start = clock::now();
  bool const moves = what.pass && what.repeated < 1;  // all of the text stands for its repetition
  int const unwatched = what.hidden || moves ? 0 : count - window;
  if (unwatched > 0)
    if (message m = in.decode(tokens.first(static_cast<std::size_t>(unwatched)), position)) return m;
  in.watcher().watch({.queries = true, .keys = moves, .values = moves, .hidden = what.hidden, .attention = true});
  message const failed = in.decode(tokens.subspan(static_cast<std::size_t>(unwatched)), position + unwatched);
  fresh.seconds = since(start);
  auto const seen = in.watcher().take();
  if (failed) return failed;
  auto& dump = fresh.dump;
  if (message m = take_down(in, of, seen, window, dump)) return m;
  if (what.hidden)
    for (auto& l : dump.layers) l.hidden = by_token(seen[static_cast<std::size_t>(l.layer)].hidden, count);
  if (what.pass) {
    auto const pass_start = clock::now();
    if (message m = read_pass(in, of, tokens, position, what, seen, dump)) return m;
    fresh.pass_seconds = since(pass_start);
  }
  if (what.output_projection)
    if (message m = read_output_projections(of, dump)) return m;
  out = std::move(fresh);
  return {};
}

}  // namespace kvsieve::llama_example
