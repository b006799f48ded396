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
};

/// How a select policy runs on the host: run() writes as many ascending indices to `out` as the row keeps.
template <class Select>
struct selection {
  static void run(selection_row const& row, int* out, top_k_scratch const& scratch) {
    top_k(row.score, row.seen.tokens, row.keep, row.forced, 0, out, scratch);
  }
};

template <>
struct selection<select::top_k_in_partitions> {
  static void run(selection_row const& row, int* out, top_k_scratch const& scratch) {
    partition const q = row.seen.spans;
    int const tokens = row.seen.tokens, each = row.keep_of_span, begin = q.count == 0 ? tokens : q.begin;
    for (int t = 0; t < begin; ++t) *out++ = t;
    for (int p = 0; p < q.count; ++p, out += each) {
      int const from = q.begin + p * q.length;
      top_k(row.score + from, q.length, each, forced_set{q.length, 0, 0, nullptr, 0}, from, out, scratch);
    }
    for (int t = begin + q.count * q.length; t < tokens; ++t) *out++ = t;
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
