// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of evict::cam_prefill: one pass over the tokens of a head, with the sum of what the last ones spread. The
// tokens of a head follow one another, so this is as long as they are; heads go side by side.
#pragma once
#include <cuda/std/cmath>

#include <kvsieve/device/evict/merge_followers.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// What such a launch works in: of each row of the call [window, D], what the last tokens spread.
struct spread_numbers {
  double* spread;
  int window;  ///< rows of it, at most the policy's
};

/// Block (0, head, view): rows of the result. A thread has channels of its own; sums are of doubles, so that what is
/// added and later taken away leaves nothing.
template <class Evict, class Layer, class Target>
struct spread_all_body {
  static constexpr int D = Layer::head_dim;
  struct numbers {
    typename Evict::params params;
    spread_numbers memory;
  };
  using args = merge_args<cam_part<Layer, Target>, numbers>;

  template <block Block>
  struct shared {
    double sum[D];
    float row[D];
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& part = a.views.part[w.z].rows;
    auto const& view = part.from;
    auto const& p = a.params.params;
    int const tokens = view.tokens, room = a.params.memory.window, keep = view.kept.count(w.y);
    int const* const kept = view.kept.of(w.y);
    double* const ring = a.params.memory.spread + (view.row + w.y) * room * D;
    for (int i = b.rank(); i < keep * D; i += Block::threads) {
      int const k = i / D, d = i % D;
      put_element(part.keys, w.y, k, d, view.keys(w.y, kept[k], d));
      put_element(part.values, w.y, k, d, view.values(w.y, kept[k], d));
      if (part.bias && d == 0) part.bias.row(w.y)[k] = 0;
    }
    attention_of_head const attention = a.views.part[w.z].attention_of(b, w.y, s.reduce);
    int const start = static_cast<int>(cs::ceil(p.start * tokens));
    float first = 0;  // most of the tokens in front of `start`
    for (int t = b.rank(); t < start; t += Block::threads) first = first < attention[t] ? attention[t] : first;
    first = b.all_max(first, s.reduce);
    for (int d = b.rank(); d < D; d += Block::threads) s.sum[d] = 0;
    int active = 0;  // tokens in the sum that spread anything
    int next = count_below(kept, keep, start);
    for (int t = start; t < tokens; ++t) {
      while (next < keep && kept[next] < t) ++next;
      bool const merged = active > 0 && next < keep && kept[next] == t;
      bool const leaves = t - p.window >= start, spreads = t < tokens - p.window;
      double* const own = ring + t % p.window * index{D};  // a window that is longer than the tokens never gets there
      float gone = 0, most = first;
      bool all_finite = true;
      for (int d = b.rank(); d < D; d += Block::threads) {
        s.row[d] = static_cast<float>(static_cast<double>(to_float(view.values(w.y, t, d))) + s.sum[d]);
        if (merged)
          put_element(part.values, w.y, next, d, from_float<element_of<typename Target::values_type>>(s.row[d]));
        all_finite = all_finite && finite(s.row[d]);
        if (!leaves) continue;
        s.sum[d] -= own[d];
        gone = own[d] != 0 ? 1.0f : gone;
      }
      if (leaves && b.all_max(gone, s.reduce) > 0) --active;
      if (active == 0)
        for (int d = b.rank(); d < D; d += Block::threads) s.sum[d] = 0;
      if (!spreads) continue;
      for (int u = t + b.rank(); u < t + p.window; u += Block::threads)
        most = most < attention[u] ? attention[u] : most;
      most = b.all_max(most, s.reduce);
      float share =
          evict::detail::share_spread(evict::detail::ratio_of(attention[t], most), p.drawn, p.seed, view.row + w.y, t);
      if (b.all_max(all_finite ? 0.0f : 1.0f, s.reduce) > 0) share = 0.0f;
      float comes = 0;
      for (int d = b.rank(); d < D; d += Block::threads) {
        own[d] = share > 0 ? static_cast<double>(share) * static_cast<double>(s.row[d]) / p.window : 0.0;
        s.sum[d] += own[d];
        comes = own[d] != 0 ? 1.0f : comes;
      }
      if (b.all_max(comes, s.reduce) > 0) ++active;
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
