// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers share by what leaving tokens out cost them, measured beforehand.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// CompressKV's layer budgets: every layer has `least` tokens, and what that leaves of cap * layers is split in
/// proportion to the errors, each layer's part rounded half to even, so that it keeps at most `most` * cap and at most
/// N. What rounding and limits leave is given a token at a time to the layers below their limit, the largest error
/// first, round after round, or taken from those above `least`, the smallest error first; the lower layer where errors
/// are equal. So a sequence keeps cap * layers a head exactly, or all it has. Where cap is below `least`, all layers
/// keep cap. (The source lets a layer take more than N and gives the rest to nobody.) All layers of a sequence have the
/// same N.
struct layer_errors : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    double keep = 0.25;              ///< cap as a share of the tokens
    int tokens = -1;                 ///< cap: tokens that stay, per head, the mean over layers; -1: as `keep` says
    int least = 32;                  ///< tokens that every layer keeps, the score's window among them
    double most = 3;                 ///< times the mean, which no layer keeps more than
    cs::span<double const> error{};  ///< [layers], not negative, in any unit; the caller's memory
    cs::span<int const> layer{};     ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("least", self.least, "tokens", "that every layer keeps");
      visit("most", self.most, "factor", "of the mean, which no layer keeps more than");
      visit("error", self.error, "numbers", "what eviction cost each layer, in any unit");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Layers that have an error.
    [[nodiscard]] constexpr int layers() const { return static_cast<int>(error.size()); }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status s = range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                            range::at_least("budget.least", least, 0), range::within("budget.most", most, 1, 1e6),
                            range::within("budget.error", layers(), 1, 1 << 20));
      if (s && layer.empty() && call.views % layers() != 0) s = range::entries("budget.error", layers(), call.views);
      s = range::all(s, counts::check_layers(layer, layers(), call.views));
      for (cs::size_t i = 0; s && i < error.size(); ++i) s = range::within("budget.error", error[i], 0, 1e300);
      return s;
    }
  };

  /// Tokens that a head keeps.
  static constexpr int count(params const& p, head_shape const& s) {
    int const layers = p.layers();
    cs::int64_t const cap = p.tokens >= 0 ? p.tokens : counts::of_share(p.keep, -1, s.tokens);
    if (cap >= s.tokens) return s.tokens;
    if (cap <= p.least) return static_cast<int>(cap);
    double const limit = p.most * static_cast<double>(cap);
    cs::int64_t const low = p.least, high = limit < s.tokens ? static_cast<cs::int64_t>(limit) : s.tokens;
    cs::int64_t const total = cap * layers, extra = (cap - low) * layers;
    double sum = 0;
    for (double const x : p.error) sum += x;
    bool const told = sum > 0 && sum <= 1e308;
    auto const error = [&](int k) { return p.error[static_cast<cs::size_t>(k)]; };
    // Rounded and limited, then `more` for every layer below the limit (or less, for those above `low`).
    auto const amount = [&](int k, cs::int64_t more) {
      double const part = told ? error(k) / sum : 1.0 / layers;
      cs::int64_t c = low + counts::half_to_even(counts::product(part, static_cast<double>(extra)));
      c = c > high ? high : c;
      return c + more < low ? low : c + more > high ? high : c + more;
    };
    auto const all = [&](cs::int64_t more) {
      cs::int64_t kept = 0;
      for (int k = 0; k < layers; ++k) kept += amount(k, more);
      return kept;
    };
    // Whole rounds: as many as fit, whatever the direction.
    bool const gives = all(0) <= total;
    cs::int64_t from = 0, to = high;
    while (from < to) {
      cs::int64_t const middle = from + (to - from + 1) / 2;
      if (gives ? all(middle) <= total : all(-middle) >= total)
        from = middle;
      else
        to = middle - 1;
    }
    cs::int64_t const rounds = gives ? from : -from, rest = gives ? total - all(rounds) : all(rounds) - total;
    int const own = counts::layer_of(p.layer, layers, s.view);
    auto const open = [&](int k) { return gives ? amount(k, rounds) < high : amount(k, rounds) > low; };
    cs::int64_t before = 0;
    for (int k = 0; k < layers; ++k) {
      double const a = gives ? error(k) : error(own), b = gives ? error(own) : error(k);
      before += open(k) && (a > b || (a == b && k < own)) ? 1 : 0;
    }
    cs::int64_t const last = open(own) && before < rest ? 1 : 0;
    return static_cast<int>(amount(own, rounds) + (gives ? last : -last));
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
