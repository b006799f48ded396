// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Drivers of the select policies: from one row of scores to the list of tokens that stay.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/host/select/top_k.hpp>
#include <kvsieve/select/threshold.hpp>
#include <kvsieve/select/top_k.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// One head to select in.
struct selection_row {
  float const* score;    ///< [seen.tokens]
  float const* weighed;  ///< [seen.tokens], for a selection by two rows of scores or by links
  scored_view seen;
  int number;         ///< of the head, through all views
  int keep;           ///< tokens that its budget allots
  int keep_of_span;   ///< what the budget allots to one of seen.spans
  row_share share;    ///< the budget as a share
  forced_set forced;  ///< not cut
};

/// Scratch of one worker; what a driver asks for beside `top` has room for the longest row.
struct selection_scratch {
  top_k_scratch top;
  float* score;   ///< where selection<Select>::needs_scores
  int* list[2];   ///< the first selection<Select>::needs_lists of them
  index* number;  ///< where selection<Select>::needs_numbers
};

/// Scratch that most drivers do without.
struct selection_needs {
  static constexpr bool needs_scores = false, needs_numbers = false;
  static constexpr int needs_lists = 0;
};

/// How a select policy runs on the host: run() writes ascending indices to `out` and returns how many, which is what
/// the row keeps; short_of() says what the forced tokens need.
template <class Select>
struct selection : selection_needs {
  using params = typename Select::params;
  static int run(params const&, selection_row const& row, int* out, selection_scratch const& scratch) {
    top_k(row.score, row.seen.tokens, row.keep, row.forced.cut(row.keep), 0, out, scratch.top);
    return row.keep;
  }
  static shortage short_of(params const&, selection_row const& row, selection_scratch const&) {
    return {row.keep, row.forced.size()};
  }
};

template <>
struct selection<select::top_k_in_partitions> : selection_needs {
  using params = select::top_k_in_partitions::params;
  static int run(params const&, selection_row const& row, int* out, selection_scratch const& scratch) {
    partition const q = row.seen.spans;
    int const tokens = row.seen.tokens, each = row.keep_of_span, begin = q.count == 0 ? tokens : q.begin;
    for (int t = 0; t < begin; ++t) *out++ = t;
    for (int p = 0; p < q.count; ++p, out += each) {
      int const from = q.begin + p * q.length;
      top_k(row.score + from, q.length, each, forced_set{q.length, 0, 0, nullptr, 0}, from, out, scratch.top);
    }
    for (int t = begin + q.count * q.length; t < tokens; ++t) *out++ = t;
    return row.keep;
  }
  static shortage short_of(params const&, selection_row const&, selection_scratch const&) { return {}; }
};

template <>
struct selection<select::threshold> : selection_needs {
  using params = select::threshold::params;
  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& scratch) {
    return static_cast<int>(at_least(row.score, row.seen.tokens, ordered(p.threshold), row.forced, out, scratch.top));
  }
  static shortage short_of(params const&, selection_row const&, selection_scratch const&) { return {}; }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
