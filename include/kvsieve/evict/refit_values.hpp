// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Value refit: the kept values of a head are moved, as little as pays, so that observed queries read from the kept
// entries what they read from the whole cache. Costs no bytes; before encoding. No published system has it.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/status.hpp>

namespace kvsieve::inline v0 {
namespace evict {

/// Ridge least squares for each head by itself: values V + dV with dV the minimiser of
/// sum over observed queries |A (V + dV) + rest - O|^2 + ridge |dV|^2, where A are the weights of the kept entries (as
/// they will be read: encoded keys, biases), `rest` is what the queries read from their own rows, and O what they read
/// from the whole cache.
struct refit_values {
  static constexpr int most_rows = 4096;  ///< query rows of a head that can be fitted to

  /// Its numbers.
  struct params {
    double ridge = 0.1;  ///< weight of |dV|^2; more keeps values closer to what they were
    int stride = 4;      ///< every so many of the observed queries are fitted to, the last one always
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      if (!(ridge > 0) || !(ridge < 1e30))
        return fail(errc::bad_params, "refit.ridge", ridge, "must be greater than", 0);
      return range::at_least("refit.stride", stride, 1);
    }
  };
};
}  // namespace evict
}  // namespace kvsieve::inline v0
