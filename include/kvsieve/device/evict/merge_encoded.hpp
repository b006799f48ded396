// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of evict::merge into encoded rows: those into which something merges are summed as floats and encoded
// over the kept ones, which lie there already with the bytes of compaction.
#pragma once
#include <kvsieve/device/evict/merge_nearest.hpp>
#include <kvsieve/device/store/encode_rows.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// True where keys or values of a result are encoded.
template <class Target>
inline constexpr bool merges_encoded =
    is_encoded<typename Target::keys_type> || is_encoded<typename Target::values_type>;

/// Block (segment of kept rows, head, view): rows of the result into which something merges, some of them at a time.
template <class Evict, class Layer, class Target>
struct encode_merged_body {
  using merged = merged_row<Evict, Layer>;
  using what = typename Evict::what;
  static constexpr int D = Layer::head_dim, own_channels = merged::own_channels, stride = D + 1;
  using args = merge_args<merge_target_part<Layer, Target>, typename merged::numbers>;

  /// Bytes of an encoded row; 0 for rows of elements.
  template <row_view To>
  static constexpr int bytes = [] {
    if constexpr (is_encoded<To>) {
      static_assert(codec_of<To>::tile_tokens == 1,
                    "kvsieve::apply: rows that merge are encoded one by one, and this format holds several together");
      return static_cast<int>(row_bytes<To>());
    } else {
      return 0;
    }
  }();
  static constexpr int most_bytes = bytes<typename Target::keys_type> < bytes<typename Target::values_type>
                                        ? bytes<typename Target::values_type>
                                        : bytes<typename Target::keys_type>;
  template <block Block>
  struct shared {
    static constexpr int tiles = Block::threads / merge_lanes, fit = 8192 / stride;
    static constexpr int rows = tiles < fit ? tiles : fit;  ///< at a time, a tile each
    float number[rows * stride];
    alignas(16) byte encoded[rows * most_bytes];
    bool any[rows];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& part = a.views.part[w.z];
    auto const& view = part.from;
    auto const tile = b.template tile<merge_lanes>();
    int const count = view.kept.count(w.y), begin = w.x * merged_rows_of_block;
    int const end = count - begin < merged_rows_of_block ? count : begin + merged_rows_of_block;
    for (int first = begin; first < end; first += shared<Block>::rows) {
      int const here = end - first < shared<Block>::rows ? end - first : shared<Block>::rows, k = first + tile.index();
      merged row;
      if (tile.index() < here) {
        row.sum(tile, a.params, view, w.y, k);
        if (tile.rank() == 0) s.any[tile.index()] = row.any;
        if (part.bias && tile.rank() == 0) part.bias.row(w.y)[k] = row.bias(a.params);
      }
      if constexpr (what::of_keys) write(b, row, row.keys, view, view.keys, part.keys, w.y, first, here, s);
      if constexpr (what::of_values) write(b, row, row.values, view, view.values, part.values, w.y, first, here, s);
      b.sync();
    }
  }

 private:
  template <block Block, row_view View, row_view To>
  KVSIEVE_HD static void write(Block& b, merged const& row, float (&sum)[own_channels], merge_part<Layer> const& view,
                               View const& rows, To const& to, int head, int first, int here, shared<Block>& s) {
    auto const tile = b.template tile<merge_lanes>();
    int const slot = tile.index(), k = first + slot;
    bool const any = slot < here && row.any;
    if (any) merged::add(tile, sum, row.own, rows, head, view.kept.of(head)[k]);
    if constexpr (!is_encoded<To>) {
      KVSIEVE_UNROLL for (int i = 0; i < own_channels; ++i) if (any)
          put_element(to, head, k, i * merge_lanes + tile.rank(), from_float<element_of<To>>(sum[i] / row.divisor));
    } else {
      if (slot < here)
        KVSIEVE_UNROLL for (int i = 0; i < own_channels; ++i) s.number[slot * stride + i * merge_lanes + tile.rank()] =
            any ? sum[i] / row.divisor : 0.0f;
      encode(b, to, head, first, here, s);
    }
  }
  template <block Block, row_view To>
  KVSIEVE_HD static void encode(Block& b, To const& to, int head, int first, int here, shared<Block>& s) {
    using codec = codec_of<To>;
    using piece = encoded_piece<cs::conditional_t<is_rotated<To>, typename written_format<codec>::type, codec>, D>;
    constexpr int of_row = bytes<To>;
    if constexpr (is_rotated<To>)
      rotate_finite<D>(b, s.number, stride, here);
    else
      b.sync();
    auto const at = [&](int slot) { return to.mapping()(head, first + slot, 0) / D; };
    for (int i = b.rank(); i < here * piece::count; i += Block::threads) {
      int const slot = i % here, of = i / here;
      if (s.any[slot])
        piece::encode(s.number + slot * stride + of * piece::channels, s.encoded + slot * of_row + of * piece::bytes,
                      to.accessor().state.at(at(slot)));
    }
    b.sync();
    auto const warp = b.template tile<32>();
    for (int slot = warp.index(); slot < here; slot += Block::threads / 32)
      if (s.any[slot] && row_can_be_written(to, head, first + slot))
        copy_bytes(warp, s.encoded + slot * of_row,
                   const_cast<byte*>(to.data_handle()) + To::accessor_type::tile_of(at(slot)), of_row);
    b.sync();
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
