// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums of scores as whole numbers, several at once.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/core/whole_mass.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// The largest finite one of n scores, or 0 where none is positive, and how many are +inf.
struct largest_score {
  unsigned bits = 0;
  index infinite = 0;

  largest_score(float const* score, index n) {
    constexpr unsigned infinity = 0x7f800000u;
    unsigned number = 0;  // of as many bits as the scores, so that a compiler takes several at once
    for (index t = 0; t < n; ++t) {
      unsigned const own = cs::bit_cast<unsigned>(score[t]);
      unsigned const counts = own < infinity ? own : 0u;
      bits = bits < counts ? counts : bits;
      number += own == infinity ? 1u : 0u;
    }
    infinite = number;
  }
};

/// Whole masses of the positive scores of a row: of all, and of those above a bound.
struct score_mass {
  cs::int64_t all = 0, above = 0;

  /// Adds n scores; NaN counts as 0, and so does +inf where there are `infinite` ones. @pre n is at most 2^20
  void add(float const* score, index n, float bound, mass_unit const& unit, [[maybe_unused]] bool infinite) {
    index i = 0;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
    __m512d const least = _mm512_set1_pd(static_cast<double>(bound)), per = _mm512_set1_pd(unit.per_score);
    __m512i sum = _mm512_setzero_si512(), over = sum;
    for (; !infinite && i + 8 <= n; i += 8) {
      // Of a NaN the second operand is taken.
      __m256 const x = _mm256_max_ps(_mm256_loadu_ps(score + i), _mm256_setzero_ps());
      __m512d const wide = _mm512_maskz_cvtps_pd(0xff, x);
      __m512i const y = _mm512_maskz_cvttpd_epi64(0xff, _mm512_mul_pd(wide, per));
      sum = _mm512_add_epi64(sum, y);
      over = _mm512_mask_add_epi64(over, _mm512_cmp_pd_mask(wide, least, _CMP_GT_OQ), over, y);
    }
    alignas(64) cs::int64_t part[8], of[8];
    _mm512_store_si512(part, sum);
    _mm512_store_si512(of, over);
    for (int j = 0; j < 8; ++j) all += part[j], above += of[j];
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
    // There is no conversion to 64 bits: halves of 32 are added in double, where they are exact.
    __m256d const least = _mm256_set1_pd(static_cast<double>(bound)), per = _mm256_set1_pd(unit.per_score);
    __m256d const down = _mm256_set1_pd(0x1p-32), up = _mm256_set1_pd(0x1p32);
    __m256d high = _mm256_setzero_pd(), low = high, high_over = high, low_over = high;
    for (; !infinite && i + 4 <= n; i += 4) {
      // Of a NaN the second operand is taken.
      __m256d const wide = _mm256_cvtps_pd(_mm_max_ps(_mm_loadu_ps(score + i), _mm_setzero_ps()));
      __m256d const y = _mm256_floor_pd(_mm256_mul_pd(wide, per)), is_over = _mm256_cmp_pd(wide, least, _CMP_GT_OQ);
      __m256d const h = _mm256_floor_pd(_mm256_mul_pd(y, down)), l = _mm256_sub_pd(y, _mm256_mul_pd(h, up));
      high = _mm256_add_pd(high, h);
      low = _mm256_add_pd(low, l);
      high_over = _mm256_add_pd(high_over, _mm256_and_pd(h, is_over));
      low_over = _mm256_add_pd(low_over, _mm256_and_pd(l, is_over));
    }
    all += whole(high, low);
    above += whole(high_over, low_over);
#endif
    for (; i < n; ++i) {
      float const x = score[i] > 0 && score[i] < __builtin_inff() ? score[i] : 0.0f;
      cs::int64_t const y = unit.of_bits(cs::bit_cast<unsigned>(x));
      all += y;
      if (x > bound) above += y;
    }
  }

#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
 private:
  static cs::int64_t whole(__m256d high, __m256d low) {
    double h[4], l[4];
    _mm256_storeu_pd(h, high);
    _mm256_storeu_pd(l, low);
    cs::int64_t sum = 0;
    for (int j = 0; j < 4; ++j) sum += (static_cast<cs::int64_t>(h[j]) << 32) + static_cast<cs::int64_t>(l[j]);
    return sum;
  }
#endif
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
