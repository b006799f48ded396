// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is to be written into a container: views of the caller's memory, nothing of a storage or a strategy.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include <kvsieve/io/layout.hpp>

namespace kvsieve::inline v0 {
namespace io {

/// Bytes that lie in pieces, one behind another.
using pieces = std::span<std::span<byte const> const>;

/// A text with a name: the strategy, its parameters, whatever a reader should find.
struct text_pair {
  std::string_view key;    ///< its name
  std::string_view value;  ///< the text
};

/// One part of a layer (core/parts.hpp): rows of one format. Heads lie one behind another, each from a tile of its own.
struct part_source {
  std::string_view name;           ///< "recent", "level 2"
  row_format key_format;           ///< how keys are held
  row_format value_format;         ///< how values are held
  std::span<int const> rows;       ///< [Hkv]: entries of each head
  std::span<int const> positions;  ///< [sum of rows]: token index of each, ascending per head; empty: not stored
  pieces keys;                     ///< whole tiles of all heads
  pieces values;                   ///< whole tiles of all heads
  std::span<byte const> bias;      ///< [sum of rows]: attention bias of each entry; empty: none
  std::span<float const> scores;   ///< [sum of rows]: what selection saw; empty: none
  /// [Hkv, ceil(D / 64)]: which channels the keys of a head hold, channel c at bit c % 64 of word c / 64, as
  /// encode::channel_masks has them; empty: all
  std::span<std::uint64_t const> channels = {};
};
/// One layer.
struct layer_source {
  int layer = 0;                       ///< the model's own index
  std::span<part_source const> parts;  ///< in the order of a sum over them
};
/// A whole cache and what it belongs to.
struct cache_source {
  std::string_view model;                ///< name of the model
  std::string_view dtype;                ///< of the cache before: "f32", "f16", "bf16"
  std::string_view rope_style;           ///< "half", "interleaved", or empty
  std::string_view uniformity;           ///< class of the plan, "U0" to "U3" or "F"
  int num_layers = 0;                    ///< of the model
  int query_heads = 0;                   ///< of the model, Hq
  int kv_heads = 0;                      ///< of the model, Hkv
  int head_dim = 0;                      ///< of the model, D
  double rope_theta = 0;                 ///< base of the rotation; 0: unknown
  std::int64_t first_position = 0;       ///< of token 0
  int tokens = 0;                        ///< N; the next token has position first_position + N
  std::span<text_pair const> metadata;   ///< in this order
  std::span<layer_source const> layers;  ///< in this order

  /// The version of the file: 2 where a part says which channels its keys hold, else 1.
  [[nodiscard]] constexpr std::uint32_t version() const noexcept {
    for (auto const& l : layers)
      for (auto const& p : l.parts)
        if (!p.channels.empty()) return 2;
    return 1;
  }
};
}  // namespace io
}  // namespace kvsieve::inline v0
