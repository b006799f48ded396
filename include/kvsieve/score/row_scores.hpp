// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a scorer of rows (patterns::per_row) may ask of its drivers beside the sum over a row.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace row_scores {

/// It sums over a row of the keys: `term(F key)`, or `term(F key, F table)` where it has a table.
template <class Score>
inline constexpr bool reads_keys = reads(Score::reads, needs::keys);
/// It sums over a row of the values: `value_term(F value)`.
template <class Score>
inline constexpr bool reads_values = reads(Score::reads, needs::values);
/// A row of D numbers for each head, that every key of the head meets: `table(params, view, heads, head_dim)` points to
/// those of head 0 of a view.
template <class Score>
inline constexpr bool has_table = requires { &Score::table; };
/// Sums count as shares of a block of tokens: `block(params)` is its length, 0: they count as they are.
template <class Score>
inline constexpr bool in_blocks = requires { &Score::block; };
/// Scores of a head are divided by their sum, of those that are finite.
template <class Score>
inline constexpr bool in_shares = requires { requires Score::shares; };
/// The score follows from the sum and the numbers: `score(params, sum)`.
template <class Score>
inline constexpr bool takes_numbers = requires(typename Score::params const& p, float sum) { Score::score(p, sum); };
/// A row's score is a matter of its key alone, so any list of rows can be scored.
template <class Score>
inline constexpr bool keys_alone =
    !reads_values<Score> && !has_table<Score> && !in_blocks<Score> && !in_shares<Score> && !takes_numbers<Score>;

/// The score from the sums of what it reads: `score(sums...)`, or `score(params, sums...)`.
template <class Score, class... S>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD auto score([[maybe_unused]] typename Score::params const& p, S... sums) {
  if constexpr (requires { Score::score(p, sums...); })
    return Score::score(p, sums...);
  else
    return Score::score(sums...);
}
}  // namespace row_scores
}  // namespace kvsieve::inline v0
