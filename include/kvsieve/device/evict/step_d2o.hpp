// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Steps of evict::d2o_step as launches: the kernels of selection and merging over the entries where they lie.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/device/call/check.hpp>
#include <kvsieve/device/call/scores_part.hpp>
#include <kvsieve/device/evict/compact.hpp>
#include <kvsieve/device/evict/compact_state.hpp>
#include <kvsieve/device/evict/find_nearest.hpp>
#include <kvsieve/device/evict/merge_nearest.hpp>
#include <kvsieve/device/select/select.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/step_checks.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view whose scores grow.
struct grown_scores {
  d2o_state state;
  float const* seen;  ///< [heads] rows of `stride`
  index stride;
  int tokens;
  int sink;  ///< first entries that get the largest score
};
struct grow_scores_args {
  batch<grown_scores> views;
};
/// Block (segment, head, view): adds the attention of a step; a new entry's is its first score.
struct grow_scores_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, grow_scores_args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    float* const score = view.state.row(w.y);
    float const* const seen = view.seen + w.y * view.stride;
    each_score(b, w.x, view.tokens, [&](int t) {
      float const own = t < view.state.used ? score[t] + seen[t] : seen[t];
      score[t] = t < view.sink ? __builtin_inff() : own;
    });
  }
};

/// One call of step_d2o.
template <class Launcher, class Layer>
class d2o_steps {
  using params = evict::d2o_step::params;
  using policy = evict::d2o_merge;
  using gate = typename policy::gate;
  using attention = cs::span<float const>;
  using scores = cs::mdspan<float, cs::dextents<index, 2>>;
  static_assert(!ragged_rows<typename Layer::keys_type> && !ragged_rows<typename Layer::values_type>,
                "kvsieve::step_d2o: heads have as many entries");
  static_assert(!is_encoded<typename Layer::keys_type> && !is_encoded<typename Layer::values_type>,
                "kvsieve::step_d2o on the device merges rows of elements: give it those, or step on the host");
  static_assert(walks<Layer>, "kvsieve on the device walks rows by strides or through one table of pages");

 public:
  d2o_steps(Launcher const& on, cs::span<Layer const> layers, cs::span<attention const> seen, params const& p,
            cs::span<d2o_state> states)
      : on_(on), layers_(layers), seen_(seen), p_(p), states_(states) {}

  /// Bytes of device memory; 0 for arguments that run() refuses.
  [[nodiscard]] std::size_t bytes() const {
    if (!check()) return 0;
    arena counting;
    (void)carve(counting);
    return counting.used();
  }
  [[nodiscard]] status run(std::span<std::byte> workspace) const {
    if (status const s = check(); !s) return s;
    if (status const s = check::workspace(workspace, bytes()); !s) return s;
    if (status const s = check_reach(workspace.data()); !s) return s;
    arena a(workspace);
    memory const m = carve(a);
    grow_scores_args grow{};
    status s = launch_views<grow_scores_body>(on_, views(), heads(), 1, grow, [&](int v, grown_scores& part) {
      part = {states_[at(v)], seen_[at(v)].data(), score_stride(tokens(v)), tokens(v), leaving(v) > 0 ? p_.sink : 0};
      return pieces(tokens(v), segment_scores);
    });
    if (s && most_leaving() > 0) s = shrink(m);
    if (!s) return s;
    for (int v = 0; v < views(); ++v) states_[at(v)].used = leaving(v) > 0 ? stay() : tokens(v);
    return {};
  }

 private:
  struct memory {
    int* kept = nullptr;  ///< [views, heads, stay]
    merge_memory rows;    ///< of all views
  };

  [[nodiscard]] static std::size_t at(int v) { return static_cast<std::size_t>(v); }
  [[nodiscard]] int views() const { return static_cast<int>(layers_.size()); }
  [[nodiscard]] int heads() const { return layers_[0].heads(); }
  [[nodiscard]] int tokens(int v) const { return layers_[at(v)].tokens(); }
  [[nodiscard]] int stay() const { return p_.heavy + p_.recent; }
  [[nodiscard]] int leaving(int v) const { return tokens(v) > stay() ? tokens(v) - stay() : 0; }
  [[nodiscard]] int most_leaving() const {
    int most = 0;
    for (int v = 0; v < views(); ++v) most = most < leaving(v) ? leaving(v) : most;
    return most;
  }

  [[nodiscard]] status check() const {
    if (status const s = check::d2o_step(layers_, seen_, p_, states_); !s) return s;
    for (int v = 0; v < views(); ++v) {
      if (status const s = readable(layers_[at(v)].keys, "keys", v); !s) return s;
      if (status const s = readable(layers_[at(v)].values, "values", v); !s) return s;
      // The cuts of all views are one launch, which looks a threshold up by the number of its view.
      if (states_[at(v)].stored == nullptr)
        return fail(errc::bad_pointer, "state.stored", 0, "must not be null on the device;", 0, v);
      if (states_[at(v)].stored != states_[0].stored + v)
        return fail(errc::bad_pointer, "state.stored", static_cast<double>(states_[at(v)].stored - states_[0].stored),
                    "floats behind that of the first view; on the device they lie one behind another, and it must be",
                    v, v);
    }
    return {};
  }
  [[nodiscard]] status check_reach(void const* workspace) const {
    status s = within_reach(on_, workspace, "workspace");
    for (int v = 0; s && v < views(); ++v) {
      s = layer_within_reach(on_, layers_[at(v)], "keys", "values", v);
      for (void const* const p :
           {static_cast<void const*>(states_[at(v)].score), static_cast<void const*>(states_[at(v)].stored)})
        if (s) s = within_reach(on_, p, "state", v);
      if (s) s = within_reach(on_, seen_[at(v)].data(), "attention", v);
    }
    return s;
  }

