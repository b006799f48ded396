// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows rotated before they are encoded, which spreads what stands out over all channels. Attention reads them as they
// are stored: it rotates queries instead of keys, and a sum of values once.
#pragma once
#include <kvsieve/core/rotate.hpp>
#include <kvsieve/encode/block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

namespace detail {
template <class Codec>
inline constexpr joined_name name_of_rotated("rotated_", Codec::name);
}  // namespace detail

/// A format that stores H x instead of x, H the orthonormal Hadamard matrix in Sylvester's order over blocks of the
/// largest power of two that divides D (core/rotate.hpp). decode and read_row give the row as it was, and pay for the
/// rotation: decode for each number as many additions as its block has channels. `stored` is what attention reads.
/// Numbers that are not finite count as in encode::finite, so that they do not leave their block.
/// @tparam Codec  the format of H x, of rows that stand by themselves
template <class Codec>
struct rotated {
  static_assert(Codec::tile_tokens == 1, "kvsieve: rows are rotated where they stand by themselves");
  using stored = Codec;                                                     ///< the format of the rotated rows
  static constexpr char const* name = detail::name_of_rotated<Codec>.text;  ///< "rotated_" and Codec's
  static constexpr int tile_tokens = 1;                                     ///< a row stands by itself
  static constexpr bool fits(int D) { return Codec::fits(D); }              ///< those that Codec holds
  template <int D>
  static constexpr int tile_bytes = Codec::template tile_bytes<D>;  ///< bytes of a row

  /// One number: the sums of rotate that it depends on, in the same order.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int token, int channel) {
    constexpr int size = rotation_block(D);
    int const first = channel / size * size, place = channel % size;
    float waiting[12];  // a sum of 2^i numbers each
    for (int j = 0; j < size; ++j) {
      float x = Codec::template decode<D>(row, token, first + j);
      int level = 0;
      for (int left = j; (left & 1) != 0; left >>= 1, ++level)
        x = (place >> level & 1) != 0 ? waiting[level] - x : waiting[level] + x;
      waiting[level] = x;
    }
    return waiting[rotation_stages(D)] * rotation_scale<D>;
  }
  /// A row as it was, [D].
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void decode_row(byte const* row, int token, float* to) {
    for (int d = 0; d < D; ++d) to[d] = Codec::template decode<D>(row, token, d);
    rotate<D>(to);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    float turned[D];
    copy_finite<D>(x, turned);
    rotate<D>(turned);
    Codec::template encode<D>(turned, row);
  }
  /// Some rows at once, where Codec can, see core/encoded.hpp.
  template <int D, int N, class Ahead>
    requires requires(float const* (&x)[N], byte* const (&row)[N], Ahead const& ahead) {
      Codec::template encode_rows<D>(x, row, ahead);
    }
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[N], byte* const (&row)[N], Ahead const& ahead) {
    float turned[N][D];
    for (int r = 0; r < N; ++r) {
      copy_finite<D>(x[r], turned[r]);
      rotate<D>(turned[r]);
      x[r] = turned[r];
    }
    Codec::template encode_rows<D>(x, row, ahead);
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
