// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What selections of whole pieces share, on host and device: chunks, windows, pages.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// The first tokens of a row, cut into pieces of `length`, the last one maybe shorter.
struct row_pieces {
  int tokens;  ///< in pieces
  int length;  ///< of a piece
  /// Pieces.
  [[nodiscard]] KVSIEVE_HD constexpr int count() const { return tokens / length + (tokens % length != 0 ? 1 : 0); }
  /// First token of a piece.
  [[nodiscard]] KVSIEVE_HD constexpr int begin(int piece) const { return piece * length; }
  /// Tokens of a piece.
  [[nodiscard]] KVSIEVE_HD constexpr int size(int piece) const {
    return tokens - begin(piece) < length ? tokens - begin(piece) : length;
  }
};

/// How a row is selected: so many of its pieces, and the last tokens of the row.
struct piece_choice {
  row_pieces pieces;      ///< from the first token on
  int kept = 0;           ///< pieces that stay
  int rest = 0;           ///< last tokens of the row, behind all pieces, that stay
  bool by_token = false;  ///< a row too short for pieces: each token is ranked by its own score
};

/// Selects whole pieces: choice(params, seen, share) says how.
template <class S>
concept in_whole_pieces = requires(typename S::params const& p, scored_view const& seen, row_share const& share) {
  { S::choice(p, seen, share) } -> cs::same_as<piece_choice>;
};

namespace detail {
/// Mean of the finite ones of n scores, added up in double in their order; NaN where there is none.
KVSIEVE_HD inline float mean_finite(float const* score, int n) {
  double sum = 0;
  int count = 0;
  for (int i = 0; i < n; ++i) {
    bool const counts = finite(score[i]);
    sum += counts ? static_cast<double>(score[i]) : 0.0;
    count += counts;
  }
  return count == 0 ? __builtin_nanf("") : static_cast<float>(sum / count);
}

/// The pieces that hold a token of `forced`, which speaks of their tokens; `list` gets those of the white list.
[[nodiscard]] constexpr forced_set pieces_of(forced_set const& forced, row_pieces const& p, int* list) {
  forced_set f;
  f.tokens = p.count();
  f.sink = row_pieces{forced.sink, p.length}.count();
  f.recent = forced.recent > 0 ? f.tokens - (p.tokens - forced.recent) / p.length : 0;
  f.white_list = list;
  for (int i = 0; i < forced.white_count; ++i) {
    int const piece = (forced.white_list[i] - forced.first) / p.length;
    if (f.white_count == 0 || list[f.white_count - 1] != piece) list[f.white_count++] = piece;
  }
  return f;
}

/// Tokens that stay by `choice`, when that follows from shapes; -1 when a shorter last piece stays or goes by its
/// score. `forced` are pieces, without the white list, of which there are up to `listed`.
[[nodiscard]] constexpr int tokens_of(piece_choice const& choice, forced_set const& forced, int listed) {
  row_pieces const& p = choice.pieces;
  int const whole = choice.kept * p.length + choice.rest, last = p.tokens % p.length;
  if (choice.kept >= p.count()) return p.tokens + choice.rest;
  if (last == 0 || choice.kept == 0) return whole;
  bool const all_stay = cs::int64_t{forced.size()} + listed <= choice.kept;
  bool const stays = all_stay ? forced.recent > 0 : listed == 0 && forced.cut(choice.kept).recent > 0;
  return stays ? whole - p.length + last : -1;
}
}  // namespace detail
}  // namespace select
}  // namespace kvsieve::inline v0
