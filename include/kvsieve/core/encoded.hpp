// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows that are stored otherwise than as one number after another: any layout of core/views.hpp over a codec of
// encode/.
#pragma once
#include <cuda/std/cstddef>

#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// A byte of encoded rows.
using byte = unsigned char;

/// What a format of rows is made of. The rows of a head lie in *tiles* of `Codec::tile_tokens` consecutive tokens (1
/// for formats whose tokens stand by themselves), each `Codec::template tile_bytes<D>` bytes.
/// - `fits(D)`: whether rows of D channels can be held;
/// - `decode<D>(tile, token, channel)`: one number of a tile, as float;
/// - `encode<D>(rows, tile)`: all rows of a tile, [tile_tokens, D] floats one behind another.
/// Both are plain code for host and device, always inlined, and define the format. A format may also have
/// - `load<Fragment, D>(tile, token, channel)`: as many channels as a fragment has lanes, bit for bit what decode
/// gives;
/// - `encode_rows<D>(rows, tiles, ahead)`: some tiles at once, or one whose rows lie anywhere, in arrays of pointers to
/// rows and to tiles, the same bytes as one by one, where what a row waits for leaves time for others; ahead(row,
/// channel) is called along the way for every 32 channels from one on. Pointers to rows are its own to change;
/// - `decode_row<D>(tile, token, to)`: a whole row [D], bit for bit what decode gives, where numbers one by one are
/// dear;
/// - `channels_of_scale<D>`, `scale<D>(tile, token, group)` and, where decode adds one, `least<D>(tile, token, group)`,
/// f16s or floats: how many channels share a scale, and what decode multiplies their codes with and adds to that; with
/// `row_scale<D>(tile, token)` scales are to be multiplied with that, and may be e4m3_bits, over 256. Attention
/// then reads codes alone, in any of these ways that the format has:
/// - `codes<Fragment, D>(tile, token, channel)`: those of 32 channels, which fit signed bytes; host only;
/// - `number<Fragment, D>(tile, token, channel)`: as many as a fragment has lanes, where that is cheap;
/// - `halves<Fragment, D>(tile, token, to)`: a whole row of f16s, codes or, without scales, numbers; host only. A zero
/// may lose its sign in all of them;
/// - `channel_scales<D>(tile)`: f16 scales [D], one for each channel of the tokens of a tile, and behind them what is
/// added [D]; number then gives codes;
/// - `stored`: the format of the rows as they lie there, where they are rotated (core/rotate.hpp);
/// - `gathered`, `kept`: the format of rows of `kept` channels, where only some are held (encode/kept_channels.hpp);
/// - `state`: what rows are read with besides their bytes, such as scales held elsewhere. `state.at(row)` is what
///   decode, load and encode take as their last argument for a row, counted from the view's first byte, and encode_rows
///   an array of such;
/// - `check<D>(state, heads, name, view)`: a status, where calls can refuse a state; `check_shape` the same without
///   reading what the state points to.
template <class C>
concept codec = requires(byte const* from, byte* to, float const* rows) {
  { C::name } -> cs::convertible_to<char const*>;
  { C::tile_tokens } -> cs::convertible_to<int>;
  { C::fits(64) } -> cs::same_as<bool>;
  { C::template decode<64>(from, 0, 0) } -> cs::same_as<float>;
  C::template encode<64>(rows, to);
};

/// The state of formats that have none.
struct no_state {
  /// Nothing.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD constexpr no_state at(index) const { return {}; }
};
namespace detail {
template <class C>
struct state_of_codec {
  using type = no_state;
};
template <class C>
  requires requires { typename C::state; }
struct state_of_codec<C> {
  using type = typename C::state;
};
}  // namespace detail
/// The state of a format.
template <class C>
using state_of = typename detail::state_of_codec<C>::type;
/// True for formats that need more than the bytes of a row.
template <class C>
inline constexpr bool has_state = !cs::is_same_v<state_of<C>, no_state>;

/// Bytes of `rows` rows of D channels; whole tiles.
template <codec C, int D>
[[nodiscard]] KVSIEVE_HD constexpr index encoded_bytes(index rows) {
  return (rows + C::tile_tokens - 1) / C::tile_tokens * index{C::template tile_bytes<D>};
}

