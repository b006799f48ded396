// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of compaction into rows of another type or format: row i of the result is row kept[i], encoded, byte for
// byte as the host has it.
#pragma once
#include <kvsieve/device/evict/compact.hpp>
#include <kvsieve/device/store/encode_rows.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// How one tensor's rows get from a view into another.
enum class row_change : unsigned char {
  none,    ///< elements of the same type, or bytes of the same format
  number,  ///< from one element type to another, or decoded
  format   ///< encoded
};
template <row_view From, row_view To>
[[nodiscard]] constexpr row_change change_of() {
  if constexpr (is_encoded<To>) {
    if constexpr (cs::is_same_v<codec_of<From>, codec_of<To>>)
      return codec_of<To>::tile_tokens == 1 && !has_state<codec_of<To>> ? row_change::none : row_change::format;
    else
      return row_change::format;
  } else {
    return !is_encoded<From> && cs::is_same_v<element_of<From>, element_of<To>> ? row_change::none : row_change::number;
  }
}

/// Rows of `To`, written as `From` gives them: what a block of threads does for one head of one tensor.
template <row_view From, row_view To, row_change Change = change_of<From, To>()>
struct row_writer;

/// Elements, or bytes of one format.
template <row_view From, row_view To>
struct row_writer<From, To, row_change::none> {
  [[nodiscard]] static constexpr int blocks(int most) { return pieces(most, copy_rows); }
  template <block Block>
  struct shared {};
  template <block Block>
  KVSIEVE_HD static void run(Block& b, From const& from, To const& to, int head, int const* list, int count, int x,
                             shared<Block>&) {
    int const first = x * copy_rows;
    if (first >= count) return;
    int const rows = count - first < copy_rows ? count - first : copy_rows;
    if constexpr (is_encoded<To>) {
      constexpr int bytes = static_cast<int>(row_bytes<To>());
      auto const tile = b.template tile<32>();
      for (int i = tile.index(); i < rows; i += Block::threads / 32)
        if (row_is_there(to, head, first + i))
          copy_bytes(tile, row_of(from, head, list[first + i]).tile,
                     const_cast<byte*>(row_of(to, head, first + i).tile), bytes);
    } else {
      tensor_copy::run(b, from, to, head, first, list + first, rows);
    }
  }
};

/// Numbers, rounded to the element type.
template <row_view From, row_view To>
struct row_writer<From, To, row_change::number> {
  [[nodiscard]] static constexpr int blocks(int most) { return pieces(most, copy_rows); }
  template <block Block>
  struct shared {};
  template <block Block>
  KVSIEVE_HD static void run(Block& b, From const& from, To const& to, int head, int const* list, int count, int x,
                             shared<Block>&) {
    constexpr int D = head_dim_of<To>;
    int const first = x * copy_rows;
    if (first >= count) return;
    int const rows = count - first < copy_rows ? count - first : copy_rows;
    read_rows(b, from, head, list + first, rows, 0, D, [&](int row, int channel, float number) {
      if (row_is_there(to, head, first + row)) to(head, first + row, channel) = from_float<element_of<To>>(number);
    });
  }
};

/// Encoded rows: numbers come into shared memory, threads encode pieces of them there, and bytes go out.
template <row_view From, row_view To>
struct row_writer<From, To, row_change::format> {
  using codec = codec_of<To>;
  static constexpr int D = head_dim_of<To>, tokens = codec::tile_tokens;
  static constexpr int held = held_channels<To>;               ///< channels of a row that are encoded
  static constexpr int bytes = codec::template tile_bytes<D>;  ///< of a tile
  using written = typename written_format<codec>::type;        ///< once rows are rotated, or what is not held is gone
  static constexpr bool by_channel = encodes_by_channel<codec>;
  /// Channels of tokens that are encoded by channel, as many as a block holds.
  static constexpr int slice = 4096 / tokens < D ? 4096 / tokens / 16 * 16 : D;
  static constexpr int slices = (D + slice - 1) / slice;
  /// Tiles that a block encodes.
  static constexpr int tiles = [] {
    if constexpr (by_channel)
      return 1;
    else
      return encoded_piece<written, held>::tiles;
  }();
  [[nodiscard]] static constexpr int blocks(int most) {
    return by_channel ? most / tokens * slices : pieces(most / tokens, tiles);
  }

  template <block Block>
  struct shared {
    alignas(16) float number[by_channel ? slice * (tokens + 1) : tiles * tokens * (held + 1)];
    alignas(16) byte encoded[by_channel ? 16 : tiles * bytes];
  };
  template <block Block>
  KVSIEVE_HD static void run(Block& b, From const& from, To const& to, int head, int const* list, int count, int x,
                             shared<Block>& s) {
    if constexpr (by_channel)
      channels(b, from, to, head, list, count, x, s);
    else
      whole_tiles(b, from, to, head, list, count, x, s);
  }

