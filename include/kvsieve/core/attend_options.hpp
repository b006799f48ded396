// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What decode attention can give beside its output.
#pragma once
#include <kvsieve/core/low_rank.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// New queries of a head in one call, at most.
inline constexpr int most_new_queries = 8;

/// A number for each query of each head, [Hq, T].
using query_numbers = cs::mdspan<float, cs::dextents<index, 2>>;

/// Further results of attend; what is left empty is not written.
struct attend_options {
  /// For each view [Hq, T]: natural logarithm of the sum of exp(logit) over all entries that a query sees, with which
  /// outputs over several caches join exactly; -inf where there is none.
  cs::span<query_numbers const> log_sum_exp = {};
  /// For each view what is left of its evicted tokens (evict::low_rank_state), which every query reads beside the
  /// entries: out = (phi(q) H + sum of exp(z_t) v_t) / (phi(q) z + sum of exp(z_t)), and the log-sum-exp is that of the
  /// divisor. Empty: nothing. On the device sums and features are device memory, and sums whose mass is not finite are
  /// not read.
  cs::span<low_rank_sums const> evicted = {};
  low_rank_queries features = {};  ///< phi; only where `evicted` is given
};
}  // namespace kvsieve::inline v0
