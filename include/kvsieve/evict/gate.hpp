// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which evicted tokens are merged and which are dropped: a piece of evict::merge. A gate says for each head the least
// similarity that is merged; tokens without a nearest one have the similarity -inf and are dropped.
#pragma once
#include <algorithm>

#include <cuda/std/cmath>
#include <cuda/std/span>

#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace gate {

/// Similarities of the evicted tokens of one view, ascending in each head.
struct similarity_rows {
  float const* data = nullptr;    ///< of the call
  index const* offset = nullptr;  ///< [heads + 1] into data
  int heads = 0;                  ///< of the view
  int view = 0;                   ///< which one
  float* scratch = nullptr;       ///< as long as data; only for a gate that sorts

  /// Those of one head.
  [[nodiscard]] cs::span<float const> row(int head) const {
    return {data + offset[head], static_cast<cs::size_t>(offset[head + 1] - offset[head])};
  }
  /// True when all heads evict as many.
  [[nodiscard]] bool even() const {
    for (int h = 1; h < heads; ++h)
      if (row(h).size() != row(0).size()) return false;
    return true;
  }
};

/// Every token that has a nearest one.
struct none {
  using params = no_params;              ///< none
  static constexpr bool sorts = false;   ///< needs no scratch
  static constexpr bool shares = false;  ///< each head for itself
  /// Least similarities that are merged [heads].
  static void cut(params const&, similarity_rows const& rows, float* least) {
    for (int h = 0; h < rows.heads; ++h) least[h] = -__builtin_huge_valf();
  }
};

/// Tokens at least so similar.
struct threshold {
  static constexpr bool sorts = false;   ///< needs no scratch
  static constexpr bool shares = false;  ///< each head for itself
  /// Its number.
  struct params {
    float threshold = 0.0f;  ///< least similarity that is merged
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("threshold", self.threshold, "similarity", "least one that is merged");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::at_least("evict.threshold", static_cast<double>(threshold), -__builtin_inf());
    }
  };
  /// Least similarities that are merged [heads].
  static void cut(params const& p, similarity_rows const& rows, float* least) {
    for (int h = 0; h < rows.heads; ++h) least[h] = p.threshold;
  }
};

/// The most similar share of a head's tokens, and at least so similar (merging_press of kvpress): the cut is the (1 -
/// fraction) quantile, between two of them by linear interpolation, tokens below the threshold counting as -inf.
struct fraction {
  static constexpr bool sorts = true;    ///< needs scratch
  static constexpr bool shares = false;  ///< each head for itself
  /// Its numbers.
  struct params {
    float threshold = 0.0f;  ///< least similarity that is merged
    double fraction = 1.0;   ///< share of the evicted tokens that may be merged
    bool as_source = false;  ///< a quantile that falls on -inf merges nothing, as in kvpress, instead of all above
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("threshold", self.threshold, "similarity", "least one that is merged");
      visit("fraction", self.fraction, "fraction", "of a head's evicted tokens, the most similar, that may be merged");
      visit("as_source", self.as_source, "", "where fewer pass the threshold, merge none, as kvpress does");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("evict.threshold", static_cast<double>(threshold), -__builtin_inf()),
                        range::above("evict.fraction", fraction, 0), range::at_most("evict.fraction", fraction, 1));
    }
  };
  /// Least similarities that are merged [heads].
  static void cut(params const& p, similarity_rows const& rows, float* least) {
    constexpr float inf = __builtin_huge_valf();
    for (int h = 0; h < rows.heads; ++h) {
      least[h] = p.threshold;
      auto const row = rows.row(h);
      if (!(p.fraction < 1) || row.empty()) continue;
      float* const sorted = rows.scratch + rows.offset[h];
      index const n = static_cast<index>(row.size());
      for (index i = 0; i < n; ++i) {
        float const x = row[static_cast<cs::size_t>(i)];
        sorted[i] = x >= p.threshold ? x : -inf;
      }
      double const place = (1 - p.fraction) * static_cast<double>(n - 1);
      index const below = static_cast<index>(place);
      std::nth_element(sorted, sorted + below, sorted + n);
      float const low = sorted[below];
      float const high = below + 1 < n ? *std::min_element(sorted + below + 1, sorted + n) : low;
      float const quantile = low + static_cast<float>(place - static_cast<double>(below)) * (high - low);
      if (low == -inf)
        least[h] = p.as_source ? inf : p.threshold;
      else
        least[h] = quantile < p.threshold ? p.threshold : quantile;
    }
  }
};

/// Tokens at least as similar as a running mean (D2O): the mean similarity of all evicted tokens of a view's heads, or
/// behind the first compression decay times the threshold before plus share times that mean.
struct running_mean {
  static constexpr bool sorts = false;  ///< needs no scratch
  static constexpr bool shares = true;  ///< heads may decide together
  /// Its numbers.
  struct params {
    float decay = 0.5f;        ///< of the threshold before
    float share = 0.5f;        ///< of the new mean
    bool together = false;     ///< the e-th evicted tokens of all heads share a decision, by their mean
    cs::span<float> before{};  ///< a number a view: the threshold before, NaN behind none; replaced by the new one
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("decay", self.decay, "", "of the threshold before");
      visit("share", self.share, "", "of the new mean similarity");
      visit("together", self.together, "", "the e-th evicted tokens of all heads share a decision, as in the source");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(
          range::within("evict.decay", static_cast<double>(decay), 0, 1),
          range::within("evict.share", static_cast<double>(share), 0, 1),
          before.empty() ? status{} : range::entries("evict.before", static_cast<double>(before.size()), call.views));
    }
  };
  /// Least similarities that are merged [heads].
  static void cut(params const& p, similarity_rows const& rows, float* least) {
    double sum = 0, count = 0;
    for (int h = 0; h < rows.heads; ++h)
      for (float const x : rows.row(h))
        if (x > -__builtin_huge_valf()) sum += static_cast<double>(x), ++count;
    float mean = count > 0 ? static_cast<float>(sum / count) : 0.0f;
    if (!p.before.empty()) {
      float& last = p.before[static_cast<cs::size_t>(rows.view)];
      if (last == last) mean = p.decay * last + p.share * mean;
      last = mean;
    }
    for (int h = 0; h < rows.heads; ++h) least[h] = mean;
  }
  /// What the cut is compared with, of the e-th evicted token of a head. Needs as many in every head to share.
  static float judged(params const& p, similarity_rows const& rows, int head, index e) {
    if (!p.together) return rows.row(head)[static_cast<cs::size_t>(e)];
    double sum = 0;
    for (int h = 0; h < rows.heads; ++h) sum += static_cast<double>(rows.row(h)[static_cast<cs::size_t>(e)]);
    return static_cast<float>(sum / rows.heads);
  }
};
}  // namespace gate
}  // namespace kvsieve::inline v0
