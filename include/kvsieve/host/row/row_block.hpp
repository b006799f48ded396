// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of a block of tokens, opened once for all that is multiplied with them: where each lies, its codes where they
// are dear one fragment at a time, and scales apart from codes.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/minifloat.hpp>
#include <kvsieve/host/row/block_places.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Which channels of a row are read.
enum class row_part : unsigned char {
  held,  ///< those that rows hold, see encode/kept_channels.hpp
  whole  ///< all
};

namespace detail {
template <class Row>
concept has_format = requires { typename Row::format; };
template <class Row>
concept gives_codes = has_format<Row> && Row::channels % 32 == 0 &&
                      requires(byte const* tile) { Row::format::template codes<fragment, Row::channels>(tile, 0, 0); };
template <class Row>
concept gives_numbers = has_format<Row> && requires(byte const* tile) {
  Row::format::template number<fragment, Row::channels>(tile, 0, 0);
};
template <class Row>
concept gives_halves = has_format<Row> && Row::channels % 32 == 0 && requires(byte const* tile, f16* to) {
  Row::format::template halves<fragment, Row::channels>(tile, 0, to);
};
template <class Row>
concept scales_groups = has_format<Row> && (gives_codes<Row> || gives_numbers<Row> || gives_halves<Row>) &&
                        requires { Row::format::template channels_of_scale<Row::channels>; };
template <class Row>
concept scales_channels =
    gives_numbers<Row> && requires(byte const* tile) { Row::format::template channel_scales<Row::channels>(tile); };
template <class Row>
concept has_least =
    scales_groups<Row> && requires(byte const* tile) { Row::format::template least<Row::channels>(tile, 0, 0); };
template <class Row>
concept scales_rows = has_format<Row> && requires(Row const& r) { r.row_scale(); };
}  // namespace detail

/// Scales of a block of rows and what is added to what they scale, as floats.
template <class Row, int Group>
class block_scales {
  static constexpr int groups = Row::channels / Group;
  using raw = decltype(cs::declval<Row>().scale(0));

 public:
  /// Takes those of row j.
  KVSIEVE_INLINE void take(Row const& r, int j) {
    KVSIEVE_UNROLL for (int i = 0; i < groups; ++i) {
      raw_[i][j] = r.scale(i);
      if constexpr (detail::has_least<Row>)
        raw_least_[i][j] = Row::format::template least<Row::channels>(r.tile, r.token, i);
    }
    if constexpr (detail::scales_rows<Row>) row_scale_[j] = r.row_scale();
  }
  /// Makes those of the first rows floats; `count` is a multiple of the lanes.
  KVSIEVE_INLINE void widen(int count) {
    if constexpr (!cs::is_same_v<raw, float>)
      for (int i = 0; i < groups; ++i)
        for (int j = 0; j < count; j += fragment::lanes) {
          fragment const scale = widened(raw_[i] + j);
          store(scale_[i] + j, detail::scales_rows<Row> ? scale * load(row_scale_ + j) : scale);
          if constexpr (detail::has_least<Row>) store(least_[i] + j, widened(raw_least_[i] + j));
        }
  }
  /// Scales of a group, [block_rows].
  [[nodiscard]] KVSIEVE_INLINE float const* scales(int of) const {
    if constexpr (cs::is_same_v<raw, float>)
      return raw_[of];
    else
      return scale_[of];
  }
  /// What is added to its scaled codes, [block_rows].
  [[nodiscard]] KVSIEVE_INLINE float const* leasts(int of) const {
    if constexpr (cs::is_same_v<raw, float>)
      return raw_least_[of];
    else
      return least_[of];
  }

 private:
  static constexpr int wide = cs::is_same_v<raw, float> ? 1 : groups, lowest = detail::has_least<Row> ? groups : 1;
  KVSIEVE_INLINE static fragment widened(f16 const* from) { return load(from); }
  KVSIEVE_INLINE static fragment widened(e4m3_bits const* from) { return fragment::of_e4m3(&from->bits); }
  alignas(64) float row_scale_[detail::scales_rows<Row> ? block_rows : 1];
  alignas(64) raw raw_[groups][block_rows];
  alignas(64) raw raw_least_[lowest][block_rows];
  alignas(64) float scale_[wide][block_rows];
  alignas(64) float least_[wide < lowest ? wide : lowest][block_rows];
};
/// Where there are none.
struct no_block_scales {};

/// Up to Rows rows of a head. A number is code * scale + least; where a format has no scales, codes are numbers.
template <row_view V, row_part Part = row_part::whole, int Rows = block_rows>
class row_block {
  [[nodiscard]] KVSIEVE_INLINE static auto row_at(V const& view, index head, index token) {
    if constexpr (Part == row_part::held)
      return held_row_of(view, head, token);
    else
      return stored_row_of(view, head, token);
  }
  using row = decltype(row_at(cs::declval<V const&>(), 0, 0));
  static constexpr int lanes = fragment::lanes;
  static constexpr bool halves = detail::gives_halves<row>, by_channel = detail::scales_channels<row>;
  static constexpr bool bytes = detail::gives_codes<row>;

 public:
  /// Whether rows are read where they lie, one place computed from another: through a table of rows, large ones take a
  /// quarter longer, and small ones are as fast or faster.
  static constexpr bool placed = contiguous_rows<V> && strided_run<V> % Rows == 0 && row_bytes<V>() > 256;
  static constexpr int channels = Part == row_part::held ? held_channels<V> : head_dim_of<V>;  ///< of a row
  /// Channels that share a scale; 0: there are none.
  static constexpr int group = [] {
    if constexpr (detail::scales_groups<row>)
      return row::format::template channels_of_scale<channels>;
    else
      return 0;
  }();
  static constexpr bool has_least = detail::has_least<row>;  ///< whether something is added to what is scaled

