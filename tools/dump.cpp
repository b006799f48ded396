// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dump.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>

#include "dump_tensors.hpp"

namespace kvsieve::tool {
namespace {

namespace st = safetensors;
using detail::read_one;
using fields = std::map<std::string, std::string>;

/// A number that fills the whole text, or a message with the key and the text.
template <class T>
message parse_number(std::string const& key, std::string const& text, T least, T& out) {
  auto const* const end = text.data() + text.size();
  T value{};
  auto const [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end)
    return "metadata " + key + " is \"" + text.substr(0, 40) + "\", not a number";
  if (!(value >= least)) return "metadata " + key + " is " + text + ", less than " + std::to_string(least);
  out = value;
  return {};
}

template <class T>
message required(fields const& all, std::string const& key, T least, T& out) {
  auto const found = all.find(key);
  return found == all.end() ? message{"metadata " + key + " is missing"} : parse_number(key, found->second, least, out);
}

template <class T>
message optional(fields const& all, std::string const& key, T least, T& out) {
  return all.contains(key) ? required(all, key, least, out) : message{};
}

message parse_layers(fields const& all, int num_layers, std::vector<int>& out) {
  auto const found = all.find("layers");
  if (found == all.end()) return "metadata layers is missing";
  auto const& text = found->second;
  for (std::size_t at = 0; at <= text.size();) {
    auto const comma = std::min(text.find(',', at), text.size());
    int layer = 0;
    if (auto failed = parse_number<int>("layers", text.substr(at, comma - at), 0, layer)) return failed;
    if (layer >= num_layers)
      return "metadata layers names layer " + std::to_string(layer) + ", num_layers is " + std::to_string(num_layers);
    if (std::find(out.begin(), out.end(), layer) != out.end())
      return "metadata layers names layer " + std::to_string(layer) + " twice";
    out.push_back(layer);
    at = comma + 1;
  }
  return {};
}

/// "from-to:queries", a chunk of the pass after another.
message parse_pass(fields const& all, int tokens, std::vector<pass_chunk>& out) {
  auto const found = all.find("pass_chunks");
  if (found == all.end()) return {};
  auto const& text = found->second;
  for (std::size_t at = 0; at <= text.size();) {
    auto const end = std::min(text.find(',', at), text.size());
    auto const one = text.substr(at, end - at);
    auto const dash = one.find('-'), colon = one.find(':');
    if (dash == std::string::npos || colon == std::string::npos || colon < dash)
      return "metadata pass_chunks holds \"" + one.substr(0, 40) + "\", from-to:queries is needed";
    pass_chunk c;
    message failed;
    if ((failed = parse_number("pass_chunks", one.substr(0, dash), 0, c.from))) return failed;
    if ((failed = parse_number("pass_chunks", one.substr(dash + 1, colon - dash - 1), c.from + 1, c.to))) return failed;
    if ((failed = parse_number("pass_chunks", one.substr(colon + 1), 1, c.queries))) return failed;
    if (c.to > tokens)
      return "metadata pass_chunks ends at " + std::to_string(c.to) + ", tokens is " + std::to_string(tokens);
    if (c.queries > 1 << 24)
      return "metadata pass_chunks has " + std::to_string(c.queries) + " queries, more than " + std::to_string(1 << 24);
    out.push_back(c);
    at = end + 1;
  }
  return {};
}

message parse_metadata(fields const& all, cache_dump& out, std::vector<int>& layers) {
  auto const format = all.find("format");
  if (format == all.end()) return "not a cache dump: metadata format is missing, \"kvsieve-dump-1\" is needed";
  if (format->second != "kvsieve-dump-1")
    return "metadata format is \"" + format->second.substr(0, 40) + "\", \"kvsieve-dump-1\" is needed";
  message failed;
  if ((failed = required(all, "num_layers", 1, out.num_layers))) return failed;
  if ((failed = required(all, "num_query_heads", 1, out.query_heads))) return failed;
  if ((failed = required(all, "num_kv_heads", 1, out.kv_heads))) return failed;
  if ((failed = required(all, "head_dim", 1, out.head_dim))) return failed;
  if ((failed = required(all, "tokens", 1, out.tokens))) return failed;
  if ((failed = optional<std::int64_t>(all, "first_position", 0, out.first_position))) return failed;
  if ((failed = optional(all, "rope_theta", 0.0, out.rope_theta))) return failed;
  if (!std::isfinite(out.rope_theta)) return "metadata rope_theta is not finite";
  if (auto const style = all.find("rope_style"); style != all.end()) {
    if (style->second != "half" && style->second != "interleaved")
      return "metadata rope_style is \"" + style->second.substr(0, 40) + "\", half or interleaved is needed";
    out.rope_style = style->second;
  }
  if (out.query_heads % out.kv_heads != 0)
    return "metadata num_query_heads " + std::to_string(out.query_heads) + " is not a multiple of num_kv_heads " +
           std::to_string(out.kv_heads);
  if (auto const model = all.find("model"); model != all.end()) out.model = model->second;
  if ((failed = parse_pass(all, out.tokens, out.pass))) return failed;
  return parse_layers(all, out.num_layers, layers);
}

std::optional<kvsieve::dtype> float_type(std::string_view name) {
  if (name == "F32") return kvsieve::dtype::f32;
  if (name == "F16") return kvsieve::dtype::f16;
  if (name == "BF16") return kvsieve::dtype::bf16;
  return std::nullopt;
}

/// The tensors that few strategies read.
message read_further(input_file const& file, st::contents const& all, cache_dump const& dump, std::string const& prefix,
                     dump_layer& out) {
  std::int64_t queries = 0;
  for (auto const& c : dump.pass) queries += c.queries;
  for (auto const* const name : {"pass_k", "pass_q"}) {
    bool const there = all.find(prefix + name) != nullptr;
    if (there && dump.pass.empty()) return "metadata pass_chunks is missing, tensor \"" + prefix + name + "\" is there";
    if (!there && all.find(prefix + (name[5] == 'k' ? "pass_q" : "pass_k")) != nullptr)
      return "tensor \"" + prefix + name + "\" is missing, the other of the pass is there";
  }
  message failed;
  auto const read = [&](char const* name, std::vector<std::int64_t> shape, tensor& to) {
    return bool(failed = read_one(file, all, {prefix + name, std::move(shape), false}, to));
  };
  if (read("pass_k", {dump.kv_heads, queries, dump.head_dim}, out.pass_keys)) return failed;
  if (read("pass_q", {dump.query_heads, queries, dump.head_dim}, out.pass_queries)) return failed;
  if (read("pass_v", {dump.kv_heads, queries, dump.head_dim}, out.pass_values)) return failed;
  if (out.pass_values.present() && !out.pass_keys.present())
    return "tensor \"" + prefix + "pass_k\" is missing, \"" + prefix + "pass_v\" is there";
  if (read("pass_hidden", {queries, -1}, out.pass_hidden)) return failed;
  if (read("hidden", {dump.tokens, -1}, out.hidden)) return failed;
  return detail::read_networks(file, all, dump, prefix, out);
}

message read_layer(input_file const& file, st::contents const& all, int layer, cache_dump const& dump,
                   dump_layer& out) {
  auto const prefix = "layers." + std::to_string(layer) + ".";
  std::int64_t const dim = dump.head_dim, tokens = dump.tokens;
  out.layer = layer;
  message failed;
  if ((failed = read_one(file, all, {prefix + "k", {dump.kv_heads, tokens, dim}}, out.keys))) return failed;
  if ((failed = read_one(file, all, {prefix + "v", {dump.kv_heads, tokens, dim}}, out.values))) return failed;
  if ((failed = read_one(file, all, {prefix + "q", {dump.query_heads, -1, dim}, false}, out.queries))) return failed;
  std::int64_t const width = std::int64_t{dump.query_heads} * dim;
  if ((failed = read_one(file, all, {prefix + "o_proj", {-1, width}, false}, out.output_projection))) return failed;
  if ((failed = read_further(file, all, dump, prefix, out))) return failed;
  if (out.queries.present() && out.queries.shape[1] == 0) return "tensor \"" + prefix + "q\": 0 queries";
  if (out.queries.present() && out.queries.shape[1] > tokens)
    return "tensor \"" + prefix + "q\": " + std::to_string(out.queries.shape[1]) + " queries, more than the " +
           std::to_string(tokens) + " tokens";
  if (out.values.type != out.keys.type || (out.queries.present() && out.queries.type != out.keys.type)) {
    auto const& other = out.values.type != out.keys.type ? out.values : out.queries;
    return "tensor \"" + prefix + (&other == &out.values ? "v" : "q") + "\": dtype " + name_of(other.type) +
           " differs from the keys' " + name_of(out.keys.type);
  }
  return {};
}

template <class T>
void widen_from(tensor const& from, float* to) {
  auto const* const source = from.as<T>();
  for (std::int64_t i = 0; i < from.elements(); ++i) to[i] = to_float(source[i]);
}
/// Makes a tensor F32.
message widen(tensor& t) {
  if (!t.present() || t.type == kvsieve::dtype::f32) return {};
  tensor wide{kvsieve::dtype::f32, t.shape, {}};
  std::size_t const bytes = (wide.size_bytes() + 63) / 64 * 64;
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(64, bytes == 0 ? 64 : bytes));
  if (memory == nullptr) return "out of memory: a tensor takes " + std::to_string(bytes) + " bytes";
  wide.bytes = {memory, [](std::byte const* p) { std::free(const_cast<std::byte*>(p)); }};
  auto* const to = reinterpret_cast<float*>(memory);
  t.type == kvsieve::dtype::f16 ? widen_from<kvsieve::f16>(t, to) : widen_from<kvsieve::bf16>(t, to);
  t = std::move(wide);
  return {};
}

}  // namespace