/// The row of one token of one head of an encoded view.
template <class Codec, int D>
struct encoded_row {
  using format = Codec;               ///< of the row
  static constexpr int channels = D;  ///< of the row
  /// What the state of the view has for a row.
  using local_type = decltype(state_of<Codec>{}.at(index{}));
  byte const* tile;                        ///< where the tile begins that it is in
  int token;                               ///< which of the tile's rows it is
  [[no_unique_address]] local_type local;  ///< what the format's state has for it
  /// One channel.
  KVSIEVE_INLINE KVSIEVE_HD float operator[](int channel) const {
    if constexpr (has_state<Codec>)
      return Codec::template decode<D>(tile, token, channel, local);
    else
      return Codec::template decode<D>(tile, token, channel);
  }
  /// Channels [channel, channel + lanes) at once, where the format has a way.
  template <class Fragment>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD Fragment load(int channel) const
    requires requires { Codec::template load<Fragment, D>(static_cast<byte const*>(nullptr), 0, 0); }
  {
    if constexpr (has_state<Codec>)
      return Codec::template load<Fragment, D>(tile, token, channel, local);
    else
      return Codec::template load<Fragment, D>(tile, token, channel);
  }
  /// The scale of a group of channels, where the format has such.
  [[nodiscard]] KVSIEVE_INLINE auto scale(int group) const {
    if constexpr (has_state<Codec>)
      return Codec::template scale<D>(tile, token, group, local);
    else
      return Codec::template scale<D>(tile, token, group);
  }
  /// What all of its scales are multiplied with, where the format has such.
  [[nodiscard]] KVSIEVE_INLINE float row_scale() const
    requires requires { Codec::template row_scale<D>(static_cast<byte const*>(nullptr), 0); }
  {
    if constexpr (has_state<Codec>)
      return Codec::template row_scale<D>(tile, token, local);
    else
      return Codec::template row_scale<D>(tile, token);
  }
};

/// Accessor of mdspan for encoded rows: element i is channel i % D of row i / D. Elements are read as float; they
/// cannot be written one by one, store_row and apply write whole rows.
/// @tparam Byte  byte, or byte const for views that are only read
template <codec Codec, int D, class Byte = byte>
struct encoded {
  static_assert(Codec::fits(D), "kvsieve: this format cannot hold rows of this head dimension");
  /// @cond as in the standard
  using offset_policy = encoded;
  using element_type = cs::conditional_t<cs::is_const_v<Byte>, float const, float>;
  using reference = float;
  using data_handle_type = Byte*;
  [[no_unique_address]] state_of<Codec> state{};
  KVSIEVE_HD constexpr encoded() noexcept {}
  KVSIEVE_HD constexpr explicit encoded(state_of<Codec> s) noexcept : state(s) {}
  template <class Other>
    requires(cs::is_const_v<Byte> && cs::is_same_v<Other const, Byte>)
  KVSIEVE_HD constexpr encoded(encoded<Codec, D, Other> const& other) noexcept : state(other.state) {}
  KVSIEVE_INLINE KVSIEVE_HD reference access(data_handle_type p, cs::size_t i) const {
    index const r = static_cast<index>(i) / D;
    return encoded_row<Codec, D>{p + tile_of(r), static_cast<int>(r % Codec::tile_tokens),
                                 state.at(r)}[static_cast<int>(static_cast<index>(i) % D)];
  }
  KVSIEVE_HD constexpr data_handle_type offset(data_handle_type p, cs::size_t i) const {
    return p + tile_of(static_cast<index>(i) / D);
  }
  /// @endcond
  /// Where the tile of a row begins, in bytes.
  [[nodiscard]] KVSIEVE_HD static constexpr index tile_of(index r) {
    return r / Codec::tile_tokens * index{Codec::template tile_bytes<D>};
  }
};

/// Rows [heads, tokens, D] of a format, in any layout.
template <codec Codec, int D, class Byte = byte const, class Layout = layout_rows>
using encoded_rows =
    cs::mdspan<typename encoded<Codec, D, Byte>::element_type, row_extents<D>, Layout, encoded<Codec, D, Byte>>;

