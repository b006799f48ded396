// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One ranking over all layers and heads.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// The best scores of all views and heads of a sequence together stay: KVzip's pairs (arXiv 2505.23416),
/// Layer-DefensiveKV. A sequence keeps floor(sum over views of heads * N * keep) in double, exactly; forced tokens stay
/// in every head. With `bytes` it keeps as many tokens as rows fit into these, offsets of ragged storage not counted.
/// `as_source` drops all that tie with the last one, as KVzip's code does.
struct over_all : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U3;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call
  static constexpr bool ranks = true;                             ///< its counts are rankings

  /// Its numbers.
  struct params {
    double keep = 0.25;      ///< share of all tokens of all heads that stays
    int tokens = -1;         ///< tokens that stay per head, the mean; -1: as `keep` says
    int layers = 0;          ///< views of a sequence, which follow one another; 0: all of a call
    cs::int64_t bytes = -1;  ///< of keys and values, of a whole sequence; -1: as the others say
    int row_bytes = 0;       ///< of a token of a head, its key and its value; 0: of the elements of the call
    bool as_source = false;  ///< none of those that tie with the last one
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, over all heads and layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean; -1: as keep says");
      visit("layers", self.layers, "views", "of a sequence, one behind another; 0: all of a call");
      visit("bytes", self.bytes, "bytes", "of keys and values that stay, of a sequence; -1: as the others say");
      visit("row_bytes", self.row_bytes, "bytes", "of a token of a head, key and value; 0: as they lie there");
      visit("as_source", self.as_source, "", "none of the tokens that tie with the last one, as KVzip's code does");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status const s =
          range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                     range::at_least("budget.bytes", static_cast<double>(bytes), -1),
                     range::at_least("budget.row_bytes", row_bytes, 0), counts::check_sequences(layers, call.views));
      if (!s || bytes < 0 || row_bytes > 0 || call.row_bytes > 0) return s;
      return fail(errc::bad_params, "budget.row_bytes", row_bytes, "must, for scores without a cache, be at least", 1);
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }

  /// Calls rank(counts::ranking) for each sequence.
  template <class Rows, class Rank>
  static void rankings(params const& p, Rows const& rows, Rank const& rank) {
    int const step = counts::layers_of(p.layers, rows.views());
    for (int first = 0; first < rows.views(); first += step) {
      cs::int64_t all = 0, limited = 0;
      for (int v = first; v < first + step; ++v) {
        all += cs::int64_t{rows.heads()} * rows.tokens(v);
        limited += cs::int64_t{rows.heads()} * counts::of_share(p.keep, p.tokens, rows.tokens(v));
      }
      auto const share = static_cast<cs::int64_t>(static_cast<double>(all) * p.keep);
      cs::int64_t total = p.tokens >= 0 ? limited : share;
      if (p.bytes >= 0) {
        cs::int64_t const fit = p.bytes / (p.row_bytes > 0 ? p.row_bytes : rows.row_bytes());
        total = fit < all ? fit : all;
      }
      rank(counts::ranking{first, first + step, total, 0, p.as_source});
    }
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    rankings(p, rows, [&](counts::ranking const& r) { rows.best(r, count); });
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
