// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compression while the layers of a prompt arrive, as launches: host::cascade on the device, in two steps, since how
// many tokens stay follows from scores that lie there.
#pragma once
#include <kvsieve/device/plan/scoring.hpp>
#include <kvsieve/online/cascade_state.hpp>

namespace kvsieve::inline v0 {
namespace device {

struct copy_statistics_args {
  double const* from;
  double* to;
  int count;
};
/// Block (0, 0, 0): what was measured of a layer.
struct copy_statistics_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, copy_statistics_args const& a, work, shared<Block>&) {
    for (int i = b.rank(); i < a.count; i += Block::threads) a.to[i] = a.from[i];
  }
};

/// One layer whose scores shrink.
struct shrunk_scores {
  float const* from;  ///< [heads] rows of `stride`
  float* to;          ///< [heads] rows of `shorter`
  index stride, shorter;
  kept_lists kept;
};
struct shrink_scores_args {
  batch<shrunk_scores> views;
};
/// Block (segment of kept tokens, head, view): their scores, in other memory.
struct shrink_scores_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, shrink_scores_args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const* const list = view.kept.of(w.y);
    each_score(b, w.x, view.kept.count(w.y),
               [&](int i) { view.to[w.y * view.shorter + i] = view.from[w.y * view.stride + list[i]]; });
  }
};

/// One sequence whose layers arrive one after another, as host::cascade, with scores in device memory:
///
///     for (each layer) {
///       auto const scores = score_tokens<cake<>>(on, layer, queries, params, memory);
///       auto const plan = c.add(on, scores, workspace);              // an open_plan over views 0 ... this one
///       apply<cake<>>(on, plan, views);
///       auto const counted = copy_offsets(on, plan, offset);         // and wait for the stream, as often as a layer
///       c.settle(on, counted);                                       // then each view has counted.count(view) rows
///     }
///
/// The next layer's scores may be made before the wait. Trivially copyable; the state is the caller's memory.
template <policy_of<stages::budget> Budget, policy_of<stages::select> Select = select::top_k>
class cascade : public cascade_state<Budget, Select> {
  using base = cascade_state<Budget, Select>;
  using chosen = chosen_by<Budget, Select>;
  using base::budget_, base::heads_, base::known_, base::measured_, base::offset_, base::seen_, base::select_,
      base::state_, base::statistics, base::store_;

 public:
  using typename base::budget_params;  ///< `layers` of the model has to be given; `prompt` is filled in
  using typename base::select_params;  ///< no white list

  /// Bytes of both parts of the state for layers of `heads` KV heads and `tokens` tokens; 0 when it would be refused.
  [[nodiscard]] static workspace_size state_bytes(budget_params const& budget, select_params const& select, int heads,
                                                  int tokens) noexcept {
    cascade c(budget, select, heads, tokens);
    if (!c.state_) return {};
    arena device, host;
    c.carve(device, host);
    return {device.used(), host.used()};
  }

  /// A sequence of which no layer has come. What is wrong is in state().
  cascade(budget_params const& budget, select_params const& select, int heads, int tokens,
          workspace const& memory) noexcept
      : cascade(budget, select, heads, tokens) {
    if (state_) state_ = fits(memory, state_bytes(budget, select, heads, tokens));
    if (!state_) return;
    arena device(memory.device), host(memory.host);
    carve(device, host);
  }

  /// Bytes of both parts of the workspace that the next add() needs; 0 when it would be refused.
  template <class Launcher>
  [[nodiscard]] workspace_size workspace_bytes(Launcher const& on) const noexcept {
    if (!state_ || waits_ || known_ >= budget_.layers) return {};
    seen_[known_] = {budget_.prompt, {}, {}};
    token_scores const all = this->with_next();
    return choosing<Budget, Select, Launcher>(on, all, budget_, select_).bytes();
  }

  /// The next layer has come: `layer` are its scores, one view, in device memory. Returns a plan over all layers so
  /// far, the next one last, whose indices are rows as they lie there now.
  template <class Launcher>
  [[nodiscard]] plan_of<chosen> add(Launcher const& on, token_scores const& layer, workspace const& w) noexcept {
    plan_of<chosen> plan;
    if (plan.state = this->check_layer(layer); !plan) return plan;
    if (waits_) {
      plan.state = fail(errc::bad_plan, "layers", known_, "have settled; before another comes it must be", known_ + 1);
      return plan;
    }
    if (plan.state = fits(w, workspace_bytes(on)); !plan) return plan;
    int const v = known_;
    seen_[v] = layer.seen[0];
    if constexpr (statistics > 0) {
      copy_statistics_args const args{layer.statistics.value, measured_ + index{v} * statistics, statistics};
      if (plan.state = on.template launch<copy_statistics_body>(grid{}, args); !plan) return plan;
    }
    scores_args<copy_params> args{};
    plan.state = launch_views<copy_scores_body>(on, 1, heads_, 1, args, [&](int, scores_part& part) {
      part = {layer.score + layer.score_offset[0],
              store_ + offset_[v],
              score_stride(budget_.prompt),
              budget_.prompt,
              heads_,
              0,
              budget_.prompt,
              0};
      return pieces(budget_.prompt, segment_scores);
    });
    if (!plan) return plan;
    token_scores const all = this->with_next();
    plan = choosing<Budget, Select, Launcher>(on, all, budget_, select_).run(w);
    waits_ = static_cast<bool>(plan);
    return plan;
  }

  /// What add() planned has been counted: `counted` is its plan with offsets on the host (copy_offsets), which have
  /// arrived there. Where it is refused nothing is launched, and the sequence waits on.
  template <class Launcher>
  [[nodiscard]] status settle(Launcher const& on, token_plan const& counted) noexcept {
    if (!state_) return state_;
    if (!counted) return counted.state;
    if (!waits_) return fail(errc::bad_plan, "layers", known_, "have settled, and none was added behind", known_);
    if (counted.views != known_ + 1)
      return fail(errc::bad_plan, "plan.views", counted.views, "must be all layers so far,", known_ + 1);
    if (status const s = this->check_room(counted); !s) return s;
    shrink_scores_args args{};
    index from = 0, to = 0;
    status const s = launch_views<shrink_scores_body>(on, known_ + 1, heads_, 1, args, [&](int v, shrunk_scores& part) {
      index const old = score_stride(seen_[v].tokens), now = score_stride(counted.count(v));
      part = {store_ + from, other_ + to, old, now, lists_of(counted, v)};
      from += heads_ * old;
      to += heads_ * now;
      return pieces(counted.count(v), segment_scores);
    });
    if (!s) return s;
    ++known_;
    for (int v = 0; v < known_; ++v) {
      seen_[v].tokens = counted.count(v);
      offset_[v + 1] = offset_[v] + heads_ * score_stride(counted.count(v));
    }
    cs::swap(store_, other_);
    waits_ = false;
    return {};
  }

 private:
  cascade(budget_params const& budget, select_params const& select, int heads, int tokens) noexcept
      : base(budget, select, heads, tokens) {}

  void carve(arena& device, arena& host) {
    this->carve_lists(host);
    this->carve_numbers(device);
    other_ = device.template take<float>(static_cast<std::size_t>(heads_ * this->room()));
  }

  float* other_ = nullptr;  ///< as large as the store: scores move from one into the other
  bool waits_ = false;      ///< a plan was made that has not settled
};
}  // namespace device
}  // namespace kvsieve::inline v0
