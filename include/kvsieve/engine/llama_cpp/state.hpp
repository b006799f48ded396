// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A sequence's state as llama_state_seq_get_data writes it, seen where it lies: no copy, no table, only offsets.
// Little-endian, without padding (llama_kv_cache::state_write of llama.cpp 0.5.0, commit 0c1e57098).
#pragma once
#include <cstdint>

#include <kvsieve/core/views.hpp>
#include <kvsieve/engine/llama_cpp/types.hpp>
#include <kvsieve/io/bytes.hpp>

namespace kvsieve::inline v0 {
namespace engine {

/// What the bytes do not say of themselves; the model does.
struct llama_form {
  bool values = true;      ///< false of models without a cache of values (MLA)
  bool extension = false;  ///< cells have 12 bytes more: M-RoPE, token embeddings per layer
  int caches = 1;          ///< 2 where layers with sliding windows have a cache of their own, which comes second
  bool more = false;       ///< bytes of recurrent layers follow, which are passed on unread
};

/// Keys or values of a layer in a state.
struct llama_tensor {
  byte const* data = nullptr;          ///< rows of all heads, cell after cell; transposed: cells, channel after channel
  llama_type type = llama_type::same;  ///< of its numbers
  bool transposed = false;             ///< [channels, cells], as values are without flash attention
  int channels = 0;                    ///< of all heads
  int cells = 0;                       ///< tokens

  /// Bytes of some channels of a cell, whole blocks.
  [[nodiscard]] constexpr index row_bytes(index some) const {
    return some / block_of(type).channels * block_of(type).bytes;
  }
  /// Where a channel of a cell is, the first of a block, in bytes from `data`.
  [[nodiscard]] constexpr index place(index cell, index channel) const {
    return transposed ? row_bytes(channel * cells + cell) : cell * row_bytes(channels) + row_bytes(channel);
  }
  /// From a block of a cell to the next one, in bytes.
  [[nodiscard]] constexpr index step() const { return block_of(type).bytes * (transposed ? index{cells} : index{1}); }
  /// Bytes of all cells.
  [[nodiscard]] constexpr index bytes() const { return row_bytes(channels) * cells; }
};

/// One cache of a state: the cells of the sequence, and for each its rows of all layers.
struct llama_cache {
  /// Bytes in front of a tensor: type and bytes of a row; transposed: type, bytes of a number, channels.
  static constexpr index tensor_head = 12;

  cs::span<byte const> bytes{};  ///< all of it
  int streams = 1;               ///< of the context that wrote it
  int stream = 0;                ///< the one whose cells these are
  int cells = 0;                 ///< tokens; without any the layers are not told
  int layers = 0;                ///< of this cache, in the model's order
  bool transposed = false;       ///< its values are
  bool has_values = true;        ///< it has some
  bool extension = false;        ///< its cells have 12 bytes more
  int next_position = 0;         ///< the largest position plus 1, where llama.cpp goes on
  int unordered = 0;             ///< first cell with a smaller position than the one before it; 0: none

  /// Bytes of a cell: position, number of sequences, extension, sequence.
  [[nodiscard]] constexpr index cell_bytes() const { return extension ? 24 : 12; }
  /// A cell as it is stored.
  [[nodiscard]] constexpr byte const* cell(index i) const {
    return bytes.data() + 8 + 4 * index{stream} + i * cell_bytes();
  }
  /// The position of a cell.
  [[nodiscard]] constexpr int position(index i) const { return static_cast<int>(io::load<std::uint32_t>(cell(i))); }
  /// The keys of a layer.
  [[nodiscard]] constexpr llama_tensor keys(int layer) const { return tensor(layer); }
  /// The values of a layer, where there are some.
  [[nodiscard]] constexpr llama_tensor values(int layer) const { return tensor(layers + layer); }
  /// Keys of all layers, then values of all layers: a walk over what lies before, a few nanoseconds each.
  [[nodiscard]] constexpr llama_tensor tensor(int i) const {
    byte const* p = cell(cells) + 8;
    for (int j = 0;; ++j) {
      llama_tensor const t = tensor_at(p, transposed && j >= layers);
      if (j == i) return t;
      p = t.data + t.bytes();
    }
  }

 private:
  [[nodiscard]] constexpr llama_tensor tensor_at(byte const* p, bool turned) const {
    llama_tensor t{p + tensor_head, static_cast<llama_type>(io::load<std::uint32_t>(p)), turned, 0, cells};
    llama_block const b = block_of(t.type);
    t.channels = static_cast<int>(turned ? io::load<std::uint32_t>(p + 8)
                                         : io::load<std::uint64_t>(p + 4) / static_cast<std::uint64_t>(b.bytes) *
                                               static_cast<std::uint64_t>(b.channels));
    return t;
  }
};

/// A state: one cache or two and what follows them.
struct llama_state {
  cs::span<byte const> bytes{};   ///< all of it
  cs::span<byte const> head{};    ///< before the first cache: magic and sequence; of a file also its tokens
  llama_cache cache{};            ///< the first: what is compressed
  llama_cache windows{};          ///< the second, where form.caches is 2
  cs::span<byte const> behind{};  ///< all that follows the first, which a new state has as well
};
}  // namespace engine
}  // namespace kvsieve::inline v0
