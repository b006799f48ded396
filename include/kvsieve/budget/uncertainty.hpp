// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers share by how many tokens hold most of their mass.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// ZigZagKV (arXiv 2412.09036): a head needs as many of its largest scores as make up `mass` of the sum of its positive
/// ones; u is what the heads of a layer need on average. Of the mean budget b a layer gets `least` * b, and the rest of
/// all layers is split in proportion to u. A layer keeps at least its forced tokens and at most N, and what that gives
/// or takes is shared by the others in the same proportion. Fractions are cut, and what they leave goes to the layers
/// with the largest ones. All heads of a layer keep the same; a sequence keeps floor(keep * sum of N) a head, exactly.
/// (Our definition where the paper's text could not be read: u comes from the scores of KV heads as they are selected
/// from, after smoothing and without the window.)
struct uncertainty : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call
  static constexpr bool measures = true;                          ///< a number of each head tells its counts

  /// Its numbers.
  struct params {
    double keep = 0.25;  ///< share of the tokens that stay, per head, the mean over layers
    int tokens = -1;     ///< tokens that stay, per head, the mean over layers; -1: as `keep` says
    double mass = 0.9;   ///< share of its scores' sum that a head has to hold
    double least = 0.1;  ///< share of the mean that every layer gets
    int layers = 0;      ///< views of a sequence, which follow one another; 0: all of a call
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("mass", self.mass, "fraction", "of its scores' sum that a head has to hold");
      visit("least", self.least, "fraction", "of the mean, which every layer gets");
      visit("layers", self.layers, "views", "of a sequence, one behind another; 0: all of a call");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::within("budget.mass", mass, 0, 1), range::within("budget.least", least, 0, 1),
                        counts::check_sequences(layers, call.views));
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }

  /// Views of a sequence, out of a call's.
  static constexpr int step(params const& p, int views) { return counts::layers_of(p.layers, views); }
  /// Tokens a head that views [first, first + step) keep together.
  template <class Rows>
  static constexpr cs::int64_t total(params const& p, Rows const& rows, int first) {
    total_of_tokens sum;
    for (int i = 0; i < step(p, rows.views()); ++i) sum.add(p, rows.tokens(first + i));
    return sum.of(p);
  }
  /// What a head keeps when forced tokens are counted: the mean.
  template <class Rows>
  static constexpr int asked(params const& p, Rows const& rows, int view) {
    int const own = step(p, rows.views());
    return counts::limited(total(p, rows, view / own * own) / own, rows.tokens(view));
  }
  /// What a head needs.
  KVSIEVE_CALLS_GIVEN
  template <class Row>
  KVSIEVE_HD static double measure(params const& p, Row const& row) {
    return static_cast<double>(row.mass(p.mass));
  }
  /// The counts of a sequence.
  KVSIEVE_HD static void split(params const& p, counts::sequence const& s) {
    cs::int64_t needed = 0;
    total_of_tokens sum;
    for (int i = 0; i < s.views; ++i) {
      double* const own = s.number + cs::int64_t{i} * s.heads;
      for (int h = 1; h < s.heads; ++h) own[0] += own[h];
      needed += need(s, i);
      sum.add(p, s.view[i].tokens);
    }
    cs::int64_t const total = sum.of(p);
    // In units of 2^-20 of a mean budget, which `least` is rounded to: whole numbers sum exactly.
    constexpr cs::int64_t one = cs::int64_t{1} << 20;
    auto const equal = counts::half_to_even(p.least * static_cast<double>(one));
    auto const weight = [&](cs::int64_t i) {
      using counts::detail::wide;
      return static_cast<wide>(equal) * static_cast<wide>(needed) +
             static_cast<wide>(one - equal) * static_cast<wide>(s.views) * static_cast<wide>(need(s, i));
    };
    auto const forced = [&](cs::int64_t i) { return cs::int64_t{s.view[i].forced}; };
    auto const tokens = [&](cs::int64_t i) { return cs::int64_t{s.view[i].tokens}; };
    counts::apportion(s.views, total, weight, forced, tokens, s.share);
    cs::int64_t shared = 0;
    for (int i = 0; i < s.views; ++i) shared += s.share[i];
    if (shared > total) counts::share_equally(s.views, total, tokens, s.share);  // less than the forced tokens
    for (int i = 0; i < s.views; ++i) s.keep(i, s.share[i]);
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    rows.template split_measured<uncertainty>(p, count);
  }

 private:
  struct total_of_tokens {
    cs::int64_t all = 0, limited = 0;
    KVSIEVE_HD constexpr void add(params const& p, int tokens) {
      all += tokens;
      limited += counts::of_share(p.keep, p.tokens, tokens);
    }
    [[nodiscard]] KVSIEVE_HD constexpr cs::int64_t of(params const& p) const {
      return p.tokens >= 0 ? limited : static_cast<cs::int64_t>(static_cast<double>(all) * p.keep);
    }
  };
  // What the heads of a view need together, once it is in the first number.
  KVSIEVE_HD static cs::int64_t need(counts::sequence const& s, cs::int64_t i) {
    return static_cast<cs::int64_t>(s.number[i * s.heads]);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
