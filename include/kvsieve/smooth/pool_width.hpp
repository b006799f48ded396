// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the pools along the tokens have in common: their width, and the tokens that lie in it.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace smooth {

/// The number of a pool that is `Kernel` tokens wide unless it says otherwise.
template <int Kernel>
struct pool_width {
  int kernel = Kernel;  ///< width of the pool in tokens, odd
  template <class Self, class Visit>
  static constexpr void each(Self& self, Visit&& visit) {
    visit("kernel", self.kernel, "tokens", "width of the pool, odd");
  }
  /// Ok, or the number that is out of range.
  [[nodiscard]] constexpr status check() const {
    if (kernel > 0 && kernel % 2 == 0) return fail(errc::bad_params, "smooth.kernel", kernel, "must be odd;", 1);
    return range::at_least("smooth.kernel", kernel, 1);
  }

  /// The first token of the pool around token t.
  KVSIEVE_HD constexpr int from(int t) const { return t < kernel / 2 ? 0 : t - kernel / 2; }
  /// One behind the last token of the pool around token t out of `tokens`.
  KVSIEVE_HD constexpr int to(int tokens, int t) const {
    return tokens - t <= kernel / 2 ? tokens : t + kernel / 2 + 1;
  }
};
}  // namespace smooth
}  // namespace kvsieve::inline v0
