// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A cache of any shape that owns what io::cache_source views, and files made and read in memory.
#pragma once
#include <kvsieve/io/read.hpp>
#include <kvsieve/io/write.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <deque>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace kvsieve::test {

using file_bytes = std::vector<byte>;

/// FNV-1a of 64 bits: a checksum of a few lines, in which no change of one byte goes unseen.
struct fnv {
  static constexpr char const* name = "FNV1A_64";
  std::uint64_t state = 0xcbf29ce484222325u;
  void update(byte const* p, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) state = (state ^ p[i]) * 0x100000001b3u;
  }
  [[nodiscard]] std::uint64_t digest() const { return state; }
};

struct owned_part {
  std::string name, key_format, value_format;
  std::uint32_t key_tokens = 1, key_bytes = 1, value_tokens = 1, value_bytes = 1;
  std::vector<int> rows, positions;
  file_bytes keys, values, bias;
  std::vector<std::span<byte const>> key_pieces, value_pieces;
  std::vector<float> scores;
  std::vector<std::uint64_t> channels;
};

/// What to make: lists of heads and layers alike or not, as the classes of plans have it.
struct container_shape {
  int heads = 2, layers = 2, parts = 2, tokens = 40, head_dim = 64;
  bool heads_alike = false, layers_alike = false, with_bias = true, with_scores = true, with_positions = true;
  bool with_channels = false;  ///< masks of the channels that keys hold, of every second part
  double kept = 0.5;           ///< share of the tokens, roughly
};

struct container_case {
  std::deque<owned_part> owned;
  std::deque<std::vector<io::part_source>> parts;
  std::vector<io::layer_source> layers;
  std::vector<io::text_pair> texts{{"strategy", "snap_kv"}, {"params", "score.window=32"}, {"", "\xff\x01"}};
  io::cache_source source;

  container_case(std::mt19937& engine, container_shape const& shape) {
    auto const any = [&](std::size_t n) {
      file_bytes out(n);
      for (auto& b : out) b = static_cast<byte>(engine());
      return out;
    };
    auto const list = [&] {
      std::vector<int> out;
      for (int t = 0; t < shape.tokens; ++t)
        if (std::uniform_real_distribution<>{}(engine) < shape.kept) out.push_back(t);
      return out;
    };
    std::vector<std::vector<std::vector<int>>> lists(static_cast<std::size_t>(shape.parts));
    for (int l = 0; l < shape.layers; ++l) {
      std::vector<io::part_source> of_layer;
      for (std::size_t k = 0; k < lists.size(); ++k) {
        if (l == 0 || !shape.layers_alike) {
          lists[k].clear();
          for (int h = 0; h < shape.heads; ++h) lists[k].push_back(shape.heads_alike && h > 0 ? lists[k][0] : list());
        }
        auto& p = owned.emplace_back();
        p.name = "part " + std::to_string(k);
        p.key_format = k == 0 ? "f16" : "unheard_of";
        p.value_format = k == 0 ? "f32" : "";
        p.value_format += "x";
        p.key_tokens = k == 0 ? 1 : 16;
        p.key_bytes = 1 + static_cast<std::uint32_t>(engine() % 20);
        p.value_tokens = k == 0 ? 1 : 3;
        p.value_bytes = 1 + static_cast<std::uint32_t>(engine() % 20);
        std::size_t keys = 0, values = 0;
        for (auto const& one : lists[k]) {
          p.rows.push_back(static_cast<int>(one.size()));
          p.positions.insert(p.positions.end(), one.begin(), one.end());
          keys += (one.size() + p.key_tokens - 1) / p.key_tokens * p.key_bytes;
          values += (one.size() + p.value_tokens - 1) / p.value_tokens * p.value_bytes;
        }
        p.keys = any(keys);
        p.values = any(values);
        p.bias = any(shape.with_bias ? p.positions.size() : 0);
        for (std::size_t i = 0; shape.with_scores && i < p.positions.size(); ++i)
          p.scores.push_back(std::normal_distribution<float>{}(engine));
        if (!shape.with_positions) p.positions.clear();
        auto const words = io::channel_words(static_cast<std::uint64_t>(shape.head_dim));
        for (std::size_t i = 0; shape.with_channels && k % 2 == 0 && i < p.rows.size() * words; ++i) {
          auto const bits = static_cast<std::uint64_t>(shape.head_dim) - i % words * 64;
          p.channels.push_back((std::uint64_t{engine()} << 32 | engine()) >> (bits < 64 ? 64 - bits : 0));
        }
        std::size_t const cut = keys == 0 ? 0 : engine() % keys;
        p.key_pieces = {std::span{p.keys}.first(cut), std::span{p.keys}.subspan(cut)};
        p.value_pieces = {p.values};
        of_layer.push_back({p.name,
                            {p.key_format, p.key_tokens, p.key_bytes},
                            {p.value_format, p.value_tokens, p.value_bytes},
                            p.rows,
                            p.positions,
                            p.key_pieces,
                            p.value_pieces,
                            p.bias,
                            p.scores,
                            p.channels});
      }
      parts.push_back(std::move(of_layer));
      layers.push_back({2 * l + 1, parts.back()});
    }
    source = {"a model",       "f16",       "half",         "U3", 2 * shape.layers + 2,
              2 * shape.heads, shape.heads, shape.head_dim, 1e6,  17,
              shape.tokens,    texts,       layers};
  }
  container_case(container_case const&) = delete;
  container_case& operator=(container_case const&) = delete;

