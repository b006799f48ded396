// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "container.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <deque>
#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/io/read.hpp>
#include <kvsieve/io/write.hpp>

#include "xxh3.hpp"

namespace kvsieve::tool {
namespace {

using bytes = std::vector<unsigned char>;

std::string layer_text(status const& s) {
  std::array<char, 256> line{};
  // A status counts views from 0 in a call; here its number is that of a layer of the model.
  status plain = s;
  plain.layer = -1;
  return (s.layer >= 0 ? "layer " + std::to_string(s.layer) + ": " : "") + std::string{plain.message(line)};
}

/// A row of floats in the element type of the file that they were read from; exact, for they were widened from it.
template <element T>
void append(bytes& to, float const* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    auto const piece = std::bit_cast<std::array<unsigned char, sizeof(T)>>(from_float<T>(from[i]));
    to.insert(to.end(), piece.begin(), piece.end());
  }
}
void append(bytes& to, dtype type, float const* from, std::size_t count) {
  switch (type) {
    case dtype::f32:
      return append<float>(to, from, count);
    case dtype::f16:
      return append<f16>(to, from, count);
    case dtype::bf16:
      return append<bf16>(to, from, count);
  }
}

/// What the descriptions of one layer view.
struct kept_layer {
  std::vector<int> rows, positions;
  bytes keys, values;
  std::vector<float> scores;
  std::array<std::span<unsigned char const>, 2> pieces;
  io::part_source part;
};

void gather(cache_dump const& dump, dump_layer const& from, layer_outcome const& kept, bool with_scores,
            kept_layer& to) {
  auto const D = static_cast<std::size_t>(dump.head_dim), N = static_cast<std::size_t>(dump.tokens);
  for (std::size_t h = 0; h < kept.kept.size(); ++h) {
    to.rows.push_back(static_cast<int>(kept.kept[h].size()));
    for (int const t : kept.kept[h]) {
      auto const at = (h * N + static_cast<std::size_t>(t)) * D;
      to.positions.push_back(t);
      append(to.keys, dump.type, from.keys.as<float>() + at, D);
      append(to.values, dump.type, from.values.as<float>() + at, D);
      if (with_scores && kept.score.size() == kept.kept.size() * N)
        to.scores.push_back(kept.score[h * N + static_cast<std::size_t>(t)]);
    }
  }
  to.pieces = {to.keys, to.values};
  auto const format = io::format_of(dump.type, dump.head_dim);
  to.part = {
      "kept", format,   format, to.rows, to.positions, std::span{to.pieces}.first(1), std::span{to.pieces}.last(1),
      {},     to.scores};
}

}  // namespace

message write_container(std::filesystem::path const& file, io::cache_source const& what) {
  bytes memory(io::head_bytes(what));
  output_file to;
  message failed = to.open(file);
  if (failed) return failed;
  auto const s = io::write<xxh3>(what, memory, [&](std::span<unsigned char const> piece) {
    failed = to.write(std::as_bytes(piece));
    return failed ? fail(errc::bad_file, "file", 0, "was not written;", 0) : status{};
  });
  if (failed) return failed;
  if (!s) return "cannot write '" + file.string() + "': " + layer_text(s);
  return to.commit();
}

/// What the descriptions of a layer view whose rows are stored in formats.
struct stored_layer {
  std::deque<std::array<std::span<unsigned char const>, 2>> pieces;
  std::vector<io::part_source> parts;
};
void gather(std::vector<stored_part> const& stored, stored_layer& to) {
  auto const format = [](stored_part::format const& f) {
    return io::row_format{f.name, static_cast<std::uint32_t>(f.tile_tokens), static_cast<std::uint32_t>(f.tile_bytes)};
  };
  for (auto const& p : stored) {
    auto& both = to.pieces.emplace_back();
    both = {p.keys, p.values};
    to.parts.push_back({p.name,
                        format(p.keys_in),
                        format(p.values_in),
                        p.rows,
                        p.positions,
                        std::span{both}.first(1),
                        std::span{both}.last(1),
                        p.bias,
                        {},
                        p.channels});
  }
}
/// Merged rows, in the type of the dump's file.
stored_part plain_part(cache_dump const& dump, std::vector<stored_head> const& heads) {
  auto const plain = io::format_of(dump.type, dump.head_dim);
  stored_part p;
  p.name = "merged";
  p.keys_in =
      p.values_in = {std::string(plain.name), static_cast<int>(plain.tile_tokens), static_cast<int>(plain.tile_bytes)};
  bool biased = false, tokens = true;
  for (auto const& h : heads) {
    p.rows.push_back(static_cast<int>(h.token.size()));
    append(p.keys, dump.type, h.keys.data(), h.keys.size());
    append(p.values, dump.type, h.values.data(), h.values.size());
    for (std::size_t i = 0; i < h.token.size(); ++i) {
      tokens = tokens && h.token[i] >= 0;
      biased = biased || h.bias[i] != 0;
      p.positions.push_back(h.token[i]);
      p.bias.push_back(encode_bias(h.bias[i]));
    }
  }
  if (!tokens) p.positions.clear();
  if (!biased) p.bias.clear();
  return p;
}

message write_kept(std::filesystem::path const& file, cache_dump const& dump, outcome const& result, bool with_scores) {
  std::deque<kept_layer> kept;
  std::deque<stored_layer> stored;
  std::deque<std::vector<stored_part>> merged;
  std::vector<io::layer_source> layers;
  for (std::size_t l = 0; l < result.layers.size(); ++l) {
    auto const& of = result.layers[l];
    for (auto const& head : of.stored)
      if (!head.sums.empty()) return "--out: a container holds rows, and no sums of evicted tokens";
    if (!of.parts.empty() || !of.stored.empty()) {
      auto& one = stored.emplace_back();
      if (of.parts.empty()) merged.push_back({plain_part(dump, of.stored)});
      gather(of.parts.empty() ? merged.back() : of.parts, one);
      layers.push_back({of.layer, one.parts});
      continue;
    }
    auto& one = kept.emplace_back();
    gather(dump, dump.layers[l], result.layers[l], with_scores, one);
    layers.push_back({result.layers[l].layer, {&one.part, 1}});
  }
  std::deque<std::string> names;
  std::vector<io::text_pair> texts{{"strategy", result.strategy}};
  for (auto const& [key, value] : result.params) texts.push_back({names.emplace_back("params." + key), value});
  return write_container(
      file, {dump.model, name_of(dump.type), dump.rope_style, result.uniformity, dump.num_layers, dump.query_heads,
             dump.kv_heads, dump.head_dim, dump.rope_theta, dump.first_position, dump.tokens, texts, layers});
}

bool is_container(input_file const& file) {
  std::array<char, 8> head{};
  return file.size() >= head.size() && !file.read(0, std::as_writable_bytes(std::span{head})) &&
         std::string_view{head.data(), head.size()} == io::magic;
}

message read_container(std::filesystem::path const& name, mapped_file& file, io::container& to) {
  if (auto failed = file.open(name)) return failed;
  if (status const s = io::read<xxh3>(file.bytes(), to); !s) return "'" + name.string() + "': " + layer_text(s);
  return {};
}

}  // namespace kvsieve::tool