message detail::read_one(input_file const& file, st::contents const& all, wanted const& want, tensor& out) {
  auto const* const entry = all.find(want.name);
  if (entry == nullptr) return want.required ? message{"tensor \"" + want.name + "\" is missing"} : message{};
  auto const where = "tensor \"" + want.name + "\": ";
  auto const type = float_type(entry->type.name);
  if (!type) return where + "dtype " + std::string{entry->type.name} + " is none of F32, F16, BF16";
  bool fits = entry->shape.size() == want.shape.size();
  for (std::size_t i = 0; fits && i < want.shape.size(); ++i)
    fits = want.shape[i] < 0 || want.shape[i] == entry->shape[i];
  if (!fits) {
    auto text = st::to_text(want.shape);
    if (auto const any = text.find("-1"); any != std::string::npos) text.replace(any, 2, "*");
    return where + "shape " + st::to_text(entry->shape) + " does not fit the metadata, which needs " + text;
  }
  out.type = *type;
  out.shape = entry->shape;
  return st::read_tensor(file, all, *entry, out.bytes);
}

std::int64_t tensor::elements() const {
  std::int64_t product = 1;
  for (auto const extent : shape) product *= extent;
  return product;
}

std::size_t tensor::size_bytes() const {
  return static_cast<std::size_t>(elements()) * static_cast<std::size_t>(size_of(type));
}

