// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of evict::cam_prefill: one pass over the tokens of a head, with the sum of what the last ones spread.
#pragma once
#include <cmath>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/host/evict/evicted.hpp>
#include <kvsieve/host/evict/merger.hpp>
#include <kvsieve/host/row/move_rows.hpp>
#include <kvsieve/host/row/store_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Evict, class Layer>
class merger<merge_patterns::into_all, Evict, Layer> {
  static constexpr int D = Layer::head_dim;

 public:
  using params = typename Evict::params;

  [[nodiscard]] static status check(token_plan const& plan, params const& p) {
    return attention_rows::check(plan, p.attention);
  }

  static merger carve(arena& a, token_plan const& plan, params const& p, int workers) {
    index longest = 0;
    for (int v = 0; v < plan.views; ++v) longest = longest < plan.tokens(v) ? plan.tokens(v) : longest;
    merger m;
    m.window_ = p.window < longest ? p.window : longest;
    m.spread_ = a.take<double>(static_cast<std::size_t>(m.window_ * D * workers));
    return m;
  }

  template <class Exec, class Target>
  void run(Exec const& on, token_plan const& plan, params const& p, cs::span<Layer const> from,
           cs::span<Target const> to, cs::span<entry_bias_target const> bias) const {
    on.for_each(index{plan.views} * plan.heads, [&](index r, int worker) {
      int const v = static_cast<int>(r / plan.heads), h = static_cast<int>(r % plan.heads);
      auto const& f = from[static_cast<std::size_t>(v)];
      auto const& t = to[static_cast<std::size_t>(v)];
      int const count = plan.count(v, h);
      move_rows(f.keys, t.keys, h, plan.kept(v, h).data(), 0, count);
      move_rows(f.values, t.values, h, plan.kept(v, h).data(), 0, count);
      spread(plan, p, r, f, t, spread_ + window_ * D * worker);
      if (bias.empty()) return;
      cs::uint8_t* const codes = bias[static_cast<std::size_t>(v)].row(h);
      for (int k = 0; k < count; ++k) codes[k] = 0;
    });
  }

 private:
  // The sum of what the last `window` tokens spread goes along. It is of doubles, so that what is added and later taken
  // away leaves nothing.
  template <class Target>
  void spread(token_plan const& plan, params const& p, index r, Layer const& from, Target const& to,
              double* ring) const {
    int const v = static_cast<int>(r / plan.heads), h = static_cast<int>(r % plan.heads), tokens = plan.tokens(v);
    auto const kept = plan.kept(v, h);
    attention_rows const attention(plan, p.attention, r);
    int const start = static_cast<int>(std::ceil(p.start * tokens)), window = p.window;
    float first = 0;  // most of the tokens in front of `start`
    for (int t = 0; t < start; ++t) first = first < attention[t] ? attention[t] : first;
    double sum[D] = {};
    int active = 0;  // tokens in the sum that spread anything
    std::size_t next = 0;
    for (int t = start; t < tokens; ++t) {
      while (next < kept.size() && kept[next] < t) ++next;
      alignas(64) float row[D];
      auto const value = row_of(from.values, h, t);
      for (int d = 0; d < D; ++d) row[d] = static_cast<float>(static_cast<double>(to_float(value[d])) + sum[d]);
      if (active > 0 && next < kept.size() && kept[next] == t) store_row(to.values, h, static_cast<index>(next), row);
      double* const own = ring + t % window * index{D};
      if (t - window >= start) active -= add(sum, own, -1.0);
      if (active == 0)
        for (int d = 0; d < D; ++d) sum[d] = 0;
      if (t >= tokens - window) continue;
      float most = first;
      for (int u = t; u < t + window; ++u) most = most < attention[u] ? attention[u] : most;
      float share = evict::detail::share_spread(evict::detail::ratio_of(attention[t], most), p.drawn, p.seed, r, t);
      for (int d = 0; d < D; ++d) share = finite(row[d]) ? share : 0.0f;
      for (int d = 0; d < D; ++d)
        own[d] = share > 0 ? static_cast<double>(share) * static_cast<double>(row[d]) / window : 0.0;
      active += add(sum, own, 1.0);
    }
  }
  // sum += sign * row; 1 where that adds anything.
  static int add(double* sum, double const* row, double sign) {
    bool any = false;
    for (int d = 0; d < D; ++d) {
      sum[d] += sign * row[d];
      any = any || row[d] != 0;
    }
    return any ? 1 : 0;
  }

  index window_ = 1;
  double* spread_ = nullptr;  ///< [workers][window][D]
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
