// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the weights that look at a value row at a time. Bound by reading the values.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/row/row_sums.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Weighs the scores of tokens [first, last) of a head; `score` has room up to a multiple of 16 past `last`.
template <class Weigh, row_view Values>
void weigh_rows(typename Weigh::params const& p, Values const& values, index head, index first, index last,
                float* score) {
  constexpr int lanes = fragment::lanes;
  for (index r = first; r < last; r += lanes) {
    fragment const sums =
        sum_row_block<head_dim_of<Values>>(values, head, r, last - r, [](fragment v, int) { return Weigh::term(v); });
    store(score + r, Weigh::apply(p, load(score + r), sums));
  }
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
