// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Top-k inside each of the caller's spans, so that one part of a prompt is not forgotten for another: fair eviction,
// "The Pitfalls of KV Cache Compression", arXiv 2510.00231.
#pragma once
#include <kvsieve/core/counts.hpp>
#include <kvsieve/select/forced_fields.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// The budget falls on the spans in proportion to their tokens (fractions are cut, the largest of them get what is
/// left, of equal ones the earlier), and each span keeps its largest scores; equal scores: the smaller index. Forced
/// tokens count inside their span: a span whose share is less than they takes them, and the others share the rest. With
/// a `quota` each span keeps that many, whatever the budget says.
struct top_k_in_spans : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< spans do not come from the scorer

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
  /// Spans of a row.
  [[nodiscard]] static constexpr int spans(params const& p) {
    return p.spans.empty() ? 1 : static_cast<int>(p.spans.size() / 2);
  }
  /// First token of a span.
  [[nodiscard]] static constexpr int begin(params const& p, int i) {
    return p.spans.empty() ? 0 : p.spans[cs::size_t{2} * static_cast<cs::size_t>(i)];
  }
  /// Tokens of a span of a row of `tokens`.
  [[nodiscard]] static constexpr int size(params const& p, int tokens, int i) {
    return p.spans.empty() ? tokens : p.spans[cs::size_t{2} * static_cast<cs::size_t>(i) + 1] - begin(p, i);
  }
  /// True where all that stays is forced: there is nothing to share, and the row is selected as a whole.
  [[nodiscard]] static constexpr bool whole(params const& p, int keep, forced_set const& forced) {
    return p.quota.empty() && forced.size() > keep;
  }
  /// What the forced tokens need.
  [[nodiscard]] static constexpr shortage short_of(params const& p, int keep, forced_set const& forced) {
    if (p.quota.empty()) return {keep, forced.size()};
    shortage first;
    for (int i = 0; i < spans(p); ++i) {
      int const own = p.quota[static_cast<cs::size_t>(i)];
      int const needed = forced.within(begin(p, i), size(p, forced.tokens, i)).size();
      if (first.needed <= first.budget) first = {own, needed, "in a span, less than its forced tokens,"};
    }
    return first;
  }
  /// Fills quota[spans] with what each span of a row keeps that keeps `keep`; `number` has as much room.
  static constexpr void share_out(params const& p, int keep, forced_set const& forced, int* quota,
                                  cs::int64_t* number) {
    int const n = spans(p), tokens = forced.tokens;
    for (int i = 0; i < n; ++i) quota[i] = p.quota.empty() ? -1 : p.quota[static_cast<cs::size_t>(i)];
    if (!p.quota.empty()) return;
    // A span whose share is less than its forced tokens takes these and leaves; that only lowers the other shares.
    int left = keep;
    for (bool again = true; again;) {
      auto const weight = [&](cs::int64_t i) {
        return quota[i] < 0 ? cs::int64_t{size(p, tokens, static_cast<int>(i))} : cs::int64_t{0};
      };
      counts::apportion(n, left, weight, weight, number);
      again = false;
      for (int i = 0; i < n; ++i) {
        if (quota[i] >= 0) continue;
        int const needed = forced.within(begin(p, i), size(p, tokens, i)).size();
        if (number[i] >= needed) continue;
        quota[i] = needed;
        left -= needed;
        again = true;
      }
    }
    for (int i = 0; i < n; ++i)
      if (quota[i] < 0) quota[i] = static_cast<int>(number[i]);
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
