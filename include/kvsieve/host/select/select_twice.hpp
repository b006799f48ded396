// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Drivers of selections in two rounds: what the first takes is forced in the second.
#pragma once
#include <kvsieve/host/select/selection.hpp>
#include <kvsieve/select/gumbel.hpp>
#include <kvsieve/select/two_stage.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {
namespace detail {
/// Takes the forced tokens and the best of `score`, `first` together, then the best of `second(list)`, to `keep`.
template <class Second>
void two_rounds(selection_row const& row, int first, int* out, selection_scratch const& s, Second const& second) {
  int const tokens = row.seen.tokens, keep = row.keep;
  top_k(row.score, tokens, first, row.forced.cut(first), 0, s.list[0], s.top);
  top_k(second(), tokens, keep, forced_set{tokens, 0, 0, s.list[0], first}, 0, out, s.top);
}
}  // namespace detail

template <>
struct selection<select::gumbel> {
  using params = select::gumbel::params;
  static constexpr bool needs_scores = true, needs_numbers = false;
  static constexpr int needs_lists = 1;

  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    int const first = select::gumbel::first_round(p, row.keep, row.forced.size());
    detail::two_rounds(row, first, out, s, [&] {
      if (first == row.keep) return row.score;  // nothing is drawn, and all that stays is known
      for (int t = 0; t < row.seen.tokens; ++t) s.score[t] = select::gumbel::noisy(p, row.score[t], t, row.number);
      return static_cast<float const*>(s.score);
    });
    return row.keep;
  }
  static shortage short_of(params const&, selection_row const& row, selection_scratch const&) {
    return {row.keep, row.forced.size()};
  }
};

template <>
struct selection<select::two_stage> {
  using params = select::two_stage::params;
  static constexpr bool needs_scores = false, needs_numbers = false;
  static constexpr int needs_lists = 1;

  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    int const first = select::two_stage::first_round(p, row.keep, row.forced.size());
    detail::two_rounds(row, first, out, s, [&] { return row.weighed; });
    return row.keep;
  }
  static shortage short_of(params const&, selection_row const& row, selection_scratch const&) {
    return {row.keep, row.forced.size()};
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
