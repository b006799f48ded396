// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Keys of a block of tokens whose codes fit bytes, tokens side by side: sums over channels need not be added across
// lanes, and a scale is multiplied once with all that its channels give.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/host/row/row_block.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Whether the keys of a view are read so.
template <row_view V>
inline constexpr bool reads_columns = detail::gives_codes<decltype(held_row_of(cs::declval<V const&>(), 0, 0))>;

/// Up to block_rows keys of a head: words of four channels, [channels / 4, block_rows].
template <row_view V>
class key_columns {
  using row = decltype(held_row_of(cs::declval<V const&>(), 0, 0));
  using format = typename row::format;
  static constexpr int lanes = fragment::lanes, eight = 8;

 public:
  static constexpr int channels = held_channels<V>;                           ///< of a row
  static constexpr int group = format::template channels_of_scale<channels>;  ///< that share a scale
  static constexpr int groups = channels / group;                             ///< scales of a row
  static constexpr bool has_least = detail::has_least<row>;                   ///< of which each has one
  static_assert(group % 4 == 0);

  /// Opens rows [first, first + count) of a head. Behind them stands the last one, up to a whole block.
  void open(V const& view, index head, index first, int count) {
    block_places<V> const places(view, head, first);
    for (int j = 0; j < block_rows; j += eight) {
      auto const at = [&](int t) {
        return detail::row_at_place(places, j + t < count ? j + t : count - 1,
                                    [&](int token) { return held_row_of(view, head, first + token); });
      };
      row const rows[eight] = {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)};
      KVSIEVE_UNROLL for (int t = 0; t < eight; ++t) scales_.take(rows[t], j + t);
      for (int c = 0; c < channels; c += 32) {
        fragment::codes code[eight];
        KVSIEVE_UNROLL for (int t = 0; t < eight; ++t) code[t] =
            format::template codes<fragment, channels>(rows[t].tile, rows[t].token, c);
        fragment::codes::write_columns(code, words_[c / 4] + j, block_rows);
      }
    }
    scales_.widen(block_rows);
  }

  /// z[g][j] = <q_g, key j> for `count` keys at least, of queries [G, channels] over fragment::codes::unit.
  /// @param sum_of  [G][groups], sums of the queries over the channels of a group
  /// @param ahead   ahead(token) is called for all tokens, and some behind them, spread between what is done
  template <int G, class Ahead>
  KVSIEVE_APART void multiply(int count, float const (*q)[channels], float const (*sum_of)[groups],
                              float (*z)[block_rows], Ahead const& ahead) const {
    // A sum has to wait for its last addition, so that there are to be eight at least; with as many registers as 32,
    // what is loaded of a query serves more.
    constexpr int wide = (lanes == 16 ? 16 : 8) / (G == 3 ? 4 : G), most = block_rows / lanes,
                  together = wide < most ? wide : most;
    constexpr int tokens = together * lanes, words = channels / 4;
    constexpr int every = words / tokens > 1 ? words / tokens : 1, asks = (tokens * every + words - 1) / words;
    for (int j = 0; j < count; j += tokens) {
      int asked = j;
      for (int of = 0; of < groups; ++of) {
        fragment sums[G][together];
        KVSIEVE_UNROLL for (int g = 0; g < G; ++g) KVSIEVE_UNROLL for (int t = 0; t < together; ++t) sums[g][t] =
            fragment(0.0f);
        float const* query = q[0] + of * group;
        unsigned const* word = words_[of * (group / 4)] + j;
        for (int w = 0; w < group / 4; w += every) {  // so many words for `asks` tokens
          KVSIEVE_UNROLL for (int i = 0; i < asks; ++i) ahead(asked++);
          KVSIEVE_UNROLL for (int i = 0; i < every; ++i) if (w + i < group / 4) {
            add_word<G, together>(word, query, sums, cs::make_integer_sequence<int, 4>{});
            query += 4;
            word += block_rows;
          }
        }
        KVSIEVE_UNROLL for (int t = 0; t < together; ++t) {
          int const at = j + t * lanes;
          fragment const scale = load(scales_.scales(of) + at);
          KVSIEVE_UNROLL for (int g = 0; g < G; ++g) {
            fragment x = of == 0 ? sums[g][t] * scale : fma(sums[g][t], scale, load(z[g] + at));
            if constexpr (has_least) x = fma(load(scales_.leasts(of) + at), fragment(sum_of[g][of]), x);
            store(z[g] + at, x);
          }
        }
      }
    }
  }

 private:
  // Four channels of the queries.
  template <int G, int Together, int... I>
  KVSIEVE_INLINE static void add_word(unsigned const* words, float const* q, fragment (&sums)[G][Together],
                                      cs::integer_sequence<int, I...>) {
    (add_channel<I, G, Together>(words, q + I, sums), ...);
  }
  template <int I, int G, int Together>
  KVSIEVE_INLINE static void add_channel(unsigned const* words, float const* q, fragment (&sums)[G][Together]) {
    fragment key[Together];
    KVSIEVE_UNROLL for (int t = 0; t < Together; ++t) key[t] = fragment::codes::of_column<I>(words + t * lanes);
    KVSIEVE_UNROLL for (int g = 0; g < G; ++g) {
      fragment const query(q[g * channels]);
      KVSIEVE_UNROLL for (int t = 0; t < Together; ++t) sums[g][t] = fma(key[t], query, sums[g][t]);
    }
  }

  alignas(64) unsigned words_[channels / 4][block_rows];
  block_scales<row, group> scales_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
