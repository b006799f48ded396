// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One ranking over the heads of a layer, mixed with an equal share for each head.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// AdaKV (arXiv 2407.11550) as its authors have it: beside the forced tokens a head keeps
/// c (1 - floor) + b floor, with b = n - forced, n = floor(N * keep), and c how many of the heads * b best tokens of
/// the layer's heads are its own. Fractions are cut, and what they leave goes to the heads with the largest ones, so
/// that a layer keeps heads * n; `as_source` instead rounds as the authors' code does: c (1 - floor) + int(b floor) in
/// float, each head half to even, and the layer keeps about that many.
struct over_heads_mixed : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U3;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call
  static constexpr bool ranks = true;                             ///< its counts are rankings,
  static constexpr bool shares_ranking = true;                    ///< of which each head has a part

  /// Its numbers.
  struct params {
    double keep = 0.25;      ///< share of the tokens that stay, over the heads of a layer
    int tokens = -1;         ///< tokens that stay, the mean over the heads of a layer; -1: as `keep` says
    double floor = 0.2;      ///< share of the budget that all heads get alike
    bool as_source = false;  ///< round each head by itself
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, over the heads of a layer");
      visit("tokens", self.tokens, "tokens", "that stay, the mean over the heads of a layer; -1: as keep says");
      visit("floor", self.floor, "fraction", "of the budget, which all heads get alike");
      visit("as_source", self.as_source, "", "each head rounded by itself, as the authors' code does");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::within("budget.floor", floor, 0, 1));
    }
  };

  /// Most tokens that the heads of a view may keep together: each may round up.
  static constexpr cs::int64_t room(params const& p, int heads, int tokens) {
    cs::int64_t const exact = cs::int64_t{heads} * counts::of_share(p.keep, p.tokens, tokens);
    return p.as_source && exact < cs::int64_t{heads} * tokens ? exact + heads : exact;
  }

  /// Calls rank(counts::ranking) for each view.
  template <class Rows, class Rank>
  static void rankings(params const& p, Rows const& rows, Rank const& rank) {
    for (int v = 0; v < rows.views(); ++v)
      rank(counts::ranking{v, v + 1, cs::int64_t{rows.heads()} * counts::of_share(p.keep, p.tokens, rows.tokens(v))});
  }
  /// Turns what the ranking gave the heads of a view of `tokens`, of which `forced` stay in each, into what they keep;
  /// `part` is scratch, [heads].
  KVSIEVE_HD static constexpr void share(params const& p, int heads, int tokens, int forced, int* own,
                                         cs::int64_t* part) {
    int const b = counts::of_share(p.keep, p.tokens, tokens) - forced;
    if (b <= 0) return;
    if (p.as_source)
      for (int h = 0; h < heads; ++h) own[h] = forced + rounded(p, own[h] - forced, b);
    else
      mix(p, heads, b, forced, own, part);
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    rankings(p, rows, [&](counts::ranking const& r) {
      rows.best(r, count);
      int const n = static_cast<int>(r.total / rows.heads()), forced = rows.forced(r.first, n).size();
      share(p, rows.heads(), rows.tokens(r.first), forced, count + cs::int64_t{r.first} * rows.heads(), rows.scratch());
    });
  }

 private:
  // Products of a count and a float are exact in double, so only the conversions round: float arithmetic that no
  // compiler fuses.
  KVSIEVE_HD static constexpr int rounded(params const& p, int c, int b) {
    auto const scaled =
        static_cast<float>(static_cast<double>(c) * static_cast<double>(static_cast<float>(1 - p.floor)));
    int const share = counts::of_share(p.floor, -1, b);
    return static_cast<int>(counts::half_to_even(static_cast<float>(static_cast<double>(scaled) + share)));
  }
  KVSIEVE_HD static constexpr void mix(params const& p, int heads, int b, int forced, int* own, cs::int64_t* part) {
    // In units of 2^-30 of a token, which the floor is rounded to: whole numbers sum exactly.
    constexpr cs::int64_t one = cs::int64_t{1} << 30;
    auto const floor = counts::half_to_even(p.floor * static_cast<double>(one));
    counts::apportion(
        heads, cs::int64_t{heads} * b, [&](cs::int64_t h) { return (own[h] - forced) * (one - floor) + b * floor; },
        [](cs::int64_t) { return cs::int64_t{most_tokens}; }, part);
    for (int h = 0; h < heads; ++h) own[h] = forced + static_cast<int>(part[h]);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
