// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of the gates of evict::merge: the least similarity that each head merges.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/device/evict/merge_rows.hpp>
#include <kvsieve/evict/gate.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Block (0, head, view), or (0, 0, view) of a gate that heads share: least similarities. A mean is of sums that
/// threads have, in double, joined in their order.
template <class Gate, class Layer>
struct cut_similarities_body {
  static constexpr bool quantile = cs::is_same_v<Gate, gate::fraction>, mean = cs::is_same_v<Gate, gate::running_mean>;
  static_assert(
      quantile || mean || cs::is_same_v<Gate, gate::none> || cs::is_same_v<Gate, gate::threshold>,
      "kvsieve::apply on the device knows kvsieve::gate::none, threshold, fraction and running_mean: use one of "
      "them, or merge on the host");
  using args = merge_args<merge_part<Layer>, typename Gate::params>;

  template <block Block>
  struct shared {
    unsigned bin[256];
    unsigned prefix, rank;
    double sum[mean ? Block::threads : 1], count[mean ? Block::threads : 1];
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, [[maybe_unused]] shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const least = view.memory.least;
    if constexpr (quantile) {
      float const cut = cut_of(b, a.params, view.memory.similarity + view.at(w.y), view.evicted(w.y), s);
      if (b.rank() == 0) least[w.y] = cut;
    } else if constexpr (mean) {
      running(b, a, view, view.row / view.heads, s);
    } else if (b.rank() == 0) {
      if constexpr (cs::is_same_v<Gate, gate::threshold>)
        least[w.y] = a.params.threshold;
      else
        least[w.y] = -__builtin_inff();
    }
  }

 private:
  KVSIEVE_HD static float number_of(unsigned key) {  // of `ordered`
    return cs::bit_cast<float>((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
  }

  template <block Block>
  KVSIEVE_HD static float cut_of(Block& b, typename Gate::params const& p, float const* row, int n, shared<Block>& s) {
    constexpr float inf = __builtin_inff();
    if (!(p.fraction < 1) || n == 0) return p.threshold;
    auto const key_at = [&](int i) { return ordered(row[i] >= p.threshold ? row[i] : -inf); };
    double const place = (1 - p.fraction) * static_cast<double>(n - 1);
    int const below = static_cast<int>(place);
    // The number of that rank, eight bits at a time from the highest.
    if (b.rank() == 0) {
      s.prefix = 0;
      s.rank = static_cast<unsigned>(below);
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
      for (int i = b.rank(); i < 256; i += Block::threads) s.bin[i] = 0;
      b.sync();
      unsigned const known = shift == 24 ? 0u : ~0u << (shift + 8);
      for (int i = b.rank(); i < n; i += Block::threads)
        if (unsigned const key = key_at(i); (key & known) == s.prefix) b.atomic_add(s.bin[key >> shift & 255u], 1u);
      b.sync();
      if (b.rank() == 0) {
        unsigned bin = 0;
        while (s.rank >= s.bin[bin]) s.rank -= s.bin[bin++];
        s.prefix |= bin << shift;
      }
      b.sync();
    }
    unsigned const key = s.prefix;
    bool const another = s.rank + 1 < s.bin[key & 255u];  // of the same number behind it
    float const low = number_of(key);
    float next = -inf;
    for (int i = b.rank(); i < n; i += Block::threads)
      if (unsigned const x = key_at(i); x > key && -number_of(x) > next) next = -number_of(x);
    next = b.all_max(next, s.reduce);
    float const high = below + 1 >= n || another ? low : -next;
    float const cut = low + static_cast<float>(place - static_cast<double>(below)) * (high - low);
    if (low == -inf) return p.as_source ? inf : p.threshold;
    return cut < p.threshold ? p.threshold : cut;
  }

  template <block Block>
  KVSIEVE_HD static void running(Block& b, args const& a, merge_part<Layer> const& view, index number,
                                 shared<Block>& s) {
    double sum = 0, count = 0;
    for (int h = 0; h < view.heads; ++h) {
      float const* const row = view.memory.similarity + view.at(h);
      for (int e = b.rank(); e < view.evicted(h); e += Block::threads) {
        if (!(row[e] > -__builtin_inff())) continue;
        sum += static_cast<double>(row[e]);
        count += 1;
      }
    }
    s.sum[b.rank()] = sum;
    s.count[b.rank()] = count;
    b.sync();
    if (b.rank() != 0) return;
    for (int i = 1; i < Block::threads; ++i) {
      sum += s.sum[i];
      count += s.count[i];
    }
    float mean_of = count > 0 ? static_cast<float>(sum / count) : 0.0f;
    if (!a.params.before.empty()) {
      float& last = a.params.before[static_cast<cs::size_t>(number)];
      if (last == last) mean_of = a.params.decay * last + a.params.share * mean_of;
      last = mean_of;
    }
    for (int h = 0; h < view.heads; ++h) view.memory.least[h] = mean_of;
  }
};

/// What a gate compares with the cut, of the e-th evicted token of a head.
template <class Gate, class Layer>
[[nodiscard]] KVSIEVE_HD float judged(typename Gate::params const& p, merge_part<Layer> const& view, int head, int e) {
  if constexpr (Gate::shares) {
    if (p.together) {
      double sum = 0;
      for (int h = 0; h < view.heads; ++h) sum += static_cast<double>(view.memory.similarity[view.at(h) + e]);
      return static_cast<float>(sum / view.heads);
    }
  }
  return view.memory.similarity[view.at(head) + e];
}
}  // namespace device
}  // namespace kvsieve::inline v0