 private:
  [[nodiscard]] KVSIEVE_HD static index row_at(To const& to, int head, int token) {
    return to.mapping()(head, token, 0) / D;
  }
  [[nodiscard]] KVSIEVE_HD static byte* tile_at(To const& to, index row) {
    return const_cast<byte*>(to.data_handle()) + To::accessor_type::tile_of(row);
  }

  template <block Block>
  KVSIEVE_HD static void whole_tiles(Block& b, From const& from, To const& to, int head, int const* list, int count,
                                     int x, shared<Block>& s) {
    using piece = encoded_piece<written, held>;
    constexpr int row = tokens == 1 ? held + 1 : held;
    int const first = x * tiles, all = count / tokens;
    if (first >= all) return;
    int const here = all - first < tiles ? all - first : tiles, rows = here * tokens;
    if constexpr (is_gathered<To>) {
      auto const channels = to.accessor().state.at(row_at(to, head, first));
      for (int i = b.rank(); i < rows * row; i += Block::threads) s.number[i] = 0.0f;
      b.sync();
      read_rows(b, from, head, list + first, rows, 0, D, [&](int r, int channel, float number) {
        if (int const place = codec::template place_of<D>(channel, channels); place >= 0)
          s.number[r * row + place] = number;
      });
    } else {
      read_rows(b, from, head, list + first * tokens, rows, 0, D,
                [&](int r, int channel, float number) { s.number[r * row + channel] = number; });
    }
    if constexpr (is_rotated<To>)
      rotate_finite<D>(b, s.number, row, rows);
    else
      b.sync();
    // Neighbours take the same piece of neighbouring rows, which lie in different banks.
    for (int i = b.rank(); i < here * piece::count; i += Block::threads) {
      int const tile = i % here, part = i / here;
      float const* const number = s.number + tile * tokens * row + part * piece::channels;
      byte* const encoded = s.encoded + tile * bytes + part * piece::bytes;
      if constexpr (has_state<written>)
        piece::encode(number, encoded, to.accessor().state.at(row_at(to, head, (first + tile) * tokens)));
      else
        piece::encode(number, encoded, no_state{});
    }
    b.sync();
    auto const warp = b.template tile<32>();
    for (int i = warp.index(); i < here; i += Block::threads / 32)
      if (row_is_there(to, head, (first + i) * tokens))
        copy_bytes(warp, s.encoded + i * bytes, tile_at(to, row_at(to, head, (first + i) * tokens)), bytes);
  }

  template <block Block>
  KVSIEVE_HD static void channels(Block& b, From const& from, To const& to, int head, int const* list, int count, int x,
                                  shared<Block>& s) {
    int const tile = x / slices, first = x % slices * slice;
    if ((tile + 1) * tokens > count || !row_is_there(to, head, tile * tokens)) return;
    int const here = D - first < slice ? D - first : slice;
    read_rows(b, from, head, list + tile * tokens, tokens, first, here,
              [&](int r, int channel, float number) { s.number[channel * (tokens + 1) + r] = number; });
    b.sync();
    byte* const at = tile_at(to, row_at(to, head, tile * tokens));
    for (int c = b.rank(); c < here; c += Block::threads)
      encode_channel<D>(codec{}, s.number + c * (tokens + 1), at, first + c);
  }
};

/// Block (segment of kept rows, head, 2 view + (0: keys, 1: values)): copies into other memory, where rows change.
template <class From, class To>
struct encode_body {
  using keys = row_writer<typename From::keys_type, typename To::keys_type>;
  using values = row_writer<typename From::values_type, typename To::values_type>;
  /// Blocks of a view whose heads keep up to `most` rows.
  [[nodiscard]] static constexpr int blocks(int most) {
    int const k = keys::blocks(most), v = values::blocks(most);
    return k < v ? v : k;
  }

  template <block Block>
  union shared {
    typename keys::template shared<Block> of_keys;
    typename values::template shared<Block> of_values;
  };
  template <block Block>
  KVSIEVE_HD static void run(Block& b, copy_args<From, To> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z / 2];
    int const keep = view.kept.count(w.y);
    int const* const list = view.kept.of(w.y);
    if (w.z % 2 == 0)
      keys::run(b, view.from_keys, view.to_keys, w.y, list, writable_rows(view.to_keys, w.y, keep), w.x, s.of_keys);
    else
      values::run(b, view.from_values, view.to_values, w.y, list, writable_rows(view.to_values, w.y, keep), w.x,
                  s.of_values);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
