// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of evict::cam: picks the candidates of each head, and adds to each kept row what the candidates before it
// spread, in their order.
#pragma once
#include <algorithm>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/host/evict/evicted.hpp>
#include <kvsieve/host/evict/merger.hpp>
#include <kvsieve/host/row/move_rows.hpp>
#include <kvsieve/host/row/row_math.hpp>
#include <kvsieve/host/row/store_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Evict, class Layer>
class merger<merge_patterns::into_followers, Evict, Layer> {
  static constexpr int D = Layer::head_dim;
  static constexpr index pieces = 8;  ///< of a head's result

 public:
  using params = typename Evict::params;

  [[nodiscard]] static status check(token_plan const& plan, params const& p) {
    return attention_rows::check(plan, p.attention);
  }

  static merger carve(arena& a, token_plan const& plan, params const&, int /*workers*/) {
    merger m;
    auto const n = static_cast<std::size_t>(evicted_lists::total(plan));
    m.evicted_ = evicted_lists::carve(a, plan);
    m.count_ = a.take<int>(static_cast<std::size_t>(index{plan.views} * plan.heads));
    m.candidate_ = a.take<int>(n);
    m.first_ = a.take<int>(n);
    m.factor_ = a.take<float>(n);
    return m;
  }

  template <class Exec, class Target>
  void run(Exec const& on, token_plan const& plan, params const& p, cs::span<Layer const> from,
           cs::span<Target const> to, cs::span<entry_bias_target const> bias) const {
    index const rows = index{plan.views} * plan.heads;
    evicted_.fill(on, plan);
    on.for_each(rows, [&](index r, int) { pick(plan, p, from[static_cast<std::size_t>(r / plan.heads)], r); });
    on.for_each(rows * pieces, [&](index task, int) {
      index const r = task / pieces, piece = task % pieces;
      int const v = static_cast<int>(r / plan.heads), h = static_cast<int>(r % plan.heads);
      index const count = plan.count(v, h), first = count * piece / pieces, last = count * (piece + 1) / pieces;
      write(plan, p, r, from[static_cast<std::size_t>(v)], to[static_cast<std::size_t>(v)], first, last);
      if (bias.empty()) return;
      cs::uint8_t* const codes = bias[static_cast<std::size_t>(v)].row(h);
      for (index k = first; k < last; ++k) codes[k] = 0;
    });
  }

 private:
  // Candidates of a row, ascending, the first kept token behind each, and what its value is multiplied with.
  void pick(token_plan const& plan, params const& p, Layer const& layer, index r) const {
    int const v = static_cast<int>(r / plan.heads), h = static_cast<int>(r % plan.heads);
    auto const scores = plan.scores(v, h);
    auto const kept = plan.kept(v, h);
    index const at = evicted_.offset()[r], evicted = evicted_.count(r);
    int* const list = candidate_ + at;
    for (index e = 0; e < evicted; ++e) list[e] = evicted_.list(r)[e];
    index const count = p.candidates < evicted ? p.candidates : evicted;
    std::nth_element(list, list + count, list + evicted, [&](int a, int b) {
      unsigned const x = ordered(scores[static_cast<cs::size_t>(a)]), y = ordered(scores[static_cast<cs::size_t>(b)]);
      return x != y ? x > y : a > b;
    });
    std::sort(list, list + count);
    count_[r] = static_cast<int>(count);
    attention_rows const attention(plan, p.attention, r);
    index next = 0;
    for (index i = 0; i < count; ++i) {
      while (next < static_cast<index>(kept.size()) && kept[static_cast<cs::size_t>(next)] < list[i]) ++next;
      index const left = static_cast<index>(kept.size()) - next, n = left < p.followers ? left : p.followers;
      double sum = 0;
      for (index j = 0; j < n; ++j) sum += static_cast<double>(attention[kept[static_cast<cs::size_t>(next + j)]]);
      float const mean = static_cast<float>(sum / static_cast<double>(n));
      float const probability = n == 0 ? 0.0f : evict::detail::ratio_of(attention[list[i]], mean);
      float const share = evict::detail::share_spread(probability, p.drawn, p.seed, r, list[i]);
      first_[at + i] = static_cast<int>(next);
      factor_[at + i] = share > 0 && finite(square_of(layer.values, h, list[i])) ? share / static_cast<float>(n) : 0.0f;
    }
  }

  template <class Target>
  void write(token_plan const& plan, params const& p, index r, Layer const& from, Target const& to, index first,
             index last) const {
    int const v = static_cast<int>(r / plan.heads), h = static_cast<int>(r % plan.heads);
    int const* const kept = plan.kept(v, h).data();
    index const at = evicted_.offset()[r];
    move_rows(from.keys, to.keys, h, kept, first, last);
    move_rows(from.values, to.values, h, kept, first, last);
    alignas(64) float values[D];
    index begin = 0, end = 0;  // candidates that spread over row k: first_ in (k - followers, k]
    for (index k = first; k < last; ++k) {
      while (end < count_[r] && first_[at + end] <= k) ++end;
      while (begin < end && first_[at + begin] + index{p.followers} <= k) ++begin;
      bool any = false;
      for (index i = begin; i < end; ++i) {
        if (!(factor_[at + i] > 0)) continue;
        if (!any)
          for (int d = 0; d < D; ++d) values[d] = 0.0f;
        if (!any) add_row(values, 1.0f, from.values, h, kept[k]);
        any = true;
        add_row(values, factor_[at + i], from.values, h, candidate_[at + i]);
      }
      if (any) store_row(to.values, h, k, values);
    }
  }

  evicted_lists evicted_;
  int* count_ = nullptr;                         ///< candidates, by row
  int *candidate_ = nullptr, *first_ = nullptr;  ///< by evicted token
  float* factor_ = nullptr;                      ///< by evicted token
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
