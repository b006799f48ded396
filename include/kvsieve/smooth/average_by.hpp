// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// smooth::average with another default width, for methods that pool so (Compactor, arXiv 2507.08143: 3).
#pragma once
#include <kvsieve/smooth/average.hpp>

namespace kvsieve::inline v0 {
namespace smooth {

/// The average pool, `Kernel` tokens wide unless params say otherwise.
template <int Kernel>
struct average_by : average {
  /// Its number.
  struct params {
    int kernel = Kernel;  ///< width of the pool in tokens, odd
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      average::params::each(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return average::params{kernel}.check(); }
  };

  /// The pooled score of token t out of `tokens`.
  KVSIEVE_HD static constexpr float pooled(params const& p, float const* score, int tokens, int t) {
    return average::pooled({p.kernel}, score, tokens, t);
  }
};
}  // namespace smooth
}  // namespace kvsieve::inline v0
