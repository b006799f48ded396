// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How the threads of a block encode rows: what of a tile a thread can encode by itself, and how numbers come in and
// bytes go out, 16 bytes at a time where both allow it.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/rotate.hpp>
#include <kvsieve/device/evict/compact.hpp>
#include <kvsieve/device/tile/octet.hpp>
#include <kvsieve/encode/kivi.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// What threads encode in: the format of rotated rows, or of the channels that are held.
template <class Codec>
struct written_format {
  using type = Codec;
};
template <class Codec>
  requires requires { typename Codec::stored; }
struct written_format<Codec> {
  using type = typename Codec::stored;
};
template <class Codec>
  requires requires { typename Codec::gathered; }
struct written_format<Codec> {
  using type = typename Codec::gathered;
};

/// Formats whose rows are blocks of channels that are encoded each by itself, one behind another.
template <class Codec, int D>
inline constexpr bool encodes_in_blocks = [] {
  if constexpr (!has_state<Codec> && requires { Codec::block + Codec::block_bytes; })
    return Codec::tile_tokens == 1 && Codec::template tile_bytes<D> == D / Codec::block * Codec::block_bytes;
  else
    return false;
}();

/// What a thread encodes by itself: a block of channels where rows are made of those, else a tile.
template <class Codec, int D>
struct encoded_piece {
  static constexpr int channels = [] {
    if constexpr (encodes_in_blocks<Codec, D>)
      return Codec::block;
    else
      return D;
  }();
  static constexpr int count = D / channels;                           ///< of a tile
  static constexpr int bytes = Codec::template tile_bytes<D> / count;  ///< of a piece
  static constexpr int floats = 4096;                                  ///< that a block holds at a time, about
  static constexpr int row = D + (Codec::tile_tokens == 1 ? 1 : 0);    ///< floats from a row to the next: odd
  static constexpr int tiles = [] {                                    ///< that a block encodes
    int n = 1;
    while (2 * n * Codec::tile_tokens * D <= floats) n *= 2;
    return n;
  }();
  static_assert(Codec::tile_tokens * D <= 2 * floats,
                "kvsieve::apply on the device: tiles of this format are too large for a block: use the host");

  /// Encodes one from floats; `local` is what the view's state has for its row.
  template <class Local>
  KVSIEVE_HD static void encode(float const* x, byte* to, [[maybe_unused]] Local const& local) {
    if constexpr (has_state<Codec>)
      Codec::template encode<channels>(x, to, local);
    else
      Codec::template encode<channels>(x, to);
  }
};

/// Copies bytes by the threads of a tile, in words where both ends lie so.
template <class Tile>
KVSIEVE_HD void copy_bytes(Tile const& tile, byte const* from, byte* to, int bytes) {
  auto const units = [&]<class Unit>(Unit) {
    for (int i = tile.rank(); i < bytes / static_cast<int>(sizeof(Unit)); i += Tile::width)
      reinterpret_cast<Unit*>(to)[i] = reinterpret_cast<Unit const*>(from)[i];
  };
  auto const lie =
      reinterpret_cast<cs::uintptr_t>(from) | reinterpret_cast<cs::uintptr_t>(to) | static_cast<cs::uintptr_t>(bytes);
  if (lie % 16 == 0)
    units(quad<float>{});
  else if (lie % 4 == 0)
    units(cs::uint32_t{});
  else if (lie % 2 == 0)
    units(cs::uint16_t{});
  else
    units(byte{});
}

