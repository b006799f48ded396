// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers share by preferences that were measured beforehand.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// CAKE (Qin et al., ICLR 2025): the window stays, and Tot = (cap - window) * layers tokens before it are split in
/// proportion to the preferences, fractions cut, at most N - window a layer. What that leaves goes to the layers below
/// their limit in equal parts, the first of them one more, in a single pass each for what was above the limit and for
/// what cutting lost; so the sum may end below Tot, as in the authors' code. Sequences of at most cap + window tokens
/// stay whole. Preferences of fewer layers than the model has are those known so far (the cascade). All layers of a
/// sequence have the same N.
struct preference : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    double keep = 0.25;                   ///< cap as a share of the tokens
    int tokens = -1;                      ///< cap: tokens that stay, per head, the mean over layers; -1: as `keep` says
    int window = 32;                      ///< of the score; stays in every layer, inside the count
    cs::span<double const> preference{};  ///< [layers known so far], not negative; the caller's memory
    int layers = 0;                       ///< of the model; 0: as many as preferences
    cs::span<int const> layer{};          ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("window", self.window, "tokens", "of the score's window, inside the count");
      visit("preference", self.preference, "numbers", "how much each layer wants, in any unit");
      visit("layers", self.layers, "layers", "of the model; 0: as many as preferences");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Layers that have a preference.
    [[nodiscard]] KVSIEVE_HD constexpr int known() const { return static_cast<int>(preference.size()); }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status s = range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                            range::at_least("budget.window", window, 0), range::at_least("budget.layers", layers, 0),
                            range::at_least("budget.preference", known(), 1));
      if (layers > 0) s = range::all(s, range::at_least("budget.layers", layers, known()));
      if (s && layer.empty() && call.views % known() != 0) s = range::entries("budget.preference", known(), call.views);
      s = range::all(s, counts::check_layers(layer, known(), call.views));
      for (cs::size_t i = 0; s && i < preference.size(); ++i)
        s = range::within("budget.preference", preference[i], 0, 1e300);
      return s;
    }
  };

  /// Tokens that a head keeps.
  KVSIEVE_HD static constexpr int count(params const& p, head_shape const& s) {
    int const n = s.tokens, known = p.known(), all = counts::layers_of(p.layers, known);
    cs::int64_t const cap = p.tokens >= 0 ? p.tokens : counts::of_share(p.keep, -1, n), most = n - p.window;
    if (n <= cap + p.window) return n;
    if (cap <= p.window) return static_cast<int>(cap);
    cs::int64_t const total = (cap - p.window) * all;
    double sum = 0;
    for (double const x : p.preference) sum += x;
    bool const told = sum > 0 && sum <= 1e308;
    auto const cut = [&](int k) {  // not limited
      double const part = told ? p.preference[static_cast<cs::size_t>(k)] / sum : 1.0 / known;
      return static_cast<cs::int64_t>(part * static_cast<double>(total));
    };
    // Amounts are not stored: each step walks over the layers again with what the step before spread.
    pass above{}, lost{};
    for (int k = 0; k < known; ++k) {
      above.amount += cut(k) > most ? cut(k) - most : 0;
      above.open += cut(k) < most ? 1 : 0;
    }
    auto const walk = [&](auto const& visit) {
      for (cs::int64_t k = 0, rank = 0; k < known; ++k) {
        cs::int64_t const a = cut(static_cast<int>(k)), b = a < most ? a + above.share(rank++) : most;
        visit(k, b);
      }
    };
    pass over{};  // cutting loses; only rounding of the parts could make it too much
    lost.amount = total;
    walk([&](cs::int64_t, cs::int64_t b) {
      lost.amount -= b;
      lost.open += b < most ? 1 : 0;
      over.open += b > 1 ? 1 : 0;
    });
    over.amount = -lost.amount;
    cs::int64_t kept = 0, rank = 0;
    int const at = counts::layer_of(p.layer, known, s.view);
    walk([&](cs::int64_t k, cs::int64_t b) {
      if (lost.amount > 0 && b < most) b += lost.share(rank++);
      if (over.amount > 0 && b > 1) b -= over.share(rank++);
      if (k == at) kept = b;
    });
    return p.window + counts::limited(kept, static_cast<int>(most));
  }

 private:
  // Something spread over the layers that are open to it.
  struct pass {
    cs::int64_t amount, open;
    KVSIEVE_HD constexpr cs::int64_t share(cs::int64_t rank) const {
      return amount <= 0 ? 0 : amount / open + (rank < amount % open ? 1 : 0);
    }
  };
};
}  // namespace budget
}  // namespace kvsieve::inline v0
