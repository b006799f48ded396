// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Eight channels of a row as a thread of a kernel holds them: 16 bytes of a 16-bit type, 32 of float, or as many
// numbers as a format of encode/ decodes at once.
#pragma once
#include <kvsieve/core/config.hpp>
#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/minifloat.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Widening, by the machine's instruction where there is one.
[[nodiscard]] KVSIEVE_HD inline float widened(f16 x) {
#if defined(__CUDA_ARCH__)
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x.bits));
  return r;
#else
  return to_float(x);
#endif
}
/// Widening, exact.
[[nodiscard]] KVSIEVE_HD inline float widened(bf16 x) { return to_float(x); }
/// The same number.
[[nodiscard]] KVSIEVE_HD inline float widened(float x) { return x; }

/// What lies at an address, a multiple of 2: kernels refuse encoded rows that begin elsewhere.
template <class To>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD To load_even(unsigned char const* p) {
  To x;
  __builtin_memcpy(&x, __builtin_assume_aligned(p, 2), sizeof x);
  return x;
}

/// Eight floats in registers, with all that formats of rows ask of a fragment (core/fragment.hpp says what each does).
struct octet {
  static constexpr int lanes = 8;  ///< floats in it
  float v[lanes];                  ///< the lanes

  /// Lanes of any value.
  octet() = default;
  /// `x` in all lanes.
  KVSIEVE_HD explicit octet(float x) { KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) v[i] = x; }
  /// One lane.
  KVSIEVE_HD float operator[](int lane) const { return v[lane]; }

  /// @cond lane by lane
#define KVSIEVE_EACH(expression)                                      \
  octet r;                                                            \
  KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) r.v[i] = expression; \
  return r
  friend KVSIEVE_HD inline octet operator+(octet const& a, octet const& b) { KVSIEVE_EACH(a.v[i] + b.v[i]); }
  friend KVSIEVE_HD inline octet operator-(octet const& a, octet const& b) { KVSIEVE_EACH(a.v[i] - b.v[i]); }
  friend KVSIEVE_HD inline octet operator*(octet const& a, octet const& b) { KVSIEVE_EACH(a.v[i] * b.v[i]); }

  KVSIEVE_HD static octet of_bytes(signed char const* p) {
    auto const all = load_even<cs::uint64_t>(reinterpret_cast<unsigned char const*>(p));
    KVSIEVE_EACH(static_cast<float>(static_cast<signed char>(all >> 8 * i & 255u)));
  }
  KVSIEVE_HD static octet of_f16(unsigned char const* p) { return octet(widened(load_even<f16>(p))); }
  KVSIEVE_HD static octet of_nibbles(unsigned char const* p, int shift) {
    auto const all = load_even<cs::uint64_t>(p) >> shift;
    KVSIEVE_EACH(static_cast<float>(static_cast<int>(all >> 8 * i & 15u)));
  }
  KVSIEVE_HD static octet add_where(octet const& x, unsigned bits, float value) {
    KVSIEVE_EACH(x.v[i] + ((bits >> i & 1u) != 0 ? value : 0.0f));
  }
  template <int Bits>
  KVSIEVE_HD static octet of_codes(unsigned char const* p) {
    static_assert(Bits == 2 || Bits == 4);
    unsigned const all = load_even<cs::conditional_t<Bits == 2, cs::uint16_t, cs::uint32_t>>(p);
    KVSIEVE_EACH(static_cast<float>(static_cast<int>(all >> (Bits * i) & ((1u << Bits) - 1))));
  }
  template <int Bits>
  KVSIEVE_HD static octet of_words(unsigned char const* p, int shift) {
    KVSIEVE_EACH(
        static_cast<float>(static_cast<int>(load_even<cs::uint32_t>(p + 4 * i) >> shift & ((1u << Bits) - 1))));
  }
  KVSIEVE_HD static octet of_f16s(unsigned char const* p) { KVSIEVE_EACH(widened(load_even<f16>(p + 2 * i))); }
  KVSIEVE_HD static octet spread_f16s(unsigned char const* p, unsigned bits, bool = false) {
    octet r(0.0f);
    KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) {
      if ((bits >> i & 1u) == 0) continue;
      r.v[i] = widened(load_even<f16>(p));
      p += 2;
    }
    return r;
  }
  KVSIEVE_HD static octet of_e2m1(unsigned char const* p, float scale) {
    auto const all = load_even<cs::uint32_t>(p);
    KVSIEVE_EACH(from_e2m1(all >> 4 * i & 15u) * scale);
  }
  KVSIEVE_HD static octet of_e4m3(unsigned char const* p) {
    auto const all = load_even<cs::uint64_t>(p);
    octet r;
    KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) {
      unsigned const bits = static_cast<unsigned>(all >> 8 * i & 255u);
      r.v[i] = widened(f16{static_cast<cs::uint16_t>((bits & 0x80u) << 8 | (bits & 0x7fu) << 7)});  // from_e4m3
    }
    return r;
  }
  KVSIEVE_HD static octet of_e5m2(unsigned char const* p) {
    auto const all = load_even<cs::uint64_t>(p);
    KVSIEVE_EACH(widened(f16{static_cast<cs::uint16_t>((all >> 8 * i & 255u) << 8)}));
  }
