// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A share for each head, from a table.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// LU-KV's table as kvpress reads it: head h of a layer wants f = N * keep[layer, h] tokens. The layer keeps the sum of
/// f, rounded half to even, exactly: each head floor(f), and one more for those with the largest fractions, the lower
/// head where they are equal. At last no head keeps fewer than `least` or more than N, which may raise the sum.
struct head_shares : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U3;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    cs::span<double const> keep{};  ///< [layers, heads]: share of the tokens that stay; the caller's memory
    int least = 1;                  ///< tokens that every head keeps
    cs::span<int const> layer{};    ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fractions", "of the tokens that stay, for each layer and head");
      visit("least", self.least, "tokens", "that every head keeps");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status s = range::all(range::at_least("budget.least", least, 0),
                            counts::check_table("budget.keep", keep.size(), layer, call.views, call.heads));
      for (cs::size_t i = 0; s && i < keep.size(); ++i) s = range::within("budget.keep", keep[i], 0, 1);
      return s;
    }
  };

  /// Which of the 99 tables that LU-KV has for a model is meant for a share `keep` of the tokens: table i drops i + 1
  /// hundredths.
  static constexpr int table_of(double keep) {
    cs::int64_t const i = counts::half_to_even(100 * (1 - keep)) - 1;
    return i < 0 ? 0 : i > 98 ? 98 : static_cast<int>(i);
  }
  /// Tokens that a head keeps.
  static constexpr int count(params const& p, head_shape const& s) {
    int const layers = static_cast<int>(p.keep.size()) / s.heads;
    auto const* const row = p.keep.data() + cs::int64_t{counts::layer_of(p.layer, layers, s.view)} * s.heads;
    auto const wanted = [&](int h) { return static_cast<double>(s.tokens) * row[h]; };
    auto const cut = [&](int h) { return static_cast<cs::int64_t>(wanted(h)); };
    auto const fraction = [&](int h) { return wanted(h) - static_cast<double>(cut(h)); };
    double sum = 0;
    cs::int64_t whole = 0, before = 0;
    for (int h = 0; h < s.heads; ++h) {
      sum += wanted(h);
      whole += cut(h);
      before += fraction(h) > fraction(s.head) || (fraction(h) == fraction(s.head) && h < s.head) ? 1 : 0;
    }
    int const more = before < counts::half_to_even(sum) - whole ? 1 : 0,
              kept = counts::limited(cut(s.head) + more, s.tokens);
    return kept < p.least ? counts::limited(p.least, s.tokens) : kept;
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
