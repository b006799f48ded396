// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Networks over hidden states: in a dump, or in a file of their own.
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
        {"gate.offset", &dump_layer::gate_offset}}}};
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
  read("gate.offset", {heads, dump.query_heads / heads}, out.gate_offset);
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
  return name.starts_with(".kv_zap.") || name.starts_with(".gate.") ? layer : -1;
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
  for (bool const gate : {false, true})
    if ((gate ? read.gate_weight : read.zap_weight).present())
      for (auto const& part : network_parts())
        for (auto const& t : part.tensors)
          if (gate == std::string_view(part.name).starts_with("gate")) layer.*t.member = std::move(read.*t.member);
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
  if (there.empty()) return where + "no tensor is named layers.<i>.kv_zap.* or layers.<i>.gate.*";
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