  template <class Hash>
  [[nodiscard]] file_bytes written() const {
    file_bytes memory(io::head_bytes(source)), out;
    auto const s = io::write<Hash>(source, memory, [&](std::span<byte const> b) {
      out.insert(out.end(), b.begin(), b.end());
      return status{};
    });
    return s ? out : file_bytes{};
  }
};

/// Writes something else at a place: a byte, a bit, or a number that is huge or below `few`. @pre 8 bytes are there
inline void overwrite(file_bytes& f, std::size_t place, std::uint32_t few, std::mt19937& engine) {
  switch (engine() % 5) {
    case 0:
      f[place] = static_cast<byte>(engine());
      break;
    case 1:
      io::store(f.data() + place / 4 * 4, std::uint32_t{UINT32_MAX} - engine() % 3);
      break;
    case 2:
      io::store(f.data() + place / 8 * 8, UINT64_MAX - engine() % 130);
      break;
    case 3:
      io::store(f.data() + place / 4 * 4, static_cast<std::uint32_t>(engine() % few));
      break;
    default:
      f[place] ^= static_cast<byte>(1u << engine() % 8);
  }
}

/// Sets the checksum of header and directory anew: what somebody does who forges a file.
template <class Hash>
void forge(file_bytes& f) {
  auto const directory = io::load<std::uint64_t>(f.data() + io::header_field::directory_bytes);
  if (directory > f.size() - io::header_bytes) return;
  std::fill_n(f.begin() + io::header_field::hash, 8, byte{0});
  Hash seen;
  seen.update(f.data(), static_cast<std::size_t>(io::header_bytes + directory));
  io::store(f.data() + io::header_field::hash, seen.digest());
}
/// A file with a number in its header or directory set, and the checksum of these.
[[nodiscard]] file_bytes with(file_bytes f, std::uint64_t place, std::unsigned_integral auto number) {
  io::store(f.data() + place, number);
  forge<fnv>(f);
  return f;
}

/// Reads everything that a container offers; what sanitizers are to see. Returns a sum, so that nothing is left out.
inline std::uint64_t touch(io::container const& c) {
  std::uint64_t sum = 0;
  auto const text = [&](std::string_view t) {
    for (char const x : t) sum += static_cast<unsigned char>(x);
  };
  auto const bytes = [&](std::span<byte const> b) { sum = std::accumulate(b.begin(), b.end(), sum); };
  for (auto const t : {c.model, c.dtype, c.rope_style, c.uniformity}) text(t);
  for (int i = 0; i < c.pairs; ++i) text(c.key(i)), text(c.value(i));
  for (int i = 0; i < c.layers; ++i)
    for (int k = 0; k < c.parts(i); ++k) {
      auto const p = c.part(i, k);
      for (auto const t : {p.name, p.key_format.name, p.value_format.name}) text(t);
      p.each_head([&](io::stored_part::head_rows const& head) { bytes(head.keys), bytes(head.values); });
      p.each_position([&](std::uint64_t h, int t) { sum += h + static_cast<std::uint64_t>(t); });
      bytes(p.biases);
      for (std::uint64_t e = 0; e < p.score_bytes.size() / 4; ++e) sum += p.score(e) > 0;
      for (std::uint64_t h = 0; h < static_cast<std::uint64_t>(p.heads); ++h)
        for (int channel = 0; channel < c.head_dim; ++channel) sum += p.holds(h, channel);
    }
  return sum;
}
}  // namespace kvsieve::test