/// Rows list[0 .. rows) of a head as floats, zeros for those that a head of its own length does not have, channels
/// [first, first + channels): put(row, channel - first, number).
template <block Block, row_view View, class Put>
KVSIEVE_HD void read_rows(Block& b, View const& from, int head, int const* list, int rows, int first, int channels,
                          Put const& put) {
  auto const may_be_read = [&]([[maybe_unused]] int row) {
    if constexpr (ragged_rows<View>)
      return row_can_be_read(from, head, list[row]);
    else
      return true;
  };
  if constexpr (contiguous_rows<View>) {
    if (quad_rows(from) && first % octet::lanes == 0 && channels % octet::lanes == 0) {
      int const per_row = channels / octet::lanes;
      for (int i = b.rank(); i < rows * per_row; i += Block::threads) {
        int const row = i / per_row, at = i % per_row * octet::lanes;
        octet x(0.0f);
        if (may_be_read(row)) x = widened(hold(from, head, list[row], first + at));
        KVSIEVE_UNROLL for (int c = 0; c < octet::lanes; ++c) put(row, at + c, x.v[c]);
      }
      return;
    }
  }
  for (int i = b.rank(); i < rows * channels; i += Block::threads) {
    int const row = i / channels, at = i % channels;
    put(row, at, may_be_read(row) ? to_float(from(head, list[row], first + at)) : 0.0f);
  }
}

/// Multiplies rows in shared memory, `stride` floats apart, by the matrix of rotate(), in its order; what is not finite
/// counts as encode::finite has it. Begins and ends with a sync.
template <int D, block Block>
KVSIEVE_HD void rotate_finite(Block& b, float* x, int stride, int rows) {
  b.sync();
  for (int i = b.rank(); i < rows * D; i += Block::threads) {
    float& one = x[i / D * stride + i % D];
    one = encode::finite(one);
  }
  b.sync();
  for (int half = 1; half < rotation_block(D); half *= 2) {
    for (int i = b.rank(); i < rows * (D / 2); i += Block::threads) {
      int const place = i % (D / 2), at = i / (D / 2) * stride + place / half * 2 * half + place % half;
      float const first = x[at], second = x[at + half];
      x[at] = first + second;
      x[at + half] = first - second;
    }
    b.sync();
  }
  for (int i = b.rank(); i < rows * D; i += Block::threads) x[i / D * stride + i % D] *= rotation_scale<D>;
  b.sync();
}

/// Keys whose groups are a channel of several tokens each: threads encode channels.
template <class Codec>
inline constexpr bool encodes_by_channel = false;
template <int B, int G>
inline constexpr bool encodes_by_channel<encode::kivi_keys<B, G>> = true;

/// The code of B bits nearest to x, halves to even; x is what a number is above the least one, in steps.
template <int B>
[[nodiscard]] KVSIEVE_HD unsigned code_of_steps(float x) {
  constexpr int top = (1 << B) - 1;
  if (!(x > 0)) return 0;
  if (x >= static_cast<float>(top)) return top;
  int const whole = static_cast<int>(x);
  float const rest = x - static_cast<float>(whole);
  return static_cast<unsigned>(whole + (rest > 0.5f || (rest == 0.5f && whole % 2 == 1) ? 1 : 0));
}

/// One channel of a tile of kivi_keys from its tokens, [G] floats one behind another.
template <int D, int B, int G>
KVSIEVE_HD void encode_channel(encode::kivi_keys<B, G>, float const* x, byte* tile, int channel) {
  using format = encode::kivi_keys<B, G>;
  float least = encode::finite(x[0]), most = least;
  for (int t = 1; t < G; ++t) {
    float const v = encode::finite(x[t]);
    least = v < least ? v : least;
    most = most < v ? v : most;
  }
  float const scale = (most - least) / static_cast<float>((1 << B) - 1), inverse = encode::inverse_of(scale);
  auto const put = [&](int at, float number) {
    f16 const h = from_float<f16>(encode::finite(number));
    __builtin_memcpy(tile + 4 * format::words * D + 2 * at, &h.bits, 2);
  };
  put(channel, scale);
  put(D + channel, least);
  for (int w = 0; w < format::words; ++w) {
    unsigned word = 0;
    for (int j = 0; j < format::per_word; ++j)
      word |= code_of_steps<B>((encode::finite(x[w * format::per_word + j]) - least) * inverse) << B * j;
    __builtin_memcpy(tile + 4 * (w * D + channel), &word, 4);
  }
}
}  // namespace device
}  // namespace kvsieve::inline v0
