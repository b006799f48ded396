// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Elements one after another, as bytes: what lets a dense part stand wherever a format is asked for.
#pragma once
#include <kvsieve/core/encoded.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Rows of elements, little-endian, at any alignment. Narrowing rounds to nearest, ties to even; infinities and NaN
/// stay what they are.
/// @tparam T  float, f16 or bf16
template <element T>
struct plain {
  static constexpr char const* name = name_of(dtype_of<T>);  ///< "f32", "f16" or "bf16"
  static constexpr int tile_tokens = 1;                      ///< a row stands by itself
  static constexpr bool fits(int) { return true; }           ///< rows of any length
  template <int D>
  static constexpr int tile_bytes = D * static_cast<int>(sizeof(T));  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    T x;
    __builtin_memcpy(&x, row + channel * static_cast<int>(sizeof(T)), sizeof(T));
    return to_float(x);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    byte const* const from = row + channel * static_cast<int>(sizeof(T));
    if constexpr (cs::is_same_v<T, f16>) {
      return Fragment::of_f16s(from);
    } else {
      T x[Fragment::lanes];
      __builtin_memcpy(&x, from, sizeof x);
      Fragment r(0.0f);
      for (int i = 0; i < Fragment::lanes; ++i) r.v[i] = to_float(x[i]);
      return r;
    }
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    for (int d = 0; d < D; ++d) {
      T const y = from_float<T>(x[d]);
      __builtin_memcpy(row + d * static_cast<int>(sizeof(T)), &y, sizeof(T));
    }
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