  [[nodiscard]] memory carve(arena& a) const {
    auto const size = [](index n) { return static_cast<std::size_t>(n); };
    index const rows = index{views()} * heads();
    index entries = 0;
    for (int v = 0; v < views(); ++v) entries += index{tokens(v)} * heads();
    if (most_leaving() == 0) entries = 0;
    memory m;
    m.kept = a.take<int>(size(rows * (entries > 0 ? stay() : 0)));
    m.rows.evicted = a.take<int>(size(entries));
    m.rows.key_square = a.take<float>(size(entries));
    m.rows.value_square = a.take<float>(size(entries));
    m.rows.target = a.take<int>(size(entries));
    m.rows.similarity = a.take<float>(size(entries));
    m.rows.source = a.take<int>(size(entries));
    m.rows.end = a.take<unsigned>(size(entries > 0 ? entries + rows : 0));
    m.rows.least = a.take<float>(size(rows));
    return m;
  }
  [[nodiscard]] kept_lists lists(memory const& m, int v) const {
    return {m.kept + index{v} * heads() * stay(), stay(), nullptr, stay()};
  }
  void describe(memory const& m, int v, merge_part<Layer>& part) const {
    index entries = 0;
    for (int u = 0; u < v; ++u) entries += index{tokens(u)} * heads();
    index const row = index{v} * heads();
    part = {layers_[at(v)].keys, layers_[at(v)].values, lists(m, v), nullptr, 0, row, heads(), tokens(v), {}};
    merge_memory const& r = m.rows;
    part.memory = {
        r.evicted + entries,    r.key_square + entries, r.value_square + entries, nullptr,       r.target + entries,
        r.similarity + entries, r.source + entries,     r.end + entries + row,    r.least + row, nullptr};
  }
  /// Launches a body over the views that lose entries; blocks(part): along x.
  template <class Body, class Numbers, class Blocks>
  [[nodiscard]] status launch(memory const& m, int y, int z, Numbers const& numbers, Blocks const& blocks) const {
    typename Body::args args{};
    args.params = numbers;
    return each_run([&](int first, int last) {
      return launch_views<Body>(on_, last - first, y, z, args, [&](int i, merge_part<Layer>& part) {
        describe(m, first + i, part);
        return blocks(part);
      });
    });
  }
  /// Calls f(first, last) for runs of views that lose entries.
  template <class F>
  [[nodiscard]] status each_run(F const& f) const {
    for (int first = 0; first < views();) {
      int last = first;
      while (last < views() && leaving(last) > 0) ++last;
      if (last > first)
        if (status const s = f(first, last); !s) return s;
      first = last + 1;
    }
    return {};
  }

  [[nodiscard]] status shrink(memory const& m) const {
    select_args choose{};
    status s = launch_views<select_body>(on_, views(), heads(), 1, choose, [&](int v, select_part& part) {
      int const n = tokens(v);
      part = {states_[at(v)].score,
              m.kept + index{v} * heads() * stay(),
              states_[at(v)].capacity,
              stay(),
              n,
              stay(),
              0,
              p_.recent,
              partition{0, n, 1}};
      part.marks = false;
      return leaving(v) > 0 ? 1 : 0;
    });
    auto const tokens_of_part = [](auto const& part) { return pieces(part.tokens, merge_tokens); };
    auto const once = [](auto const&) { return 1; };
    if (s) s = launch<list_evicted_body<Layer>>(m, heads(), 1, no_params{}, tokens_of_part);
    if (s) s = launch<square_rows_body<Layer>>(m, heads(), 2, no_params{}, tokens_of_part);
    if (s)
      s = launch<find_by_product_body<typename policy::nearest, Layer>>(
          m, heads(), 1, no_params{},
          [](auto const& part) { return pieces(part.tokens, tile_shape<Launcher::threads>::rows); });
    typename gate::params const cut{p_.decay, p_.share, p_.together, {states_[0].stored, at(views())}};
    if (s) s = launch<cut_similarities_body<gate, Layer>>(m, 1, 1, cut, once);
    if (s) s = launch<gather_sources_body<policy, Layer>>(m, heads(), 1, cut, once);
    if (s) s = merge(m);
    return s ? move(m) : s;
  }
  [[nodiscard]] status merge(memory const& m) const {
    using target = merged_in_place<Layer>;
    using body = write_merged_body<policy, Layer, target>;
    typename body::args args{};
    return each_run([&](int first, int last) {
      return launch_views<body>(on_, last - first, heads(), 1, args,
                                [&](int i, merge_target_part<Layer, target>& part) {
                                  describe(m, first + i, part.from);
                                  part.keys = part.from.keys;
                                  part.values = part.from.values;
                                  part.bias = {};
                                  return pieces(stay(), merged_rows_of_block);
                                });
    });
  }
  /// What stays moves to the front, rows and scores.
  [[nodiscard]] status move(memory const& m) const {
    move_args<Layer> args{};
    status s = launch_views<move_body<Layer>>(on_, views(), heads(), 2, args, [&](int v, move_part<Layer>& part) {
      part = {layers_[at(v)].keys, layers_[at(v)].values, lists(m, v)};
      if (leaving(v) == 0) part.kept.most = 0;
      return leaving(v) > 0 ? 1 : 0;
    });
    for (int v = 0; s && v < views(); ++v)
      if (leaving(v) > 0)
        s = on_.template launch<move_state_body<scores>>(
            grid{1, heads(), 1},
            move_state_args<scores>{scores(states_[at(v)].score, heads(), states_[at(v)].capacity), lists(m, v)});
    return s;
  }

  Launcher const& on_;
  cs::span<Layer const> layers_;
  cs::span<attention const> seen_;
  params const& p_;
  cs::span<d2o_state> states_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
