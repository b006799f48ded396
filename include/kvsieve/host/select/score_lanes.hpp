// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Several scores at once against a bracket of keys, without making keys of them: 16 with AVX-512, 8 with AVX2, else
// one.
#pragma once
#include <kvsieve/host/select/key_lanes.hpp>
#include <kvsieve/host/select/sort_scores.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Scores side by side, on which side of a bracket [low, high] of keys they lie.
struct score_lanes {
  key_lanes bits;          ///< of the scores
  unsigned above, inside;  ///< sets of lanes
};

/// A bracket of keys as scores, to compare with.
class score_bracket {
 public:
  /// low and high: keys of scores, or 0 and ~0.
  score_bracket(unsigned low, unsigned high)
      : all_(low == 0), low_(least_from(low)), above_(high == ~0u ? __builtin_nanf("") : least_from(high + 1)) {}

  /// The first `live` scores from p on, of which no more are read.
  [[nodiscard]] score_lanes split(float const* p, int live) const {
    // A comparison with NaN does not hold: none are above a key that no score has, and NaN is inside only with 0.
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
    auto const some = static_cast<__mmask16>((1u << live) - 1);
    __m512 const x = _mm512_maskz_loadu_ps(some, p);
    unsigned const above = _mm512_mask_cmp_ps_mask(some, x, _mm512_set1_ps(above_), _CMP_GE_OQ);
    unsigned const least = _mm512_mask_cmp_ps_mask(some, x, _mm512_set1_ps(low_), _CMP_GE_OQ);
    return {{_mm512_castps_si512(x)}, above, (all_ ? some : least) & ~above};
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
    unsigned const some = first_set(live);
    __m256 const x = live == key_lanes::count
                         ? _mm256_loadu_ps(p)
                         : _mm256_maskload_ps(p, _mm256_cmpgt_epi32(key_lanes::same(static_cast<unsigned>(live)).v,
                                                                    key_lanes::ascending(0).v));
    __m256 const over = _mm256_cmp_ps(x, _mm256_set1_ps(above_), _CMP_GE_OQ);
    __m256 const least = _mm256_or_ps(_mm256_cmp_ps(x, _mm256_set1_ps(low_), _CMP_GE_OQ),
                                      _mm256_castsi256_ps(_mm256_set1_epi32(all_ ? -1 : 0)));
    return {{_mm256_castps_si256(x)},
            static_cast<unsigned>(_mm256_movemask_ps(over)) & some,
            static_cast<unsigned>(_mm256_movemask_ps(_mm256_andnot_ps(over, least))) & some};
#else
    (void)live;
    unsigned const above = *p >= above_ ? 1 : 0, inside = (all_ || *p >= low_) && above == 0 ? 1 : 0;
    return {{cs::bit_cast<unsigned>(*p)}, above, inside};
#endif
  }

 private:
  // The least score with that key or a larger one: below the key of -inf there is only NaN's.
  static float least_from(unsigned key) {
    constexpr unsigned lowest = ordered(-__builtin_inff());
    return score_of(key < lowest ? lowest : key);
  }
  bool all_;
  float low_, above_;
};

/// Makes keys of n scores whose bits are given, in place.
inline void bits_to_keys(unsigned* x, index n) {
  index i = 0;
#if KVSIEVE_HOST_VECTORS
  for (; i + key_lanes::count <= n; i += key_lanes::count)
    key_lanes::of_scores(reinterpret_cast<float const*>(x + i), key_lanes::count).store(x + i);
#endif
  for (; i < n; ++i) x[i] = ordered(cs::bit_cast<float>(x[i]));
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
