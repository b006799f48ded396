// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers share by how many of the best scores are theirs.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// DynamicKV (arXiv 2412.14838): beside the forced tokens b = n - forced tokens a head stay on average, n =
/// floor(N * keep). One ranking over all layers and heads of a sequence takes as many, and the b of all layers are
/// split in proportion to how many of these lie in each, at most floor(radio_max * b) (and N) in a layer; what lies
/// above goes to the others in proportion. Fractions are cut, and what they leave goes to the layers with the largest
/// ones. All heads of a layer keep the same. The sum over layers is exact.
///
/// Fewer views than `layers` are the first layers of a sequence (see host/cascade.hpp). They keep up to
/// floor(radio_max
/// * b) tokens until `stage` more layers have come; then what is there is ranked and split as if it were all, with the
/// total of all `layers`. Stages only bound memory: what they drop is not there for the last ranking.
struct layer_scores : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call

  /// Its numbers.
  struct params {
    double keep = 0.25;     ///< share of the tokens that stay, per head, the mean over layers
    int tokens = -1;        ///< tokens that stay, per head, the mean over layers; -1: as `keep` says
    double radio_max = 10;  ///< a layer keeps at most this many times the mean, forced tokens left out of both
    int layers = 0;         ///< views of a sequence, which follow one another; 0: all of a call
    int stage = 4;          ///< layers after which those that came so far are ranked
    int prompt = 0;         ///< N before tokens were dropped; 0: as the views are
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("radio_max", self.radio_max, "factor", "of the mean, which no layer keeps more than");
      visit("layers", self.layers, "views", "of a sequence, one behind another; 0: all of a call");
      visit("stage", self.stage, "layers", "after which those that came so far are ranked, where not all are there");
      visit("prompt", self.prompt, "tokens", "of the views before any were dropped; 0: as they are");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::within("budget.radio_max", radio_max, 1, 1e6), counts::check_stages(layers, call.views),
                        range::at_least("budget.stage", stage, 1),
                        range::within("budget.prompt", prompt, 0, most_tokens));
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }

  /// Most tokens a head that all layers together hold after any stage of a cascade over views of N tokens.
  static constexpr cs::int64_t held(params const& p, int tokens) {
    int const mean = counts::of_share(p.keep, p.tokens, tokens);
    double const limit = p.radio_max * mean;
    cs::int64_t const waiting = limit < tokens ? static_cast<cs::int64_t>(limit) : tokens;
    cs::int64_t const most = cs::int64_t{p.layers} * waiting,
                      staged = cs::int64_t{p.layers} * mean + (p.stage - 1) * waiting;
    return most < staged ? most : staged;
  }
  /// Tokens that a head of a view keeps on average.
  [[nodiscard]] KVSIEVE_HD static constexpr int mean(params const& p, int tokens) {
    return counts::of_share(p.keep, p.tokens, p.prompt > 0 ? p.prompt : tokens);
  }
  /// Calls rank(counts::ranking) for every sequence: how many of the best lie in which layer.
  template <class Rows, class Rank>
  static void rankings(params const& p, Rows const& rows, Rank const& rank) {
    int const layers = counts::layers_of(p.layers, rows.views()), heads = rows.heads();
    int const step = rows.views() < layers ? rows.views() : layers;
    for (int first = 0; first < rows.views(); first += step) {
      cs::int64_t total = 0, stored = 0;
      for (int v = first; v < first + step; ++v) {
        total += cs::int64_t{heads} * mean(p, rows.tokens(v));
        stored += cs::int64_t{heads} * rows.tokens(v);
      }
      rank(counts::ranking{first, first + step, total < stored ? total : stored});
    }
  }
  /// True where the layers that came so far wait for others of their stage.
  [[nodiscard]] KVSIEVE_HD static constexpr bool waits(params const& p, int views) {
    int const layers = counts::layers_of(p.layers, views);
    return views < layers && views % p.stage != 0;
  }
  /// The layers of a sequence, of which a ranking gave each head count [views, heads].
  template <class Tokens, class Forced>
  struct layers_of_ranking {
    params const& p;       ///< numbers of the budget
    Tokens const& tokens;  ///< of a head of a view
    Forced const& forced;  ///< tokens of a head of a view that stay in any case
    int const* count;      ///< what the ranking gave
    int heads;             ///< of a view
    /// Most tokens beside the forced ones that a head of view `i` keeps.
    KVSIEVE_CALLS_GIVEN
    KVSIEVE_HD constexpr cs::int64_t most(int i) const {
      int const b = mean(p, tokens(i)) - forced(i), past = tokens(i) - forced(i);
      double const limit = p.radio_max * b;
      return limit < past ? static_cast<cs::int64_t>(limit) : cs::int64_t{past};
    }
    /// How many of the best lie in view `i`.
    KVSIEVE_CALLS_GIVEN
    KVSIEVE_HD constexpr cs::int64_t weight(int i) const {
      cs::int64_t sum = -cs::int64_t{heads} * forced(i);
      for (int h = 0; h < heads; ++h) sum += count[i * heads + h];
      return sum > 0 ? sum : 0;  // forced tokens that depend on the count may be fewer in the ranking
    }
  };
  /// From what a ranking over the `step` views of a sequence, of a call of `views`, gave each of their heads, count
  /// [step, heads], to what these keep. tokens(i) and forced(i) are those of a head of view i; share [step] is scratch.
  KVSIEVE_CALLS_GIVEN
  template <class Tokens, class Forced>
  KVSIEVE_HD static constexpr void split(params const& p, int views, int step, int heads, Tokens const& tokens,
                                         Forced const& forced, int* count, cs::int64_t* share) {
    int const layers = counts::layers_of(p.layers, views);
    bool const waiting = waits(p, views);
    cs::int64_t left = cs::int64_t{layers - step} * (mean(p, tokens(0)) - forced(0));
    bool fits = true;
    for (int i = 0; i < step; ++i) {
      left += mean(p, tokens(i)) - forced(i);
      fits = fits && forced(i) <= mean(p, tokens(i));
    }
    layers_of_ranking<Tokens, Forced> const own{p, tokens, forced, count, heads};
    auto const most = [&own](cs::int64_t i) { return own.most(static_cast<int>(i)); };
    auto const weight = [&own](cs::int64_t i) { return own.weight(static_cast<int>(i)); };
    if (fits && !waiting) counts::apportion(step, left, weight, most, share);
    for (int i = 0; i < step; ++i) {
      cs::int64_t const kept = !fits ? mean(p, tokens(i)) : forced(i) + (waiting ? most(i) : share[i]);
      for (int h = 0; h < heads; ++h) count[i * heads + h] = counts::limited(kept, tokens(i));
    }
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    int const heads = rows.heads();
    auto const size = [&](int v) { return rows.forced(v, mean(p, rows.tokens(v))).size(); };
    rankings(p, rows, [&](counts::ranking const& r) {
      bool fits = true;
      for (int v = r.first; v < r.last; ++v) fits = fits && size(v) <= mean(p, rows.tokens(v));
      if (fits && !waits(p, rows.views())) rows.best(r, count);
      split(
          p, rows.views(), r.last - r.first, heads, [&](int i) { return rows.tokens(r.first + i); },
          [&](int i) { return size(r.first + i); }, count + cs::int64_t{r.first} * heads, rows.scratch());
    });
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
