// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Drives evict::d2o_step in place: chooses, searches, merges, and moves what stays together.
#pragma once
#include <cstddef>
#include <span>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/parts.hpp>
#include <kvsieve/evict/gate.hpp>
#include <kvsieve/evict/nearest.hpp>
#include <kvsieve/evict/step_checks.hpp>
#include <kvsieve/host/evict/nearest_kept.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/move_rows.hpp>
#include <kvsieve/host/row/row_math.hpp>
#include <kvsieve/host/row/store_row.hpp>
#include <kvsieve/host/select/top_k.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Steps of some views.
template <class Layer>
class d2o_steps {
  static constexpr int D = Layer::head_dim;
  static_assert(!ragged_rows<typename Layer::keys_type> && !ragged_rows<typename Layer::values_type>,
                "kvsieve::step_d2o: heads have as many entries");
  using params = evict::d2o_step::params;
  using attention = cs::span<float const>;
  using search = nearest_kept<nearest::cosine, typename Layer::keys_type>;

  /// Of the heads of one view that loses entries.
  struct lists {
    int *kept = nullptr, *leaving = nullptr;  ///< [heads, stay], [heads, leave]
    int *target = nullptr, *next = nullptr;   ///< [heads, leave]
    int* first = nullptr;                     ///< [heads, stay] the first entry that merges into one; -1: none
    float* similarity = nullptr;              ///< [heads, leave]
    float* least = nullptr;                   ///< [heads]
    index* offset = nullptr;                  ///< [heads + 1] into similarity
    int stay = 0, leave = 0;
  };

 public:
  d2o_steps(cs::span<Layer const> layers, cs::span<attention const> seen, params const& p, cs::span<d2o_state> states)
      : layers_(layers), seen_(seen), p_(p), states_(states) {}

  template <class Exec>
  [[nodiscard]] std::size_t bytes(Exec const& on) const {
    return check() ? count_bytes(on) : 0;
  }
  template <class Exec>
  [[nodiscard]] status run(Exec const& on, std::span<std::byte> workspace) const {
    if (status const s = check(); !s) return s;
    if (status const s = check::workspace(workspace, count_bytes(on)); !s) return s;
    index const heads = states_[0].heads;
    on.for_each(static_cast<index>(states_.size()) * heads, [&](index r, int) { add(r / heads, r % heads); });
    arena a(workspace);
    auto const scratch = workers::carve(a, on.workers(), longest());
    for (std::size_t v = 0; v < states_.size(); ++v) {
      states_[v].used = layers_[v].tokens();
      if (leaving(v) == 0) continue;
      arena here = a;  // views use the same memory in turn
      shrink(on, v, carve(here, v), scratch);
      states_[v].used = stay();
    }
    return {};
  }

 private:
  struct workers {
    top_k_scratch top;
    float* search_room = nullptr;
    index each = 0;
    static workers carve(arena& a, int count, index longest) {
      workers w;
      index const keys = round_up<index>(longest, 16) + 16;
      w.top.key = a.take<unsigned>(static_cast<std::size_t>(keys * count));
      w.top.candidate = a.take<unsigned>(static_cast<std::size_t>(keys * count));
      w.each = keys;
      w.search_room = a.take<float>(static_cast<std::size_t>(round_up<index>(search::room, 16) * count));
      return w;
    }
    [[nodiscard]] top_k_scratch of(int worker) const {
      return {top.key + each * worker, top.candidate + each * worker};
    }
    [[nodiscard]] float* room(int worker) const { return search_room + round_up<index>(search::room, 16) * worker; }
  };

  [[nodiscard]] int stay() const { return p_.heavy + p_.recent; }
  [[nodiscard]] int leaving(std::size_t v) const {
    int const n = layers_[v].tokens();
    return n > stay() ? n - stay() : 0;
  }
  [[nodiscard]] index longest() const {
    index most = 0;
    for (auto const& l : layers_) most = most < l.tokens() ? l.tokens() : most;
    return most;
  }
  [[nodiscard]] lists carve(arena& a, std::size_t v) const {
    auto const n = [&](int of_head) {
      return static_cast<std::size_t>(layers_[v].heads()) * static_cast<std::size_t>(of_head);
    };
    lists l;
    l.stay = stay();
    l.leave = leaving(v);
    l.kept = a.take<int>(n(l.stay));
    l.leaving = a.take<int>(n(l.leave));
    l.target = a.take<int>(n(l.leave));
    l.next = a.take<int>(n(l.leave));
    l.first = a.take<int>(n(l.stay));
    l.similarity = a.take<float>(n(l.leave));
    l.least = a.take<float>(n(1));
    l.offset = a.take<index>(n(1) + 1);
    return l;
  }
  template <class Exec>
  [[nodiscard]] std::size_t count_bytes(Exec const& on) const {
    arena a;
    (void)workers::carve(a, on.workers(), longest());
    std::size_t most = a.used();
    for (std::size_t v = 0; v < layers_.size(); ++v) {
      arena here = a;
      if (leaving(v) > 0) (void)carve(here, v);
      most = most < here.used() ? here.used() : most;
    }
    return most;
  }

  [[nodiscard]] status check() const { return check::d2o_step(layers_, seen_, p_, states_); }

  void add(index v, index h) const {
    d2o_state const& s = states_[static_cast<std::size_t>(v)];
    int const tokens = layers_[static_cast<std::size_t>(v)].tokens();
    float const* const seen = seen_[static_cast<std::size_t>(v)].data() + h * score_stride(tokens);
    float* const score = s.row(static_cast<int>(h));
    for (int t = 0; t < tokens; ++t) score[t] = t < s.used ? score[t] + seen[t] : seen[t];
  }

