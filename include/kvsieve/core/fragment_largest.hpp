// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which numbers of a row are the largest, for some rows at once: what one search waits for leaves time for the others.
#pragma once
#include <kvsieve/core/fragment.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Whether largest_f16s is there for rows of D numbers.
template <int D>
inline constexpr bool finds_largest = KVSIEVE_HOST_VECTORS != 0 && fragment::lanes >= 8 && D % 32 == 0;
template <int Rows, int D, int K>
class largest_f16s;

#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
/// The K of largest magnitude of each of some rows of D numbers, a multiple of 32, as f16s. Bits of magnitudes order as
/// magnitudes do, and a search for the K-th one bit by bit takes no branches. It tells apart what is within the largest
/// eight powers of two of a row; below, all are taken for equal.
template <int Rows, int D, int K>
class largest_f16s {
  static_assert(D % 32 == 0 && D <= 512 && K >= 1 && K <= D);
  // Two rows lie side by side, each in its half of a register. The last one of an odd number stands in both.
  static constexpr int pairs = (Rows + 1) / 2, eights = D / 8, blocks = D / 16;

 public:
  /// Takes the rows.
  /// @return false where numbers are not finite; then the rest has no meaning
  [[nodiscard]] KVSIEVE_INLINE bool take(float const* const (&x)[Rows]) {
    __m256i infinite = _mm256_setzero_si256();
    for (int p = 0; p < pairs; ++p) {
      float const *const here = x[2 * p], *const beside = x[2 * p + 1 < Rows ? 2 * p + 1 : 2 * p];
      __m256i most = _mm256_setzero_si256();
      for (int i = 0; i < eights; ++i) {
        __m256i const both = _mm256_set_m128i(_mm256_cvtps_ph(_mm256_loadu_ps(beside + 8 * i), 0),
                                              _mm256_cvtps_ph(_mm256_loadu_ps(here + 8 * i), 0));
        _mm256_store_si256(reinterpret_cast<__m256i*>(f16s_[p][i]), both);
        most = _mm256_max_epi16(most, _mm256_and_si256(both, of_words(0x7fff)));
      }
      infinite = _mm256_or_si256(infinite, _mm256_cmpgt_epi16(most, of_words(0x7bff)));
      most = _mm256_max_epi16(most, _mm256_shuffle_epi32(most, 0x4e));
      most = _mm256_max_epi16(most, _mm256_shuffle_epi32(most, 0xb1));
      most = _mm256_max_epi16(most, _mm256_srli_epi32(most, 16));
      most = _mm256_shuffle_epi8(most, of_words(0x0100));
      __m256i const least = _mm256_subs_epu16(most, of_words(0x1fff)), low = of_words(0x7f);
      for (int b = 0; b < blocks; ++b) {
        __m256i const first = _mm256_subs_epu16(magnitudes(p, 2 * b), least);
        __m256i const last = _mm256_subs_epu16(magnitudes(p, 2 * b + 1), least);
        high_[p][b] = _mm256_packus_epi16(_mm256_srli_epi16(first, 7), _mm256_srli_epi16(last, 7));
        low_[p][b] = _mm256_packus_epi16(_mm256_and_si256(first, low), _mm256_and_si256(last, low));
      }
    }
    return _mm256_testz_si256(infinite, infinite) != 0;
  }
  /// Finds the K-th of each row.
  KVSIEVE_INLINE void find() {
    __m256i least[pairs];
    for (int p = 0; p < pairs; ++p) least[p] = of_words(K - 1);
    search(high_, high_cut_, least, 32);
    for (int p = 0; p < pairs; ++p) {
      least[p] = _mm256_sub_epi16(least[p], count(high_[p], high_cut_[p]));
      // Those whose high bits are the K-th one's are told apart by the low ones.
      for (int b = 0; b < blocks; ++b)
        low_[p][b] =
            _mm256_or_si256(low_[p][b], _mm256_xor_si256(_mm256_cmpeq_epi8(high_[p][b], high_cut_[p]), of_bytes(-1)));
    }
    search(low_, low_cut_, least, 64);
  }
  /// Those of each row that are as large as the K-th or larger, a bit for each channel.
  KVSIEVE_INLINE void reaching(unsigned (&bits)[Rows][D / 32]) const {
    KVSIEVE_UNROLL for (int p = 0; p < pairs; ++p) exceeding(p, _mm256_sub_epi8(low_cut_[p], of_bytes(1)), bits);
  }
  /// Those that are larger.
  KVSIEVE_INLINE void larger(unsigned (&bits)[Rows][D / 32]) const {
    KVSIEVE_UNROLL for (int p = 0; p < pairs; ++p) exceeding(p, low_cut_[p], bits);
  }
  /// Eight numbers of row r from `channel` on, a multiple of 8.
  [[nodiscard]] KVSIEVE_INLINE f16 const* eight(int r, int channel) const { return f16s_[r / 2][channel / 8][r % 2]; }

