// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A container that was read: views into its bytes, which may be a mapped file. Nothing is copied.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <kvsieve/core/status.hpp>
#include <kvsieve/io/layout.hpp>
#include <kvsieve/io/positions.hpp>

namespace kvsieve::inline v0 {
namespace io {

/// One part of a layer in a container.
struct stored_part {
  std::string_view name;              ///< "recent", "level 2"
  row_format key_format;              ///< how keys are held
  row_format value_format;            ///< how values are held
  std::uint64_t entries = 0;          ///< of all heads
  int heads = 0;                      ///< Hkv
  std::uint64_t tokens = 0;           ///< N of the file; positions are below it
  std::span<byte const> row_counts;   ///< the section as it is: entries of each head
  std::span<byte const> lists;        ///< the section as it is: positions
  std::span<byte const> key_bytes;    ///< tiles of keys
  std::span<byte const> value_bytes;  ///< tiles of values
  std::span<byte const> biases;       ///< a code for each entry; may be empty
  std::span<byte const> score_bytes;  ///< floats; may be empty
  std::span<byte const> masks;        ///< which channels keys hold, 64-bit words of each head; empty: all

  /// Entries of a head.
  [[nodiscard]] constexpr std::uint64_t rows(std::uint64_t head) const noexcept {
    return load<std::uint32_t>(row_counts.data() + 4 * head);
  }
  /// What each head has: see each_head.
  struct head_rows {
    std::uint64_t head;            ///< its number
    std::uint64_t first;           ///< entries of the heads before it
    std::uint64_t rows;            ///< its entries
    std::span<byte const> keys;    ///< whole tiles
    std::span<byte const> values;  ///< whole tiles
  };
  /// Calls use(head_rows) for each head in order. To go through all of them takes this: first(), keys() and values() of
  /// one head count up the heads before it.
  template <class Use>
  constexpr void each_head(Use const& use) const {
    std::uint64_t first = 0, key = 0, value = 0;
    for (std::uint64_t h = 0; h < static_cast<std::uint64_t>(heads); ++h) {
      std::uint64_t const n = rows(h);
      std::uint64_t keys_of = 0, values_of = 0;
      (void)key_format.bytes(n, keys_of);
      (void)value_format.bytes(n, values_of);
      use(head_rows{h, first, n, key_bytes.subspan(static_cast<std::size_t>(key), static_cast<std::size_t>(keys_of)),
                    value_bytes.subspan(static_cast<std::size_t>(value), static_cast<std::size_t>(values_of))});
      first += n;
      key += keys_of;
      value += values_of;
    }
  }
  /// Entries of the heads before it: where its positions, biases and scores begin.
  [[nodiscard]] constexpr std::uint64_t first(std::uint64_t head) const noexcept {
    std::uint64_t sum = 0;
    for (std::uint64_t h = 0; h < head; ++h) sum += rows(h);
    return sum;
  }
  /// Keys of a head, whole tiles.
  [[nodiscard]] constexpr std::span<byte const> keys(std::uint64_t head) const noexcept {
    return of_head(key_bytes, key_format, head);
  }
  /// Values of a head, whole tiles.
  [[nodiscard]] constexpr std::span<byte const> values(std::uint64_t head) const noexcept {
    return of_head(value_bytes, value_format, head);
  }
  /// Whether the token of each entry is known.
  [[nodiscard]] constexpr bool has_positions() const noexcept { return !lists.empty() || entries == 0; }
  /// Calls use(head, token) for each entry, head after head, ascending.
  template <class Use>
  constexpr void each_position(Use const& use) const {
    if (lists.empty()) return;
    (void)read_lists(
        lists, static_cast<std::uint64_t>(heads), tokens, [this](std::uint64_t h) { return rows(h); }, true, use);
  }
  /// The score of an entry, counted over all heads.
  [[nodiscard]] constexpr float score(std::uint64_t entry) const noexcept {
    return std::bit_cast<float>(load<std::uint32_t>(score_bytes.data() + 4 * entry));
  }

  /// Whether the keys of a head hold a channel, which is below the head dimension.
  [[nodiscard]] constexpr bool holds(std::uint64_t head, int channel) const noexcept {
    if (masks.empty()) return true;
    auto const c = static_cast<std::uint64_t>(channel), words = masks.size() / 8 / static_cast<std::uint64_t>(heads);
    return (load<std::uint64_t>(masks.data() + 8 * (head * words + c / 64)) >> c % 64 & 1u) != 0;
  }

