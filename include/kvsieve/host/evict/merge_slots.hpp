// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of evict::zero_merge: means of consecutive evicted tokens, in front of the kept ones.
#pragma once
#include <cmath>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/host/evict/evicted.hpp>
#include <kvsieve/host/evict/merger.hpp>
#include <kvsieve/host/row/row_math.hpp>
#include <kvsieve/host/row/store_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Evict, class Layer>
class merger<merge_patterns::into_slots, Evict, Layer> {
  static constexpr int D = Layer::head_dim;
  static constexpr index pieces = 4;  ///< of a head's kept tokens, beside its slots

 public:
  using params = typename Evict::params;

  [[nodiscard]] static status check(token_plan const&, params const&) { return {}; }

  static merger carve(arena& a, token_plan const& plan, params const&, int /*workers*/) {
    merger m;
    m.evicted_ = evicted_lists::carve(a, plan);
    return m;
  }

  template <class Exec, class Target>
  void run(Exec const& on, token_plan const& plan, params const& p, cs::span<Layer const> from,
           cs::span<Target const> to, cs::span<entry_bias_target const> bias) const {
    evicted_.fill(on, plan);
    index most = 0;  // slots of a row
    index const rows = index{plan.views} * plan.heads;
    for (index r = 0; r < rows; ++r) {
      index const slots = Evict::slots(p, static_cast<int>(evicted_.count(r)));
      most = most < slots ? slots : most;
    }
    index const tasks = most + pieces;
    on.for_each(rows * tasks, [&](index task, int) {
      index const r = task / tasks, part = task % tasks;
      int const v = static_cast<int>(r / plan.heads), h = static_cast<int>(r % plan.heads);
      int const slots = Evict::slots(p, static_cast<int>(evicted_.count(r)));
      auto const& f = from[static_cast<std::size_t>(v)];
      auto const& t = to[static_cast<std::size_t>(v)];
      cs::uint8_t* const codes = bias.empty() ? nullptr : bias[static_cast<std::size_t>(v)].row(h);
      if (part < slots) {
        int const used = fill(p, f, t, h, r, slots, static_cast<int>(part));
        float const nats = p.alpha * std::log(static_cast<float>(used));
        if (codes != nullptr) codes[part] = encode_bias(nats < p.most_bias ? nats : p.most_bias);
      } else if (part >= most) {
        index const count = plan.count(v, h), piece = part - most;
        for (index k = count * piece / pieces; k < count * (piece + 1) / pieces; ++k) {
          copy(f.keys, t.keys, h, plan.kept(v, h)[static_cast<cs::size_t>(k)], slots + k);
          copy(f.values, t.values, h, plan.kept(v, h)[static_cast<cs::size_t>(k)], slots + k);
          if (codes != nullptr) codes[slots + k] = 0;
        }
      }
    });
  }

 private:
  template <class View, class To>
  static void copy(View const& from, To const& to, index head, index token, index row) {
    for (int d = 0; d < D; ++d) to(head, row, d) = from(head, token, d);
  }

  // Means of one group; returns how many tokens they are of, at least 1.
  template <class Target>
  int fill(params const&, Layer const& from, Target const& to, index head, index r, int slots, int slot) const {
    int const evicted = static_cast<int>(evicted_.count(r));
    int const begin = Evict::begin(evicted, slots, slot), end = Evict::begin(evicted, slots, slot + 1);
    int const* const list = evicted_.list(r);
    double keys[D] = {}, values[D] = {};
    int used = 0;
    for (int i = begin; i < end; ++i) {
      if (!finite(square_of(from.keys, head, list[i])) || !finite(square_of(from.values, head, list[i]))) continue;
      add(keys, from.keys, head, list[i]);
      add(values, from.values, head, list[i]);
      ++used;
    }
    if (used == 0) {
      copy(from.keys, to.keys, head, list[begin], slot);
      copy(from.values, to.values, head, list[begin], slot);
      return 1;
    }
    alignas(64) float row[D];
    for (int d = 0; d < D; ++d) row[d] = static_cast<float>(keys[d] / used);
    store_row(to.keys, head, slot, row);
    for (int d = 0; d < D; ++d) row[d] = static_cast<float>(values[d] / used);
    store_row(to.values, head, slot, row);
    return used;
  }
  template <class View>
  static void add(double* sum, View const& view, index head, index token) {
    auto const row = row_of(view, head, token);
    for (int d = 0; d < D; ++d) sum[d] += static_cast<double>(to_float(row[d]));
  }

  evicted_lists evicted_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