std::size_t cache_dump::cache_bytes() const {
  std::size_t sum = 0;
  for (auto const& l : layers) sum += static_cast<std::size_t>(l.keys.elements() + l.values.elements());
  return sum * static_cast<std::size_t>(size_of(type));
}

message read_dump(std::filesystem::path const& path, std::vector<int> const& only, cache_dump& out) {
  input_file file;
  if (auto failed = file.open(path)) return failed;
  st::contents all;
  if (auto failed = st::read_contents(file, all)) return failed;
  auto const where = "'" + path.string() + "': ";

  cache_dump dump;
  std::vector<int> layers;
  if (auto failed = parse_metadata(all.metadata, dump, layers)) return where + *failed;
  for (auto const wanted_layer : only)
    if (std::find(layers.begin(), layers.end(), wanted_layer) == layers.end())
      return where + "layer " + std::to_string(wanted_layer) + " is asked for, the dump holds layers " +
             all.metadata.at("layers");
  std::set<int> const chosen{only.begin(), only.end()};
  for (auto const layer : layers) {
    if (!chosen.empty() && !chosen.contains(layer)) continue;
    dump_layer one;
    if (auto failed = read_layer(file, all, layer, dump, one)) return where + *failed;
    if (!dump.layers.empty() && one.keys.type != dump.type)
      return where + "tensor \"layers." + std::to_string(layer) + ".k\": dtype " + name_of(one.keys.type) +
             " differs from the first layer's " + name_of(dump.type);
    dump.type = one.keys.type;
    for (tensor* const each :
         {&one.keys, &one.values, &one.queries, &one.pass_keys, &one.pass_values, &one.pass_queries})
      if (auto failed = widen(*each)) return where + *failed;
    dump.layers.push_back(std::move(one));
  }
  dump.metadata = std::move(all.metadata);
  out = std::move(dump);
  return {};
}

}  // namespace kvsieve::tool