#undef KVSIEVE_EACH
  /// @endcond
};

/// Eight elements as they are stored, in words: registers hold two of a 16-bit type each.
template <class T>
struct alignas(16) eight {
  cs::uint32_t word[8 * sizeof(T) / 4];  ///< channels d to d + 7
};
/// Their numbers.
template <class T>
[[nodiscard]] KVSIEVE_HD inline octet widened(eight<T> const& x) {
  octet r;
  KVSIEVE_UNROLL for (int i = 0; i < octet::lanes; ++i) {
    if constexpr (cs::is_same_v<T, float>)
      r.v[i] = cs::bit_cast<float>(x.word[i]);
    else if constexpr (cs::is_same_v<T, bf16>)
      r.v[i] = cs::bit_cast<float>(i % 2 == 0 ? x.word[i / 2] << 16 : x.word[i / 2] & 0xffff0000u);
    else
      r.v[i] = widened(f16{static_cast<cs::uint16_t>(x.word[i / 2] >> i % 2 * 16)});
  }
  return r;
}
/// The same numbers.
[[nodiscard]] KVSIEVE_HD inline octet const& widened(octet const& x) { return x; }

/// What a thread holds of a row that it has asked for: elements as they are stored, or what they were decoded to.
template <row_view V>
using held_octet = cs::conditional_t<contiguous_rows<V>, eight<element_of<V>>, octet>;

/// Channels [channel, channel + 8) of a row of a view: by loads of 16 bytes where rows are contiguous, as their format
/// knows how to where they are encoded, else an element at a time.
template <row_view V, class Row>
[[nodiscard]] KVSIEVE_HD inline held_octet<V> hold_row(Row const& row, int channel) {
  if constexpr (contiguous_rows<V>) {
    held_octet<V> r;
    __builtin_memcpy(&r, __builtin_assume_aligned(row + channel, 16), sizeof r);
    return r;
  } else if constexpr (requires { row.template load<octet>(channel); }) {
    return row.template load<octet>(channel);
  } else {
    octet r;
    KVSIEVE_UNROLL for (int i = 0; i < octet::lanes; ++i) r.v[i] = to_float(row[channel + i]);
    return r;
  }
}
/// The same of the row of a token of a head as it is stored.
template <row_view V>
[[nodiscard]] KVSIEVE_HD inline held_octet<V> hold(V const& view, index head, index token, int channel) {
  return hold_row<V>(stored_row_of(view, head, token), channel);
}
}  // namespace device
}  // namespace kvsieve::inline v0
