// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <algorithm>
#include <cstring>
#include <deque>
#include <numeric>

#include "container.hpp"
#include "row_formats.hpp"
#include "safetensors.hpp"

namespace kvsieve::tool {
namespace {

using bytes = std::vector<unsigned char>;

/// What is known of one entry of a head; `row` is its place among the decoded rows.
struct entry_of_head {
  int position = -1;
  std::size_t row = 0;
  unsigned char bias = 0;
};
/// The entries of one head, of all parts, by position.
struct head_rows {
  std::vector<entry_of_head> entries;
  bytes keys, values;  ///< in the type of the output
};

/// The type that all rows of a container have as plain numbers; F32 when there is none.
dtype output_type(io::container const& from) {
  std::optional<dtype> common;
  for (int l = 0; l < from.layers; ++l)
    for (int k = 0; k < from.parts(l); ++k) {
      auto const p = from.part(l, k);
      for (auto const& format : {p.key_format, p.value_format}) {
        auto const type = plain_type(format, from.head_dim);
        if (!type || (common && *common != *type)) return dtype::f32;
        common = type;
      }
    }
  return common.value_or(dtype::f32);
}
std::string_view safetensors_name(dtype type) {
  return type == dtype::f32 ? "F32" : type == dtype::f16 ? "F16" : "BF16";
}

/// The channels that a part says its keys hold of a head.
std::vector<int> channels_held(io::stored_part const& p, std::uint64_t head, int channels) {
  std::vector<int> held;
  for (int c = 0; c < channels; ++c)
    if (p.holds(head, c)) held.push_back(c);
  return held;
}

/// Appends rows of a head in the output's type: as they are, or decoded to F32.
message append_rows(io::row_format const& format, std::span<unsigned char const> from, std::size_t rows, int channels,
                    dtype type, std::vector<int> const* held, bytes& to) {
  if (plain_type(format, channels) == type) {
    to.insert(to.end(), from.begin(), from.end());
    return {};
  }
  std::vector<float> numbers(rows * static_cast<std::size_t>(channels));
  if (auto failed = holds_some(format) ? decode_held_rows(format, from, rows, channels, held, numbers.data())
                                       : decode_rows(format, from, rows, channels, numbers.data()))
    return failed;
  auto const decoded = std::as_bytes(std::span{numbers});
  auto const* const first = reinterpret_cast<unsigned char const*>(decoded.data());
  to.insert(to.end(), first, first + decoded.size());
  return {};
}

bytes in_order(bytes const& rows, std::vector<entry_of_head> const& entries, std::size_t row_bytes) {
  bytes out(rows.size());
  for (std::size_t i = 0; i < entries.size(); ++i)
    std::memcpy(out.data() + i * row_bytes, rows.data() + entries[i].row * row_bytes, row_bytes);
  return out;
}

/// Gathers the heads of a layer. `placed` tells whether every entry has a position, `biased` whether one has a bias.
message gather(io::container const& from, int layer, dtype type, std::vector<head_rows>& heads, bool& placed,
               bool& biased) {
  heads.assign(static_cast<std::size_t>(from.kv_heads), {});
  placed = true;
  biased = false;
  for (int k = 0; k < from.parts(layer); ++k) {
    auto const p = from.part(layer, k);
    if (!p.masks.empty() && !holds_some(p.key_format))
      return "layer " + std::to_string(from.layer(layer)) + ": keys hold all channels, and the part says which";
    placed = placed && p.has_positions();
    biased = biased || !p.biases.empty();
    std::vector<std::size_t> next;
    message failed;
    p.each_head([&](io::stored_part::head_rows const& of) {
      if (failed) return;
      auto& head = heads[of.head];
      next.push_back(head.entries.size());
      auto const rows = static_cast<std::size_t>(of.rows);
      for (std::size_t i = of.first; i < of.first + rows; ++i)
        head.entries.push_back(
            {-1, head.entries.size(), p.biases.empty() ? static_cast<unsigned char>(0) : p.biases[i]});
      auto const held = channels_held(p, of.head, from.head_dim);
      failed =
          append_rows(p.key_format, of.keys, rows, from.head_dim, type, p.masks.empty() ? nullptr : &held, head.keys);
      if (!failed) failed = append_rows(p.value_format, of.values, rows, from.head_dim, type, nullptr, head.values);
    });
    if (failed) return "layer " + std::to_string(from.layer(layer)) + ": " + *failed;
    p.each_position([&](std::uint64_t h, int t) { heads[h].entries[next[h]++].position = t; });
  }
  auto const row_bytes = static_cast<std::size_t>(from.head_dim * size_of(type));
  if (placed)
    for (auto& head : heads) {
      std::ranges::stable_sort(head.entries, {}, &entry_of_head::position);
      head.keys = in_order(head.keys, head.entries, row_bytes);
      head.values = in_order(head.values, head.entries, row_bytes);
    }
  return {};
}

/// Tensors to be written, with the memory that they view.
class tensors {
 public:
  void add(std::string name, std::string_view type, std::vector<std::int64_t> shape, bytes data) {
    auto const& kept = memory_.emplace_back(std::move(data));
    items.push_back({std::move(name), type, std::move(shape), std::as_bytes(std::span{kept})});
  }
  std::vector<safetensors::item> items;

