// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of which only some channels are held, the same ones in all rows of a head: ThinK (arXiv 2407.21018) and LeanK.
// Which ones stands apart, a bit for each channel of a head; attention gathers a query once and reads shorter rows.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/status.hpp>
#include <kvsieve/encode/block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Which channels a head keeps: words of 64 bits, channel c at bit c % 64 of word c / 64. No words: the first ones.
struct head_channels {
  cs::uint64_t const* words = nullptr;  ///< of all heads
  index head = 0;                       ///< which of them
  /// Word i of ceil(D / 64).
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD cs::uint64_t word(int i) const {
    return words[head * ((D + 63) / 64) + i];
  }
};

/// State of kept_channels. A row's head is (row / head_rows) % heads as with head_scales, or where `offset` says: then
/// head h has rows offset[h] to offset[h + 1], as in layout_ragged.
struct channel_masks {
  cs::uint64_t const* words = nullptr;  ///< [heads, ceil(D / 64)], of the caller, readable wherever rows are read
  index head_rows = 1;                  ///< rows from a head to the next, without `offset`
  index heads = 1;                      ///< masks; 1: one for all rows
  index const* offset = nullptr;        ///< [heads + 1], ascending; null: heads lie head_rows apart

  /// The channels of a row.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD head_channels at(index row) const {
    if (heads <= 1) return {words, 0};
    if (offset == nullptr) return {words, row / head_rows % heads};
    index low = 0, high = heads - 1;
    while (low < high) {
      index const middle = (low + high + 1) / 2;
      if (offset[middle] <= row)
        low = middle;
      else
        high = middle - 1;
    }
    return {words, low};
  }
  /// The channels of a head of a view.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD head_channels of_head(index head) const {
    return {words, heads > 1 ? head : 0};
  }
  /// Bytes of the masks of one layer.
  [[nodiscard]] static constexpr unsigned long long bytes(int heads, int head_dim) {
    return 8ull * static_cast<unsigned>(heads) * ((static_cast<unsigned>(head_dim) + 63) / 64);
  }
};

namespace detail {
template <class Codec>
inline constexpr joined_name name_of_kept("kept_", Codec::name);
}  // namespace detail

/// K of the channels of a row in another format, ascending; the others read as 0. Heads may have fewer: rows end in
/// zeros then. Of more than K, which calls refuse, the lowest count.
/// @tparam K      channels that are held, a multiple of 16
/// @tparam Codec  the format of rows of K channels; its rows stand by themselves and need no state
template <int K, class Codec>
struct kept_channels {
  static_assert(
      Codec::tile_tokens == 1 && !has_state<Codec> && !requires { typename Codec::stored; },
      "kvsieve::encode::kept_channels: rows of the other format stand by themselves, have no state and are "
      "not rotated");
  using state = channel_masks;                                           ///< which channels each head keeps
  using gathered = Codec;                                                ///< the format of what is held
  static constexpr int kept = K;                                         ///< channels that are held
  static constexpr char const* name = detail::name_of_kept<Codec>.text;  ///< "kept_" and Codec's
  static constexpr int tile_tokens = 1;                                  ///< a row stands by itself
  static constexpr bool fits(int D) {                                    ///< those that have K channels
    return K >= 16 && K % 16 == 0 && K <= D && D <= 512 && Codec::fits(K);
  }
  template <int D>
  static constexpr int tile_bytes = Codec::template tile_bytes<K>;  ///< bytes of a row; masks are counted apart

  /// Calls use(channel, place) for the channels that a head keeps, ascending; places from 0 to K - 1 at most.
  template <int D, class Use>
  KVSIEVE_INLINE KVSIEVE_HD static void each(head_channels of, Use const& use) {
    int place = 0;
    for (int c = 0; c < D && place < K; ++c)
      if (of.words == nullptr || (of.template word<D>(c / 64) >> c % 64 & 1u) != 0) use(c, place++);
  }
  /// What is held of a row of floats, `to` [K]; zeros where a head keeps fewer.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void gather(float const* x, head_channels of, float* to) {
    for (int i = 0; i < K; ++i) to[i] = 0.0f;
    each<D>(of, [&](int channel, int place) { to[place] = x[channel]; });
  }
  /// Where a channel is held; -1: it is not.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static int place_of(int channel, head_channels of) {
    int place = channel;
    if (of.words != nullptr) {
      cs::uint64_t const word = of.template word<D>(channel / 64);
      if ((word >> channel % 64 & 1u) == 0) return -1;
      place = cs::popcount(word & ((cs::uint64_t{1} << channel % 64) - 1));
      for (int i = 0; i < channel / 64; ++i) place += cs::popcount(of.template word<D>(i));
    }
    return place < K ? place : -1;
  }
  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel,
                                                              head_channels of = {}) {
    int const place = place_of<D>(channel, of);
    return place < 0 ? 0.0f : Codec::template decode<K>(row, 0, place);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row, head_channels of = {}) {
    float held[K];
    gather<D>(x, of, held);
    Codec::template encode<K>(held, row);
  }

  /// Ok, or what does not fit `heads` heads, as far as it shows without reading the masks.
  [[nodiscard]] static status check_shape(channel_masks const& s, index heads, char const* argument, int view) {
    auto const at = [](index x) { return static_cast<double>(x); };
    if (s.words == nullptr) return {};
    if (s.heads != 1 && s.heads != heads)
      return fail(errc::bad_shape, argument, at(s.heads), "masks of channels; there must be 1, or one a head,",
                  at(heads), view);
    if (s.offset == nullptr && s.head_rows < 1)
      return fail(errc::bad_shape, argument, at(s.head_rows),
                  "rows from a mask of channels to the next, must be at least", 1, view);
    return {};
  }
  /// Ok, or which mask has more channels than rows hold, or channels that are not there.
  template <int D>
  [[nodiscard]] static status check(channel_masks const& s, index heads, char const* argument, int view) {
    if (status const shape = check_shape(s, heads, argument, view); !shape || s.words == nullptr) return shape;
    for (index h = 0; h < s.heads; ++h) {
      int count = 0;
      cs::uint64_t beyond = 0;
      for (int i = 0; i < (D + 63) / 64; ++i) {
        cs::uint64_t const word = s.of_head(h).template word<D>(i);
        count += cs::popcount(word);
        if (64 * i + 64 > D) beyond = word >> (D - 64 * i);
      }
      if (beyond != 0)
        return fail(errc::bad_params, argument, D + cs::countr_zero(beyond),
                    "is a channel of a mask, which must be less than", D, view);
      if (count > K)
        return fail(errc::bad_params, argument, count, "channels in a mask; they must be at most those that rows hold,",
                    K, view);
    }
    return {};
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
