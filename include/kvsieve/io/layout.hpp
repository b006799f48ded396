// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where things lie in a container, versions 1 and 2; docs/design/files.md is the same in words.
#pragma once
#include <cstdint>
#include <string_view>

#include <kvsieve/io/bytes.hpp>

namespace kvsieve::inline v0 {
namespace io {

/// First bytes of every container.
inline constexpr std::string_view magic{"KVSIEVE\0", 8};
/// The newest version that is read and written. What version 1 can say is written as version 1.
inline constexpr std::uint32_t version = 2;
/// Sections begin at multiples of this many bytes.
inline constexpr std::uint64_t alignment = 64;
/// Bounds of what a file may claim, so that no count of it costs more than its bytes.
inline constexpr std::uint64_t most_heads = 1 << 16, most_layers = 1 << 16, most_parts = 1 << 20,
                               most_channels = 1 << 16, most_tile_tokens = 1 << 16, most_tokens = INT32_MAX;

/// Places of the fields in the header.
struct header_field {
  /// @cond places, as docs/design/files.md has them
  static constexpr std::uint64_t version = 8, header_bytes = 12, total_bytes = 16, hash = 24, hash_name = 32,
                                 directory_bytes = 40, layers = 48, parts = 52, pairs = 56, string_bytes = 60,
                                 num_layers = 64, query_heads = 68, kv_heads = 72, head_dim = 76, rope_theta = 80,
                                 first_position = 88, tokens = 96, model = 104, dtype = 112, rope_style = 120,
                                 uniformity = 128;
  /// @endcond
};
/// Bytes of the header and of the records of layers and texts in the directory behind it.
inline constexpr std::uint64_t header_bytes = 192, layer_bytes = 16, pair_bytes = 16;

/// Sections of a part, in the order in which they lie in the file.
enum class section : unsigned char { rows, positions, keys, values, bias, scores, channels };
/// How many there are in the newest version.
inline constexpr int most_sections = 7;
/// How many there are in a version.
[[nodiscard]] constexpr int sections_of(std::uint32_t of) noexcept { return of == 1 ? 6 : most_sections; }

/// Places of the fields in the record of a part. A section has three numbers: offset, bytes, checksum.
struct part_field {
  /// @cond places, as docs/design/files.md has them
  static constexpr std::uint64_t name = 0, key_format = 8, value_format = 16, key_tile_tokens = 24, key_tile_bytes = 28,
                                 value_tile_tokens = 32, value_tile_bytes = 36, rows = 40, section = 48,
                                 section_bytes = 24;
  /// @endcond
};

/// Bytes of the record of a part in a version.
[[nodiscard]] constexpr std::uint64_t part_bytes(std::uint32_t of) noexcept {
  return part_field::section + part_field::section_bytes * static_cast<std::uint64_t>(sections_of(of));
}
/// Words of 64 bits that tell for one head which of the channels its keys hold.
[[nodiscard]] constexpr std::uint64_t channel_words(std::uint64_t head_dim) noexcept { return (head_dim + 63) / 64; }

/// Next multiple of the alignment.
[[nodiscard]] constexpr std::uint64_t padded(std::uint64_t bytes) noexcept {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// How rows of one part are held: the name of a format (`Codec::name`, or "f32", "f16", "bf16"), and its tiles.
struct row_format {
  std::string_view name;          ///< "q8_0"
  std::uint32_t tile_tokens = 1;  ///< rows of a tile
  std::uint32_t tile_bytes = 0;   ///< bytes of a tile, for the head dimension of the file

  /// Bytes of so many rows of one head, whole tiles; false when the number does not fit.
  [[nodiscard]] constexpr bool bytes(std::uint64_t rows, std::uint64_t& to) const noexcept {
    return multiply(rows / tile_tokens + (rows % tile_tokens != 0), tile_bytes, to);
  }
};
/// The format of a codec.
template <codec C, int D>
[[nodiscard]] constexpr row_format format_of() {
  return {C::name, C::tile_tokens, static_cast<std::uint32_t>(C::template tile_bytes<D>)};
}
/// The format of plain numbers.
[[nodiscard]] constexpr row_format format_of(dtype type, int channels) {
  return {name_of(type), 1, static_cast<std::uint32_t>(channels * size_of(type))};
}
}  // namespace io
}  // namespace kvsieve::inline v0
