// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers share by how much they spread and shift their attention.
#pragma once
#include <kvsieve/budget/preference.hpp>
#include <kvsieve/core/power.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// CAKE (Qin et al., ICLR 2025): a layer's preference is H^(1 / tau1) V^(1 / tau2), of the entropy H and the variance V
/// that aggregate::mean_variance_entropy measures of its observed attention. Forced tokens stay, and
/// (cap - forced) * layers tokens are split by budget::preference's rule, in integers as the authors' code does. Where
/// no layer has a preference above 0, all keep the same. Fewer views than `layers` are the first layers of a sequence,
/// those known so far (see host/cascade.hpp); no layer gets back what it dropped.
struct entropy_variance : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are
  static constexpr int statistics = 2;                            ///< numbers of a view that it reads

  /// Its numbers.
  struct params {
    double keep = 0.25;  ///< cap as a share of the tokens
    int tokens = -1;     ///< cap: tokens that stay, per head, the mean over layers; -1: as `keep` says
    double tau1 = 1;     ///< temperature of the entropy, above 0
    double tau2 = 1;     ///< temperature of the variance, above 0
    int layers = 0;      ///< views of a sequence, which follow one another; 0: all of a call
    int prompt = 0;      ///< N before tokens were dropped; 0: as the views are
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("tau1", self.tau1, "temperature", "of the entropy");
      visit("tau2", self.tau2, "temperature", "of the variance");
      visit("layers", self.layers, "views", "of a sequence, one behind another; 0: all of a call");
      visit("prompt", self.prompt, "tokens", "of the views before any were dropped; 0: as they are");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::above("budget.tau1", tau1, 0), range::above("budget.tau2", tau2, 0),
                        counts::check_stages(layers, call.views),
                        range::within("budget.prompt", prompt, 0, most_tokens));
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }
  /// Most tokens a head that all layers together hold after any stage of a cascade over views of N tokens.
  static constexpr cs::int64_t held(params const& p, int tokens) {
    cs::int64_t const cap = counts::of_share(p.keep, p.tokens, tokens), twice = 2 * cap;
    // Nothing is dropped of sequences up to cap + forced tokens, which are at most cap where anything is.
    return p.layers * (tokens <= twice ? tokens : cap);
  }

  /// Views of a sequence, out of a call's.
  static constexpr int step(params const& p, int views) {
    int const layers = counts::layers_of(p.layers, views);
    return views < layers ? views : layers;
  }
  /// Tokens that a head of a view keeps on average: cap.
  [[nodiscard]] KVSIEVE_HD static constexpr int mean(params const& p, int tokens) {
    return counts::of_share(p.keep, p.tokens, p.prompt > 0 ? p.prompt : tokens);
  }
  /// What a head of view `i` keeps, of the first `known` ones out of `layers` of a sequence, [known] preferences;
  /// `forced` of its tokens stay in any case.
  [[nodiscard]] KVSIEVE_HD static constexpr int kept(params const& p, double const* preference, int known, int layers,
                                                     int i, int tokens, int forced) {
    budget::preference::params rule{};
    rule.tokens = mean(p, tokens);
    rule.window = forced;
    rule.preference = {preference, static_cast<cs::size_t>(known)};
    rule.layers = layers;
    head_shape shape{};
    shape.tokens = p.prompt > 0 ? p.prompt : tokens;
    shape.view = i;
    shape.views = known;
    int const count = budget::preference::count(rule, shape);
    return count < tokens ? count : tokens;
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    int const layers = counts::layers_of(p.layers, rows.views()), known = step(p, rows.views()), heads = rows.heads();
    for (int first = 0; first < rows.views(); first += known) {
      double* const preference = rows.numbers();
      for (int i = 0; i < known; ++i)
        preference[i] = of_layer(p, rows.statistic(first + i, 0), rows.statistic(first + i, 1));
      for (int i = 0; i < known; ++i) {
        int const v = first + i, n = rows.tokens(v);
        int const own = kept(p, preference, known, layers, i, n, rows.forced(v, mean(p, n)).size());
        for (int h = 0; h < heads; ++h) count[v * heads + h] = own;
      }
    }
  }

  /// A layer's preference from its entropy and variance; 0 where one of them is no positive number.
  KVSIEVE_HD static double of_layer(params const& p, double entropy, double variance) {
    if (!(entropy >= 0x1p-1022) || !(variance >= 0x1p-1022)) return 0;
    constexpr double most = 1e300;
    double const x =
        power_of(entropy < most ? entropy : most, 1 / p.tau1) * power_of(variance < most ? variance : most, 1 / p.tau2);
    return x <= most ? x : most;
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
