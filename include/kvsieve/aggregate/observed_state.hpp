// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What an online policy remembers of every entry of a cache, updated while decode attention reads it.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// State of an accumulator for one layer of one sequence, in memory of the caller: for each query head (KV head, where
/// the accumulator folds_groups) rows of
/// `capacity` floats, A::states of the accumulator and one more that counts the queries which could see an entry. Entry
/// e of a head is its e-th row, through all parts of the layer in their order; when entries move, so does column e of
/// these rows.
template <accumulator A>
struct observed_state {
  static constexpr int rows = A::states + 1;  ///< of a query head

  float* data = nullptr;   ///< [Hq, rows, capacity]
  index capacity = 0;      ///< floats of a row, a multiple of 16: entries that a head can have
  int heads = 0;           ///< query heads, Hq; KV heads where groups are folded
  int queries = 0;         ///< that were seen: the number of the next one
  int* counter = nullptr;  ///< device [1], or null: the launches count there and read nothing of `queries`, so that a
                           ///< CUDA graph may replay them; 0 before the first query, and not for the host

  /// Floats that `heads` query heads with room for `entries` take.
  [[nodiscard]] static constexpr index floats(int heads, index entries) {
    return index{heads} * rows * round_up<index>(entries, 16);
  }
  /// A row of a query head; rows A::states is the count.
  [[nodiscard]] KVSIEVE_HD constexpr float* row(int head, int state) const {
    return data + (index{head} * rows + state) * capacity;
  }
  /// Makes entries [first, last) of all heads such as no query has seen.
  void begin(typename A::params const& params, index first, index last) const {
    float fresh[A::states] = {};
    if constexpr (!A::linear) A::init(params, fresh);
    for (int h = 0; h < heads; ++h)
      for (int k = 0; k < rows; ++k)
        for (index e = first; e < last; ++e) row(h, k)[e] = k < A::states ? fresh[k] : 0.0f;
  }
};
/// State over memory [observed_state<A>::floats(heads, entries)], before the first query.
template <accumulator A>
[[nodiscard]] observed_state<A> make_observed_state(float* data, int heads, index entries,
                                                    typename A::params const& params) {
  observed_state<A> const s{data, round_up<index>(entries, 16), heads, 0};
  s.begin(params, 0, s.capacity);
  return s;
}
}  // namespace kvsieve::inline v0