 private:
  KVSIEVE_INLINE static __m256i of_words(int x) { return _mm256_set1_epi16(static_cast<short>(x)); }
  KVSIEVE_INLINE static __m256i of_bytes(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
  KVSIEVE_INLINE __m256i magnitudes(int p, int i) const {
    return _mm256_and_si256(_mm256_load_si256(reinterpret_cast<__m256i const*>(f16s_[p][i])), of_words(0x7fff));
  }
  KVSIEVE_INLINE void exceeding(int p, __m256i low_cut, unsigned (&bits)[Rows][D / 32]) const {
    KVSIEVE_UNROLL for (int i = 0; i < D / 32; ++i) {
      unsigned half[2];
      KVSIEVE_UNROLL for (int j = 0; j < 2; ++j) half[j] = static_cast<unsigned>(_mm256_movemask_epi8(_mm256_or_si256(
          _mm256_cmpgt_epi8(high_[p][2 * i + j], high_cut_[p]), _mm256_cmpgt_epi8(low_[p][2 * i + j], low_cut))));
      bits[2 * p][i] = (half[0] & 0xffffu) | half[1] << 16;
      if (2 * p + 1 < Rows) bits[2 * p + 1][i] = half[0] >> 16 | (half[1] & 0xffff0000u);
    }
  }
  // How many bytes of each row of a pair exceed one, as words 0 and 4 of its half.
  KVSIEVE_INLINE static __m256i count(__m256i const (&bytes)[blocks], __m256i than) {
    __m256i sum = _mm256_setzero_si256();
    KVSIEVE_UNROLL for (int b = 0; b < blocks; ++b) sum = _mm256_sub_epi8(sum, _mm256_cmpgt_epi8(bytes[b], than));
    sum = _mm256_sad_epu8(sum, _mm256_setzero_si256());
    return _mm256_add_epi64(sum, _mm256_shuffle_epi32(sum, 0x4e));
  }
  // Raises each row's cut bit by bit, from `bit` on, while more than `least` bytes reach it.
  KVSIEVE_INLINE static void search(__m256i const (&bytes)[pairs][blocks], __m256i (&cut)[pairs],
                                    __m256i const (&least)[pairs], int bit) {
    for (int p = 0; p < pairs; ++p) cut[p] = _mm256_setzero_si256();
    for (; bit > 0; bit >>= 1) {
      __m256i const below = of_bytes(bit - 1), step = of_bytes(bit);
      KVSIEVE_UNROLL for (int p = 0; p < pairs; ++p) {
        __m256i const enough = _mm256_cmpgt_epi16(count(bytes[p], _mm256_add_epi8(cut[p], below)), least[p]);
        cut[p] = _mm256_add_epi8(cut[p], _mm256_and_si256(step, _mm256_shuffle_epi8(enough, _mm256_setzero_si256())));
      }
    }
  }

  alignas(32) f16 f16s_[pairs][eights][2][8];
  __m256i high_[pairs][blocks], low_[pairs][blocks], high_cut_[pairs], low_cut_[pairs];
};
#endif
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
