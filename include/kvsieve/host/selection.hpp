// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Drivers of the select policies: from one row of scores to the list of tokens that stay.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/host/top_k.hpp>
#include <kvsieve/select/top_k.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// One head to select in.
struct selection_row {
  float const* score;  ///< [seen.tokens]
  scored_view seen;
  int keep;           ///< tokens that its budget allots
  int keep_of_span;   ///< what the budget allots to one of seen.spans
  forced_set forced;  ///< cut to `keep`
  int number;         ///< of the head, through all views of the call
};

/// How a select policy runs on the host: run() writes ascending indices to `out` and returns how many.
template <class Select>
struct selection {
  static int run(typename Select::params const&, selection_row const& row, int* out, top_k_scratch const& scratch) {
    top_k(row.score, row.seen.tokens, row.keep, row.forced, 0, out, scratch);
    return row.keep;
  }
};

template <>
struct selection<select::top_k_in_partitions> {
  static int run(no_params const&, selection_row const& row, int* out, top_k_scratch const& scratch) {
    partition const q = row.seen.spans;
    int const tokens = row.seen.tokens, each = row.keep_of_span, begin = q.count == 0 ? tokens : q.begin;
    int* const first = out;
    for (int t = 0; t < begin; ++t) *out++ = t;
    for (int p = 0; p < q.count; ++p, out += each) {
      int const from = q.begin + p * q.length;
      top_k(row.score + from, q.length, each, forced_set{q.length, 0, 0, nullptr, 0}, from, out, scratch);
    }
    for (int t = begin + q.count * q.length; t < tokens; ++t) *out++ = t;
    return static_cast<int>(out - first);
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
