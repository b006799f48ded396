// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Networks that somebody trained: in a dump, or in a file of their own.
#include <charconv>
#include <set>

#include "dump_tensors.hpp"

namespace kvsieve::tool {
namespace detail {

std::vector<network_part> const& network_parts() {
  static std::vector<network_part> const all{
      {"kv_zap.", {{"kv_zap.weight", &dump_layer::zap_weight}, {"kv_zap.bias", &dump_layer::zap_bias}}},
      {"kv_zap.out_",
       {{"kv_zap.out_weight", &dump_layer::zap_out_weight}, {"kv_zap.out_bias", &dump_layer::zap_out_bias}}},
      {"gate.",
       {{"gate.weight", &dump_layer::gate_weight},
        {"gate.bias", &dump_layer::gate_bias},
        {"gate.query_norm", &dump_layer::gate_query_norm},
        {"gate.key_norm", &dump_layer::gate_key_norm},
        {"gate.base_key", &dump_layer::gate_base_key},
        {"gate.offset", &dump_layer::gate_offset}}},
      {"less.",
       {{"less.query_in", &dump_layer::less_query_in},
        {"less.query_out", &dump_layer::less_query_out},
        {"less.in", &dump_layer::less_in},
        {"less.out", &dump_layer::less_out},
        {"less.mix", &dump_layer::less_mix},
        {"less.scale", &dump_layer::less_scale},
        {"less.mix_scale", &dump_layer::less_mix_scale}}},
      {"lean_k.", {{"lean_k.mask", &dump_layer::lean_k_mask}}}};
  return all;
}

message read_networks(input_file const& file, safetensors::contents const& all, cache_dump const& dump,
                      std::string const& prefix, dump_layer& out) {
  message failed;
  auto const read = [&](char const* name, std::vector<std::int64_t> shape, tensor& to) {
    return bool(failed = read_one(file, all, {prefix + name, std::move(shape), false}, to));
  };
  std::int64_t const width = out.hidden.present() ? out.hidden.shape[1] : -1, heads = dump.kv_heads;
  if (read("kv_zap.weight", {-1, width}, out.zap_weight)) return failed;
  std::int64_t const units = out.zap_weight.present() ? out.zap_weight.shape[0] : -1;
  if (read("kv_zap.bias", {units}, out.zap_bias)) return failed;
  if (read("kv_zap.out_weight", {heads, units}, out.zap_out_weight)) return failed;
  if (read("kv_zap.out_bias", {heads}, out.zap_out_bias)) return failed;

  if (read("gate.query_norm", {-1}, out.gate_query_norm)) return failed;
  std::int64_t const channels = out.gate_query_norm.present() ? out.gate_query_norm.shape[0] : -1;
  auto const rows = [&](std::int64_t of) { return channels < 0 ? -1 : of * channels; };
  if (read("gate.weight", {rows(dump.query_heads + heads), width}, out.gate_weight)) return failed;
  if (read("gate.bias", {rows(dump.query_heads)}, out.gate_bias)) return failed;
  if (read("gate.key_norm", {channels}, out.gate_key_norm)) return failed;
  if (read("gate.base_key", {heads, -1, channels}, out.gate_base_key)) return failed;
  if (read("gate.offset", {heads, dump.query_heads / heads}, out.gate_offset)) return failed;

  if (read("less.query_in", {dump.query_heads, dump.head_dim, -1}, out.less_query_in)) return failed;
  std::int64_t const hidden = out.less_query_in.present() ? out.less_query_in.shape[2] : -1;
  if (read("less.query_out", {dump.query_heads, hidden, -1}, out.less_query_out)) return failed;
  std::int64_t const rank = out.less_query_out.present() ? out.less_query_out.shape[2] : -1;
  if (read("less.in", {heads, dump.head_dim, hidden}, out.less_in)) return failed;
  if (read("less.out", {heads, hidden, rank}, out.less_out)) return failed;
  if (read("less.mix", {heads, rank, rank}, out.less_mix)) return failed;
  if (read("less.scale", {heads, rank}, out.less_scale)) return failed;
  if (read("less.mix_scale", {heads, rank}, out.less_mix_scale)) return failed;
  read("lean_k.mask", {heads, dump.head_dim}, out.lean_k_mask);
  return failed;
}

namespace {
/// The layer of "layers.<i>.kv_zap.weight" and the like; -1: another name.
int layer_of(std::string_view name) {
  constexpr std::string_view front = "layers.";
  if (!name.starts_with(front)) return -1;
  name.remove_prefix(front.size());
  int layer = -1;
  auto const [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc{} || layer < 0) return -1;
  name.remove_prefix(static_cast<std::size_t>(end - name.data()));
  for (char const* const family : {".kv_zap.", ".gate.", ".less.", ".lean_k."})
    if (name.starts_with(family)) return layer;
  return -1;
}

/// The networks of one layer of a file of weights.
message read_layer(input_file const& file, safetensors::contents const& all, cache_dump const& dump,
                   dump_layer& layer) {
  auto const prefix = "layers." + std::to_string(layer.layer) + ".";
  dump_layer read;
  read.hidden = layer.hidden;
  if (auto failed = read_networks(file, all, dump, prefix, read)) return failed;
  for (auto const& part : network_parts()) {
    network_tensor const *there = nullptr, *absent = nullptr;
    for (auto const& t : part.tensors) ((read.*t.member).present() ? there : absent) = &t;
    if (there != nullptr && absent != nullptr)
      return "tensor \"" + prefix + absent->name + "\" is missing, \"" + prefix + there->name + "\" is there";
  }
  if (read.zap_out_weight.present() && !read.zap_weight.present())
    return "tensor \"" + prefix + "kv_zap.weight\" is missing, \"" + prefix + "kv_zap.out_weight\" is there";
  // A network replaces the dump's as a whole: a linear one leaves no second part behind.
  for (auto const& [family, first] : {std::pair{"kv_zap.", &dump_layer::zap_weight},
                                      {"gate.", &dump_layer::gate_weight},
                                      {"less.", &dump_layer::less_in},
                                      {"lean_k.", &dump_layer::lean_k_mask}}) {
    if (!(read.*first).present()) continue;
    for (auto const& part : network_parts())
      for (auto const& t : part.tensors)
        if (std::string_view(part.name).starts_with(family)) layer.*t.member = std::move(read.*t.member);
  }
  return {};
}
}  // namespace
}  // namespace detail

message read_weights(std::filesystem::path const& path, cache_dump& dump) {
  input_file file;
  if (auto failed = file.open(path)) return failed;
  safetensors::contents all;
  if (auto failed = safetensors::read_contents(file, all)) return failed;
  auto const where = "'" + path.string() + "': ";
  std::set<int> there;
  for (auto const& e : all.entries) {
    int const layer = detail::layer_of(e.name);
    if (layer >= dump.num_layers)
      return where + "tensor \"" + e.name + "\": the dump's model has " + std::to_string(dump.num_layers) + " layers";
    if (layer >= 0) there.insert(layer);
  }
  if (there.empty()) return where + "no tensor is named layers.<i>.kv_zap.*, .gate.*, .less.* or .lean_k.mask";
  std::string list;
  for (int const layer : there) list += (list.empty() ? "" : ",") + std::to_string(layer);
  auto layers = dump.layers;
  for (auto& l : layers) {
    if (!there.contains(l.layer))
      return where + "no weights of layer " + std::to_string(l.layer) + ", it holds those of layers " + list;
    if (auto failed = detail::read_layer(file, all, dump, l)) return where + *failed;
  }
  dump.layers = std::move(layers);
  return {};
}
}  // namespace kvsieve::tool