 private:
  [[nodiscard]] constexpr std::span<byte const> of_head(std::span<byte const> all, row_format const& format,
                                                        std::uint64_t head) const noexcept {
    std::uint64_t from = 0, one = 0;
    for (std::uint64_t h = 0; h < head; ++h) {
      (void)format.bytes(rows(h), one);
      from += one;
    }
    (void)format.bytes(rows(head), one);
    return all.subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(one));
  }
};

/// A container. Valid as long as the bytes it was read from; made by read().
struct container {
  std::uint32_t version = 0;        ///< of the file
  std::string_view model;           ///< see cache_source
  std::string_view dtype;           ///< see cache_source
  std::string_view rope_style;      ///< see cache_source
  std::string_view uniformity;      ///< see cache_source
  int num_layers = 0;               ///< of the model
  int query_heads = 0;              ///< of the model, Hq
  int kv_heads = 0;                 ///< of the model, Hkv
  int head_dim = 0;                 ///< of the model, D
  double rope_theta = 0;            ///< base of the rotation; 0: unknown
  std::int64_t first_position = 0;  ///< of token 0
  int tokens = 0;                   ///< N
  int layers = 0;                   ///< in the file
  int pairs = 0;                    ///< texts in the file
  std::span<byte const> bytes;      ///< the whole file
  std::uint64_t parts_at = 0;       ///< where the records of parts begin
  std::uint64_t pairs_at = 0;       ///< where the records of texts begin
  std::uint64_t texts_at = 0;       ///< where the texts begin

  /// Logical position of the token that comes next, whatever number of entries is left.
  [[nodiscard]] constexpr std::int64_t next_position() const noexcept { return first_position + tokens; }
  /// The model's own index of a layer.
  [[nodiscard]] constexpr int layer(int i) const noexcept { return number(layer_at(i)); }
  /// Parts of a layer.
  [[nodiscard]] constexpr int parts(int i) const noexcept { return number(layer_at(i) + 8); }
  /// A part of a layer.
  [[nodiscard]] stored_part part(int i, int which) const noexcept {
    return record(static_cast<std::uint64_t>(number(layer_at(i) + 4)) + static_cast<std::uint64_t>(which));
  }
  /// Name of a text.
  [[nodiscard]] std::string_view key(int i) const noexcept { return text(pair_at(i)); }
  /// The text.
  [[nodiscard]] std::string_view value(int i) const noexcept { return text(pair_at(i) + 8); }

  /// @cond of read()
  [[nodiscard]] constexpr byte const* at(std::uint64_t place) const noexcept { return bytes.data() + place; }
  [[nodiscard]] constexpr int number(std::uint64_t place) const noexcept {
    return static_cast<int>(load<std::uint32_t>(at(place)));
  }
  [[nodiscard]] constexpr std::uint64_t layer_at(int i) const noexcept {
    return header_bytes + layer_bytes * static_cast<std::uint64_t>(i);
  }
  [[nodiscard]] constexpr std::uint64_t pair_at(int i) const noexcept {
    return pairs_at + pair_bytes * static_cast<std::uint64_t>(i);
  }
  [[nodiscard]] std::string_view text(std::uint64_t place) const noexcept {
    return {reinterpret_cast<char const*>(at(texts_at + load<std::uint32_t>(at(place)))),
            load<std::uint32_t>(at(place + 4))};
  }
  [[nodiscard]] constexpr std::span<byte const> section_of(std::uint64_t part_at, section which) const noexcept {
    if (static_cast<int>(which) >= sections_of(version)) return {};
    byte const* const p =
        at(part_at + part_field::section + static_cast<std::uint64_t>(which) * part_field::section_bytes);
    return bytes.subspan(static_cast<std::size_t>(load<std::uint64_t>(p)),
                         static_cast<std::size_t>(load<std::uint64_t>(p + 8)));
  }
  [[nodiscard]] stored_part record(std::uint64_t i) const noexcept {
    using f = part_field;
    std::uint64_t const p = parts_at + part_bytes(version) * i;
    auto const u32 = [&](std::uint64_t field) { return load<std::uint32_t>(at(p + field)); };
    return {text(p + f::name),
            {text(p + f::key_format), u32(f::key_tile_tokens), u32(f::key_tile_bytes)},
            {text(p + f::value_format), u32(f::value_tile_tokens), u32(f::value_tile_bytes)},
            load<std::uint64_t>(at(p + f::rows)),
            kv_heads,
            static_cast<std::uint64_t>(tokens),
            section_of(p, section::rows),
            section_of(p, section::positions),
            section_of(p, section::keys),
            section_of(p, section::values),
            section_of(p, section::bias),
            section_of(p, section::scores),
            section_of(p, section::channels)};
  }
  /// @endcond
};
}  // namespace io
}  // namespace kvsieve::inline v0