 private:
  std::deque<bytes> memory_;
};

void add_head(tensors& to, std::string const& prefix, std::vector<std::int64_t> const& leading, head_rows head,
              bool placed, bool biased, int D, dtype type) {
  auto rows = leading;
  rows.push_back(D);
  to.add(prefix + "k", safetensors_name(type), rows, std::move(head.keys));
  to.add(prefix + "v", safetensors_name(type), rows, std::move(head.values));
  bytes positions(4 * head.entries.size()), bias;
  for (std::size_t i = 0; i < head.entries.size(); ++i) {
    io::store(positions.data() + 4 * i, static_cast<std::uint32_t>(head.entries[i].position));
    bias.push_back(head.entries[i].bias);
  }
  if (placed) to.add(prefix + "positions", "I32", leading, std::move(positions));
  if (biased) to.add(prefix + "bias", "U8", leading, std::move(bias));
}

}  // namespace

message expand_container(io::container const& from, std::filesystem::path const& file) {
  auto const type = output_type(from);
  tensors out;
  std::string layers;
  for (int l = 0; l < from.layers; ++l) {
    std::vector<head_rows> heads;
    bool placed = true, biased = false;
    if (auto failed = gather(from, l, type, heads, placed, biased)) return failed;
    auto const prefix = "layers." + std::to_string(from.layer(l)) + ".";
    layers += (layers.empty() ? "" : ",") + std::to_string(from.layer(l));
    auto const count = heads[0].entries.size();
    if (std::ranges::all_of(heads, [&](head_rows const& h) { return h.entries.size() == count; })) {
      head_rows all;
      for (auto const& h : heads) {
        all.entries.insert(all.entries.end(), h.entries.begin(), h.entries.end());
        all.keys.insert(all.keys.end(), h.keys.begin(), h.keys.end());
        all.values.insert(all.values.end(), h.values.begin(), h.values.end());
      }
      add_head(out, prefix, {from.kv_heads, static_cast<std::int64_t>(count)}, std::move(all), placed, biased,
               from.head_dim, type);
    } else {
      for (std::size_t h = 0; h < heads.size(); ++h) {
        auto const rows = static_cast<std::int64_t>(heads[h].entries.size());
        add_head(out, prefix + "heads." + std::to_string(h) + ".", {rows}, std::move(heads[h]), placed, biased,
                 from.head_dim, type);
      }
    }
  }
  std::map<std::string, std::string> metadata;
  for (int i = 0; i < from.pairs; ++i) metadata[std::string{from.key(i)}] = from.value(i);
  for (auto const& [key, value] : {std::pair<char const*, std::string>{"format", "kvsieve-expanded-1"},
                                   {"model", std::string{from.model}},
                                   {"dtype", std::string{from.dtype}},
                                   {"rope_style", std::string{from.rope_style}},
                                   {"uniformity", std::string{from.uniformity}},
                                   {"num_layers", std::to_string(from.num_layers)},
                                   {"layers", layers},
                                   {"num_query_heads", std::to_string(from.query_heads)},
                                   {"num_kv_heads", std::to_string(from.kv_heads)},
                                   {"head_dim", std::to_string(from.head_dim)},
                                   {"tokens", std::to_string(from.tokens)},
                                   {"first_position", std::to_string(from.first_position)},
                                   {"next_position", std::to_string(from.next_position())},
                                   {"rope_theta", std::to_string(from.rope_theta)}})
    metadata[key] = value;
  return safetensors::write(file, out.items, metadata);
}

}  // namespace kvsieve::tool
