// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Top-k inside each of the caller's spans, so that one part of a prompt is not forgotten for another: fair eviction,
// "The Pitfalls of KV Cache Compression", arXiv 2510.00231.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/select/forced_fields.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// The budget falls on the spans in proportion to their tokens (fractions are cut, the largest of them get what is
/// left, of equal ones the earlier), and each span keeps its largest scores; equal scores: the smaller index. Forced
/// tokens count inside their span: a span whose share is less than they takes them, and the others share the rest. With
/// a `quota` each span keeps that many, whatever the budget says.
struct top_k_in_spans : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< spans do not come from the scorer
  static constexpr bool host_only = true;       ///< plans on the device cannot

  /// Its numbers.
  struct params {
    cs::span<int const> spans{};       ///< begin and end of each, ascending, without a gap from 0 to N; empty: one span
    cs::span<int const> quota{};       ///< tokens that stay of each span; empty: fair shares of the budget
    int sink = 0;                      ///< first tokens that always stay
    int recent = 0;                    ///< last tokens that always stay
    cs::span<int const> white_list{};  ///< as in top_k
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("spans", self.spans, "indices", "begin and end of each span, without gaps; empty: one span");
      visit("quota", self.quota, "tokens", "that stay of each span; empty: fair shares of the budget");
      detail::each_forced(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      auto const size = static_cast<double>(spans.size());
      if (spans.size() % 2 != 0) return fail(errc::bad_shape, "select.spans", size, "entries; it must have", size + 1);
      if (!quota.empty())
        if (status const s = range::entries("select.quota", static_cast<double>(quota.size()), size / 2); !s) return s;
      return detail::check_forced(*this);
    }
    /// Ok, or which span or quota does not fit a view of `tokens`.
    [[nodiscard]] constexpr status check_view(int tokens, int view) const {
      constexpr auto bad = errc::bad_params;
      int end = 0;
      for (cs::size_t i = 0; i < spans.size(); i += 2) {
        if (spans[i] < end)
          return fail(bad, "select.spans", spans[i], "overlaps the span before it, which ends at", end, view);
        if (spans[i] > end)
          return fail(bad, "select.spans", spans[i], "leaves a gap behind the span before it, which ends at", end,
                      view);
        if (spans[i + 1] <= end)
          return fail(bad, "select.spans", spans[i + 1], "must be greater than the begin of its span,", end, view);
        end = spans[i + 1];
        if (quota.empty()) continue;
        int const most = end - spans[i], own = quota[i / 2];
        if (own < 0) return fail(bad, "select.quota", own, "must be at least", 0, view);
        if (own > most) return fail(bad, "select.quota", own, "must be at most the tokens of its span,", most, view);
      }
      if (spans.empty() || end == tokens) return {};
      return fail(bad, "select.spans", end, "is where they end, which must be the number of tokens,", tokens, view);
    }
  };

  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
  /// Tokens that stay of a row.
  [[nodiscard]] static constexpr int count(params const& p, row_share const& share) {
    if (p.quota.empty()) return share.kept;
    int sum = 0;
    for (int const q : p.quota) sum += q;
    return sum;
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
