// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dump_tables.hpp"

#include <algorithm>
#include <cmath>

#include "safetensors.hpp"

namespace kvsieve::tool::detail {
namespace {
template <class T>
void append(tensor const& from, std::vector<float>& to) {
  auto const* const first = from.as<T>();
  for (std::int64_t i = 0; i < from.elements(); ++i) to.push_back(to_float(first[i]));
}
/// Appends the numbers of a tensor.
void widen(tensor const& t, std::vector<float>& out) {
  if (t.type == kvsieve::dtype::f32) append<float>(t, out);
  if (t.type == kvsieve::dtype::f16) append<kvsieve::f16>(t, out);
  if (t.type == kvsieve::dtype::bf16) append<kvsieve::bf16>(t, out);
}
/// Rows of [heads, rows, D] with those of another tensor from `first` on behind each head's.
std::vector<float> joined(tensor const& front, tensor const& behind, std::int64_t first, int heads) {
  std::int64_t const dim = front.shape[2], own = front.shape[1] * dim, other = behind.shape[1] * dim;
  std::vector<float> all;
  all.reserve(static_cast<std::size_t>(heads * (own + other - first * dim)));
  for (std::int64_t h = 0; h < heads; ++h) {
    all.insert(all.end(), front.as<float>() + h * own, front.as<float>() + (h + 1) * own);
    all.insert(all.end(), behind.as<float>() + h * other + first * dim, behind.as<float>() + (h + 1) * other);
  }
  return all;
}
}  // namespace

std::string missing_text(int layer, char const* name) {
  return "layers." + std::to_string(layer) + "." + name + " is missing, and this strategy reads it";
}

message stack_layers(cache_dump const& dump, char const* name, tensor dump_layer::* member, std::vector<float>& out) {
  for (auto const& l : dump.layers) {
    tensor const& t = l.*member;
    if (!t.present()) return missing_text(l.layer, name);
    if (auto const& first = dump.layers[0].*member; t.shape != first.shape)
      return "layers." + std::to_string(l.layer) + "." + name + " has shape " + safetensors::to_text(t.shape) +
             ", that of the first layer has " + safetensors::to_text(first.shape);
    widen(t, out);
  }
  return {};
}

void append_projected_norms(cache_dump const& dump, dump_layer const& layer, std::vector<float>& out) {
  std::vector<float> output;
  widen(layer.output_projection, output);
  auto const dim = static_cast<std::size_t>(dump.head_dim), heads = static_cast<std::size_t>(dump.query_heads);
  std::size_t const entries = output.size() / (heads * dim), group = heads / static_cast<std::size_t>(dump.kv_heads);
  std::vector<double> gram(dim * dim);
  for (std::size_t q = 0; q < heads; ++q) {
    std::fill(gram.begin(), gram.end(), 0.0);
    for (std::size_t o = 0; o < entries; ++o) {
      float const* const row = output.data() + (o * heads + q) * dim;
      for (std::size_t i = 0; i < dim; ++i)
        for (std::size_t j = 0; j < dim; ++j)
          gram[i * dim + j] += static_cast<double>(row[i]) * static_cast<double>(row[j]);
    }
    for (std::int64_t t = 0; t < dump.tokens; ++t) {
      float const* const v =
          layer.values.as<float>() + (static_cast<std::int64_t>(q / group) * dump.tokens + t) * dump.head_dim;
      double square = 0;
      for (std::size_t i = 0; i < dim; ++i) {
        double sum = 0;
        for (std::size_t j = 0; j < dim; ++j) sum += gram[i * dim + j] * static_cast<double>(v[j]);
        square += sum * static_cast<double>(v[i]);
      }
      out.push_back(static_cast<float>(std::sqrt(std::max(square, 0.0))));
    }
  }
}

void append_inverse_norms(dump_layer const& layer, std::vector<float>& out) {
  std::vector<float> states;
  widen(layer.pass_hidden, states);
  auto const width = static_cast<std::size_t>(layer.pass_hidden.shape[1]);
  for (std::int64_t i = 0; i < layer.pass_hidden.shape[0]; ++i) {
    double square = 0;
    for (std::size_t c = 0; c < width; ++c) {
      auto const x = static_cast<double>(states[static_cast<std::size_t>(i) * width + c]);
      square += x * x;
    }
    out.push_back(static_cast<float>(square > 0 ? 1 / std::sqrt(square) : 0));
  }
}

int mixed_window(cache_dump const& dump) {
  std::int64_t least = 64;
  for (auto const& l : dump.layers) least = std::min(least, l.queries.present() ? l.queries.shape[1] : 0);
  return static_cast<int>(least);
}

std::vector<query_set> mixed_sets(cache_dump const& dump, int window) {
  std::vector<query_set> sets;
  int position = dump.tokens, pass = 0;
  for (auto const& c : dump.pass) pass += c.queries;
  for (auto const& c : dump.pass) {
    sets.push_back(
        {c.queries, 0.7f / static_cast<float>(pass), position, std::min(dump.pass[0].from, c.from), c.from, c.to});
    position += c.queries;
  }
  sets.push_back({window, 0.3f / static_cast<float>(window), dump.tokens - window});
  return sets;
}

void fill_rotation(cache_dump const& dump, field_refs const& fields) {
  for (auto const& f : fields) {
    auto const is = [&](char const* word) { return f.name == word || f.name.ends_with(std::string(".") + word); };
    if (auto* const* base = std::get_if<double*>(&f.member); base && is("rope_base") && dump.rope_theta > 0)
      **base = dump.rope_theta;
    if (auto* const* style = std::get_if<bool*>(&f.member); style && is("rope_interleaved"))
      **style = dump.rope_style == "interleaved";
    if (auto* const* first = std::get_if<int*>(&f.member); first && is("first_position"))
      **first = static_cast<int>(dump.first_position);
  }
}

std::vector<float> keys_with_pass(cache_dump const& dump, dump_layer const& layer) {
  return joined(layer.keys, layer.pass_keys, 0, dump.kv_heads);
}

std::vector<float> queries_of_pass(cache_dump const& dump, dump_layer const& layer, int window) {
  // Without a window the second part is empty.
  tensor const& last = window == 0 ? layer.pass_queries : layer.queries;
  return joined(layer.pass_queries, last, last.shape[1] - window, dump.query_heads);
}
}  // namespace kvsieve::tool::detail
