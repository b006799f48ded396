// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// As many tokens as fit into a number of bytes.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// All views of a call together take at most `bytes` of dense storage, the size of their own elements: R =
/// floor(bytes / (heads * bytes of a row)) tokens a head over all views, at most the sum of N, split in proportion to
/// N. Fractions are cut, and what they leave goes to the views with the largest ones, the lower view where they are
/// equal. All heads of a view keep the same, and the sum over views is exact.
struct bytes : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    cs::int64_t bytes = -1;  ///< of keys and values, over all views and heads; -1: as `keep` says
    double keep = 0.25;      ///< share of the bytes that the call's own keys and values take
    int row_bytes = 0;       ///< of a token of a head, its key and its value; 0: of the elements of the call
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("bytes", self.bytes, "bytes", "of keys and values that stay, over all layers and heads; -1: as keep says");
      visit("keep", self.keep, "fraction", "of the bytes that stays, over all layers and heads");
      visit("row_bytes", self.row_bytes, "bytes", "of a token of a head, key and value; 0: as they lie there");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status const s =
          range::all(range::at_least("budget.bytes", static_cast<double>(bytes), -1),
                     range::within("budget.keep", keep, 0, 1), range::at_least("budget.row_bytes", row_bytes, 0));
      if (!s || row_bytes > 0 || call.row_bytes > 0) return s;
      return fail(errc::bad_params, "budget.row_bytes", row_bytes, "must, for scores without a cache, be at least", 1);
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }

  static constexpr bool reads_shapes = true;  ///< its counts follow from the shapes of all views

  /// Tokens that a head keeps over all views.
  template <class Rows>
  [[nodiscard]] static cs::int64_t total(params const& p, Rows const& rows) {
    cs::int64_t const row = p.row_bytes > 0 ? p.row_bytes : rows.row_bytes(), heads = rows.heads();
    cs::int64_t all = 0;
    for (int v = 0; v < rows.views(); ++v) all += rows.tokens(v);
    cs::int64_t const size = all * heads * row;
    auto const share = static_cast<cs::int64_t>(static_cast<double>(size) * p.keep);
    cs::int64_t const fit = (p.bytes >= 0 ? p.bytes : share) / (heads * row);
    return fit < all ? fit : all;
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    int const heads = rows.heads();

    auto const tokens = [&](cs::int64_t v) { return cs::int64_t{rows.tokens(static_cast<int>(v))}; };
    counts::apportion(rows.views(), total(p, rows), tokens, tokens, rows.scratch());
    for (int v = 0; v < rows.views(); ++v)
      for (int h = 0; h < heads; ++h) count[v * heads + h] = static_cast<int>(rows.scratch()[v]);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