/// Views bytes as encoded rows [heads, tokens, D]; strides in rows, which are to be multiples of Codec::tile_tokens
/// for heads, and 1 for tokens where tiles hold several.
template <codec Codec, int D, class Byte>
[[nodiscard]] KVSIEVE_HD constexpr encoded_rows<Codec, D, Byte> make_encoded(Byte* data, index heads, index tokens,
                                                                             index head_rows, index token_rows,
                                                                             state_of<Codec> state = {}) {
  return {data, layout_rows::mapping<row_extents<D>>{row_extents<D>(heads, tokens), head_rows * D, token_rows * D},
          encoded<Codec, D, Byte>(state)};
}
/// Views packed bytes as encoded rows [heads, tokens, D]; each head begins with a tile of its own.
template <codec Codec, int D, class Byte>
[[nodiscard]] KVSIEVE_HD constexpr encoded_rows<Codec, D, Byte> make_encoded(Byte* data, index heads, index tokens,
                                                                             state_of<Codec> state = {}) {
  index const whole = (tokens + Codec::tile_tokens - 1) / Codec::tile_tokens * Codec::tile_tokens;
  return make_encoded<Codec, D>(data, heads, tokens, whole, 1, state);
}
/// Views packed bytes as encoded rows of heads with a number of tokens each, none with more than `longest`; `offset`
/// [heads + 1], in rows, multiples of Codec::tile_tokens, stays the caller's and is not read here, so it may be device
/// memory.
template <codec Codec, int D, class Byte>
[[nodiscard]] KVSIEVE_HD constexpr encoded_rows<Codec, D, Byte, layout_ragged> make_encoded_ragged(
    Byte* data, index heads, index const* offset, index longest, state_of<Codec> state = {}) {
  return {data, layout_ragged::mapping<row_extents<D>>{row_extents<D>(heads, longest), offset},
          encoded<Codec, D, Byte>(state)};
}
/// Views packed bytes as encoded rows of heads with a number of tokens each; `offset` [heads + 1], in rows, multiples
/// of Codec::tile_tokens, stays the caller's.
template <codec Codec, int D, class Byte>
[[nodiscard]] KVSIEVE_HD constexpr encoded_rows<Codec, D, Byte, layout_ragged> make_encoded_ragged(
    Byte* data, index heads, index const* offset, state_of<Codec> state = {}) {
  return {data, make_ragged<D>(static_cast<float const*>(nullptr), heads, offset).mapping(),
          encoded<Codec, D, Byte>(state)};
}

namespace detail {
template <class Accessor>
struct codec_of_accessor {
  using type = void;
};
template <class Codec, int D, class Byte>
struct codec_of_accessor<encoded<Codec, D, Byte>> {
  using type = Codec;
};
}  // namespace detail
/// The format of a view's rows; void where they are plain elements.
template <row_view V>
using codec_of = typename detail::codec_of_accessor<typename V::accessor_type>::type;
/// True for views of encoded rows.
template <row_view V>
inline constexpr bool is_encoded = !cs::is_void_v<codec_of<V>>;

/// The row of a token of a head.
template <row_view V>
  requires is_encoded<V>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD auto row_of(V const& view, index head, index token) {
  using C = codec_of<V>;
  index const r = view.mapping()(head, token, 0) / head_dim_of<V>;
  return encoded_row<C, head_dim_of<V>>{view.data_handle() + V::accessor_type::tile_of(r),
                                        static_cast<int>(r % C::tile_tokens), view.accessor().state.at(r)};
}

/// Whether a view's rows are stored rotated, see encode/rotated.hpp.
template <row_view V>
inline constexpr bool is_rotated = [] {
  if constexpr (is_encoded<V>)
    return requires { typename codec_of<V>::stored; };
  else
    return false;
}();
/// The row of a token of a head as it is stored: rotated where the view's rows are.
template <row_view V>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD auto stored_row_of(V const& view, index head, index token) {
  auto const row = row_of(view, head, token);
  if constexpr (is_rotated<V>)
    return encoded_row<typename codec_of<V>::stored, head_dim_of<V>>{row.tile, row.token, {}};
  else
    return row;
}

/// Whether a view's rows hold only some of the channels, see encode/kept_channels.hpp.
template <row_view V>
inline constexpr bool is_gathered = [] {
  if constexpr (is_encoded<V>)
    return requires { typename codec_of<V>::gathered; };
  else
    return false;
}();
/// Channels that a row of a view holds.
template <row_view V>
inline constexpr int held_channels = [] {
  if constexpr (is_gathered<V>)
    return codec_of<V>::kept;
  else
    return head_dim_of<V>;
}();
/// The row of a token of a head with the channels that it holds: fewer where the view's rows are gathered, rotated
/// where they are.
template <row_view V>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD auto held_row_of(V const& view, index head, index token) {
  if constexpr (is_gathered<V>) {
    index const r = view.mapping()(head, token, 0) / head_dim_of<V>;
    return encoded_row<typename codec_of<V>::gathered, held_channels<V>>{
        view.data_handle() + V::accessor_type::tile_of(r), 0, {}};
  } else {
    return stored_row_of(view, head, token);
  }
}

/// Bytes from the row of a token to that of the next, where they lie one behind another.
template <row_view V>
[[nodiscard]] KVSIEVE_HD constexpr index row_bytes() {
  if constexpr (is_encoded<V>)
    return index{codec_of<V>::template tile_bytes<head_dim_of<V>>} / codec_of<V>::tile_tokens;
  else
    return index{sizeof(element_of<V>)} * head_dim_of<V>;
}
}  // namespace kvsieve::inline v0