  /// Opens rows [first, first + count) of a head; `first` is a multiple of Rows.
  void open(V const& view, index head, index first, int count) {
    byte const* tile = nullptr;
    int tiles = -1;
    view_ = &view;
    head_ = head;
    first_ = first;
    if constexpr (placed) return;
    block_places<V, Rows> const places(view, head, first);
    auto const at = [&](int j) {
      return detail::row_at_place(places, j, [&](int token) { return row_at(view, head, first + token); });
    };
    for (int j = 0; j < count; ++j) {
      row const r = at(j);
      if constexpr (halves) {
        row::format::template halves<fragment, channels>(r.tile, r.token, codes_ + j * channels);
      } else if constexpr (bytes) {
        KVSIEVE_UNROLL for (int c = 0; c < channels; c += 32)
            row::format::template codes<fragment, channels>(r.tile, r.token, c)
                .write(codes_ + j * channels + c);
      } else {
        row_[j] = r;
      }
      if constexpr (group > 0) scales_.take(r, j);
      if constexpr (by_channel) {
        if (r.tile != tile) widen(tile = r.tile, ++tiles);
        tile_[j] = tiles;
      }
    }
    if constexpr (group > 0) {  // behind the last row its scales stand, up to a whole fragment
      for (int j = count; j < round_up(count, lanes); ++j) scales_.take(at(count - 1), j);
      scales_.widen(round_up(count, lanes));
    }
  }

  /// Codes of fragments [c, c + Count) of row j, one or two; those of contiguous bf16 rows in the order of channel_at,
  /// and then two only from an even one on.
  template <int Count>
  KVSIEVE_INLINE void codes(int j, int c, fragment* out) const {
    if constexpr (Count == 2 && contiguous_rows<V> && cs::is_same_v<element_of<V>, bf16>) {
      fragment pair[2];
      load_channels<2 * lanes>(row_of_block(j) + c * lanes, 0, pair);
      out[0] = pair[0];
      out[1] = pair[1];
    } else {
      KVSIEVE_UNROLL for (int i = 0; i < Count; ++i) out[i] = code(j, (c + i) * lanes);
    }
  }
  /// The same as numbers.
  template <int Count>
  KVSIEVE_INLINE void numbers(int j, int c, fragment* out) const {
    codes<Count>(j, c, out);
    if constexpr (group > 0) KVSIEVE_UNROLL for (int i = 0; i < Count; ++i) {
        int const g = (c + i) * lanes / group;
        if constexpr (has_least)
          out[i] = fma(out[i], fragment(scales_.scales(g)[j]), fragment(scales_.leasts(g)[j]));
        else
          out[i] = out[i] * fragment(scales_.scales(g)[j]);
      }
  }
  /// Scales of a group of all rows, [block_rows].
  [[nodiscard]] KVSIEVE_INLINE float const* scales(int of) const { return scales_.scales(of); }
  /// What is added to them, [block_rows].
  [[nodiscard]] KVSIEVE_INLINE float const* leasts(int of) const { return scales_.leasts(of); }

 private:
  static constexpr auto scales_type() {
    if constexpr (group > 0)
      return cs::type_identity<block_scales<row, group>>{};
    else
      return cs::type_identity<no_block_scales>{};
  }
  KVSIEVE_INLINE void widen(byte const* tile, int number) {
    byte const* const from = row::format::template channel_scales<channels>(tile);
    for (int c = 0; c < 2 * channels; c += lanes) store(channel_[number] + c, fragment::of_f16s(from + 2 * c));
  }
  [[nodiscard]] KVSIEVE_INLINE row row_of_block(int j) const {
    if constexpr (placed)
      return row_at(*view_, head_, first_ + j);
    else
      return row_[j];
  }
  [[nodiscard]] KVSIEVE_INLINE fragment code(int j, int channel) const {
    if constexpr (halves) {
      return load(codes_ + j * channels + channel);
    } else if constexpr (bytes) {
      return fragment::of_bytes(codes_ + j * channels + channel);
    } else if constexpr (by_channel) {
      row const r = row_of_block(j);
      fragment const x = row::format::template number<fragment, channels>(r.tile, r.token, channel);
      float const* const scale = channel_[tile_[j]] + channel;
      return fma(x, load(scale), load(scale + channels));
    } else if constexpr (group > 0) {
      row const r = row_of_block(j);
      return row::format::template number<fragment, channels>(r.tile, r.token, channel);
    } else {
      return load_row(row_of_block(j), channel);
    }
  }
  static constexpr int most_tiles = [] {
    if constexpr (by_channel)
      return (Rows - 1) / row::format::tile_tokens + 2;
    else
      return 1;
  }();
  using code_type = cs::conditional_t<halves, f16, signed char>;
  alignas(64) code_type codes_[halves || bytes ? Rows * channels : 1];
  alignas(64) float channel_[most_tiles][by_channel ? 2 * channels : 1];  // of each tile: scales, what is added
  [[no_unique_address]] typename decltype(scales_type())::type scales_;
  int tile_[by_channel ? Rows : 1];
  row row_[halves || bytes || placed ? 1 : Rows];
  V const* view_ = nullptr;
  index head_ = 0, first_ = 0;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
