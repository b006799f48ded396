// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// States as llama.cpp writes them, put together byte by byte.
#pragma once
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include <kvsieve/engine/llama_cpp/types.hpp>

namespace support {

using kvsieve::byte;
using kvsieve::engine::llama_type;

/// Bytes that grow, little-endian.
struct llama_bytes {
  std::vector<byte> all;
  void number(std::uint64_t x, int size) {
    for (int i = 0; i < size; ++i) all.push_back(static_cast<byte>(x >> (8 * i) & 255u));
  }
  void u32(std::uint32_t x) { number(x, 4); }
  void i32(int x) { number(static_cast<std::uint32_t>(x), 4); }
  void u64(std::uint64_t x) { number(x, 8); }
  void more(std::vector<byte> const& x) { all.insert(all.end(), x.begin(), x.end()); }
};

/// Rows of one tensor, [cells, channels] of random numbers in one of ggml's types.
inline std::vector<byte> llama_rows(llama_type type, int cells, int channels, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<byte> rows;
  bool const known = kvsieve::engine::with_llama_format(type, [&]<class Format>() {
    constexpr int block = Format::fits(1) ? 1 : 32;
    constexpr auto bytes = static_cast<std::size_t>(Format::template tile_bytes<block>);
    float x[block];
    for (int i = 0; i < cells * channels; i += block) {
      for (float& y : x) y = normal(random);
      rows.resize(rows.size() + bytes);
      Format::template encode<block>(x, rows.data() + rows.size() - bytes);
    }
  });
  if (!known)  // iq4_nl: its bytes alone matter
    for (int i = 0; i < cells * channels / 32 * 18; ++i) rows.push_back(static_cast<byte>(random() & 255u));
  return rows;
}

/// One cache of a state.
struct llama_case {
  int layers = 3, heads = 2, head_dim = 64;
  std::vector<int> positions{};
  llama_type keys = llama_type::f16, values = llama_type::f16;
  bool transposed = false, extension = false, has_values = true;
  int streams = 1, stream = 0, sequence = 5;
  std::uint32_t seed = 1;
  std::vector<byte> key_rows{}, value_rows{};  ///< of all layers, cell by cell, also where values are transposed

  /// Positions 0 to n - 1.
  llama_case& cells(int n) {
    positions.resize(static_cast<std::size_t>(n));
    std::iota(positions.begin(), positions.end(), 0);
    return *this;
  }
  [[nodiscard]] int count() const { return static_cast<int>(positions.size()); }
  [[nodiscard]] int channels() const { return heads * head_dim; }
  /// Its bytes, from the number of streams on.
  std::vector<byte> bytes() {
    std::mt19937 random(seed);
    llama_bytes b;
    key_rows.clear();
    value_rows.clear();
    b.i32(streams);
    for (int s = 0; s < streams; ++s) {
      bool const own = s == stream;
      b.i32(own ? count() : 0);
      if (!own || count() == 0) continue;
      for (int const p : positions) {
        b.i32(p);
        b.i32(1);
        for (int i = 0; extension && i < 3; ++i) b.i32(100 + p + i);
        b.i32(sequence);
      }
      b.i32(transposed ? 1 : 0);
      b.i32(layers);
      for (int l = 0; l < layers; ++l) {
        auto const rows = llama_rows(keys, count(), channels(), random);
        b.i32(static_cast<int>(keys));
        b.u64(rows.size() / positions.size());
        b.more(rows);
        key_rows.insert(key_rows.end(), rows.begin(), rows.end());
      }
      for (int l = 0; has_values && l < layers; ++l) {
        auto const rows = llama_rows(values, count(), channels(), random);
        value_rows.insert(value_rows.end(), rows.begin(), rows.end());
        b.i32(static_cast<int>(values));
        auto const row = rows.size() / positions.size(), element = row / static_cast<std::size_t>(channels());
        if (!transposed) {
          b.u64(row);
          b.more(rows);
          continue;
        }
        b.u32(static_cast<std::uint32_t>(element));
        b.i32(channels());
        for (std::size_t c = 0; c < static_cast<std::size_t>(channels()); ++c)
          for (std::size_t i = 0; i < positions.size(); ++i)
            for (std::size_t e = 0; e < element; ++e) b.all.push_back(rows[i * row + c * element + e]);
      }
    }
    return b.all;
  }
  /// A state of this cache.
  std::vector<byte> state() {
    llama_bytes b;
    b.u32(0xaf143cd8u);
    b.i32(sequence);
    b.more(bytes());
    return b.all;
  }
};
}  // namespace support