  template <class Exec>
  void shrink(Exec const& on, std::size_t v, lists const& l, workers const& scratch) const {
    index const heads = states_[v].heads;
    for (index h = 0; h <= heads; ++h) l.offset[h] = h * l.leave;
    on.for_each(heads, [&](index h, int worker) { choose(v, h, l, scratch, worker); });
    gate::running_mean::params const gate{p_.decay, p_.share, p_.together, {&states_[v].threshold, 1}};
    gate::similarity_rows const rows{l.similarity, l.offset, static_cast<int>(heads), 0, nullptr};
    gate::running_mean::cut(gate, rows, l.least);
    on.for_each(heads, [&](index h, int) { merge(v, static_cast<int>(h), l, gate, rows); });
  }

  // Which entries of a head stay, and what the others are nearest to.
  void choose(std::size_t v, index h, lists const& l, workers const& scratch, int worker) const {
    auto const& layer = layers_[v];
    int const tokens = layer.tokens(), early = tokens - p_.recent;
    float* const score = states_[v].row(static_cast<int>(h));
    int *const kept = l.kept + h * l.stay, *const leaving = l.leaving + h * l.leave;
    for (int t = 0; t < p_.sink && t < tokens; ++t) score[t] = __builtin_huge_valf();
    top_k(score, early, p_.heavy, forced_set{early}, 0, kept, scratch.of(worker));
    for (int i = 0; i < p_.recent; ++i) kept[p_.heavy + i] = early + i;
    for (int t = 0, k = 0, e = 0; t < tokens; ++t) {
      if (k < l.stay && kept[k] == t)
        ++k;
      else
        leaving[e++] = t;
    }
    for (index e = 0; e < l.leave; e += search::rows) {
      index const left = l.leave - e;
      search::find(layer.keys, h, kept, l.stay, leaving + e, left < search::rows ? left : search::rows,
                   scratch.room(worker), l.target + h * l.leave + e, l.similarity + h * l.leave + e);
    }
  }

  void merge(std::size_t v, int h, lists const& l, gate::running_mean::params const& gate,
             gate::similarity_rows const& rows) const {
    auto const& layer = layers_[v];
    index const at = index{h} * l.leave;
    int* const first = l.first + index{h} * l.stay;
    int const* const kept = l.kept + index{h} * l.stay;
    for (int k = 0; k < l.stay; ++k) first[k] = -1;
    for (int e = l.leave; e-- > 0;) {
      int const token = l.leaving[at + e], to = l.target[at + e];
      if (to < 0 || !(gate::running_mean::judged(gate, rows, h, e) >= l.least[h]) ||
          !finite(square_of(layer.keys, h, token)) || !finite(square_of(layer.values, h, token)))
        continue;
      l.next[at + e] = first[to];
      first[to] = e;
    }
    for (int k = 0; k < l.stay; ++k) {
      if (first[k] < 0) continue;
      alignas(64) float key[D] = {}, value[D] = {};
      float divisor = 1;
      for (int e = first[k]; e >= 0; e = l.next[at + e]) {
        add_row(key, l.similarity[at + e], layer.keys, h, l.leaving[at + e]);
        add_row(value, l.similarity[at + e], layer.values, h, l.leaving[at + e]);
        divisor += 1;
      }
      finish(key, divisor, layer.keys, h, kept[k]);
      finish(value, divisor, layer.values, h, kept[k]);
    }
    move_rows(layer.keys, layer.keys, h, kept, 0, l.stay);
    move_rows(layer.values, layer.values, h, kept, 0, l.stay);
    float* const score = states_[v].row(h);
    for (int k = 0; k < l.stay; ++k) score[k] = score[kept[k]];
  }
  template <class View>
  static void finish(float* sum, float divisor, View const& view, index head, index token) {
    add_row(sum, 1.0f, view, head, token);
    for (int d = 0; d < D; d += fragment::lanes) store(sum + d, load(sum + d) / fragment(divisor));
    store_row(view, head, token, sum);
  }

  cs::span<Layer const> layers_;
  cs::span<attention const> seen_;
  params const& p_;
  cs::span<d2o_state> states_;
};
}  // namespace host::inline KVSIEVE_TARGET

/// Bytes of workspace that step_d2o needs with the same arguments; aligned to 64 bytes. 0 when it would refuse them.
template <host::executor Exec, kv_layer_view Layer>
[[nodiscard]] std::size_t step_d2o_workspace_bytes(Exec const& on, cs::span<Layer const> layers,
                                                   cs::span<cs::span<float const> const> attention,
                                                   evict::d2o_step::params const& params,
                                                   cs::span<d2o_state> states) noexcept {
  return host::d2o_steps<Layer>(layers, attention, params, states).bytes(on);
}
/// A step of D2O (evict::d2o_step), behind the attention of the new tokens. Afterwards the first state.used rows of
/// each head are its entries; the next new one belongs behind them.
/// @param on         where to run
/// @param layers     views [Hkv, N, D] of all entries, new ones last; changed in place
/// @param attention  for each view [Hkv, score_stride(N)], as observed_scores writes it: the probabilities of the
///                   step's queries, summed over them and the group; of the first step, of all queries so far
/// @param params     its numbers
/// @param states     of each view, of fewer than N entries; changed
/// @param workspace  at least step_d2o_workspace_bytes(...) bytes, aligned to 64
/// @returns ok, or what was refused, and then nothing was written
template <host::executor Exec, kv_layer_view Layer>
[[nodiscard]] status step_d2o(Exec const& on, cs::span<Layer const> layers,
                              cs::span<cs::span<float const> const> attention, evict::d2o_step::params const& params,
                              cs::span<d2o_state> states, std::span<std::byte> workspace) noexcept {
  return host::d2o_steps<Layer>(layers, attention, params, states).run(on, workspace);
}
}  // namespace kvsieve::inline v0
