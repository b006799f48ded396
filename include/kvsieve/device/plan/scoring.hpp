// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The two halves of a plan as calls of their own: scores as launches, and a choice among scores that are there.
#pragma once
#include <kvsieve/core/scores.hpp>
#include <kvsieve/device/plan/planner.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One call that scores: the arguments and the memory they get.
template <strategy C, class Launcher, class Layer, class Queries>
class scoring {
  using memory = score_memory<C>;
  static constexpr bool two_scores = C::weighs_last;
  static_assert(walks<Layer>,
                "kvsieve on the device walks rows by strides or through one table of pages: give it kvsieve::make_rows "
                "or make_paged, or score views with a table for each head on the host");

 public:
  scoring(Launcher const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
          typename C::params const& params)
      : call_{on, layers, queries, params} {}

  /// Nothing for numbers that run() refuses: sizes follow from them.
  [[nodiscard]] workspace_size bytes() const {
    if (!check_params(call_)) return {};
    arena device, host;
    token_scores s;
    (void)carve(device, host, s);
    return {device.used(), host.used()};
  }
  [[nodiscard]] token_scores run(workspace const& w) const {
    token_scores s;
    if (s.state = check_call(call_); !s) return s;
    if (s.state = fits(w, bytes()); !s) return s;
    if (s.state = within_reach(call_.on, w.device.data(), "workspace.device"); !s) return s;
    arena device(w.device), host(w.host);
    token_scores placed;
    memory const m = carve(device, host, placed);
    plan_scores<C, Launcher, Layer, Queries> const scores(call_, m);
    s.state = scores.run();
    if constexpr (two_scores)
      if (s) s.state = scores.weigh_beside(placed.weighed);
    return s ? placed : s;
  }

  /// Floats of device memory that parts of the queries are folded into; 0 for arguments that run_part() refuses.
  [[nodiscard]] std::size_t state_floats() const {
    if (!check_call(call_, 0)) return 0;
    return static_cast<std::size_t>(plan_scores<C, Launcher, Layer, Queries>::state_floats(call_));
  }
  /// Folds a part of the queries; the last one gives scores.
  [[nodiscard]] token_scores run_part(query_part const& part, workspace const& w) const {
    token_scores s;
    if (part.first < 0) s.state = fail(errc::bad_params, "part.first", part.first, "must be at least", 0);
    if (s) s.state = check_call(call_, part.first);
    if (!s) return s;
    std::size_t const floats = state_floats();
    if (part.state.size() < floats)
      s.state = fail(errc::workspace_too_small, "part.state", static_cast<double>(part.state.size()),
                     "floats; it must be at least", static_cast<double>(floats));
    if (s) s.state = fits(w, bytes());
    if (s) s.state = within_reach(call_.on, part.state.data(), "part.state");
    if (s) s.state = within_reach(call_.on, w.device.data(), "workspace.device");
    if (!s) return s;
    arena device(w.device), host(w.host);
    token_scores placed;
    memory const m = carve(device, host, placed);
    plan_scores<C, Launcher, Layer, Queries> const scores(call_, m);
    bool ended = false;
    s.state = scores.run_part(part.state.data(), part.first, ended);
    if constexpr (two_scores)
      if (s && ended) s.state = scores.weigh_beside(placed.weighed);
    return s && ended ? placed : s;
  }

 private:
  [[nodiscard]] memory carve(arena& device, arena& host, token_scores& s) const {
    auto const views = static_cast<std::size_t>(call_.views());
    auto* const seen = host.take<scored_view>(views);
    auto* const offset = host.take<index>(views);
    index floats = 0;
    for (int v = 0; v < call_.views(); ++v) {
      if (seen != nullptr) {
        seen[v] = call_.seen(v);
        offset[v] = floats;
      }
      floats += call_.heads() * score_stride(call_.cached(v));
    }
    s.shape = shape_of(call_.layers);
    s.seen = seen;
    s.score_offset = offset;
    s.score = device.take<float>(static_cast<std::size_t>(floats));
    if constexpr (two_scores) s.weighed = device.take<float>(static_cast<std::size_t>(floats));
    memory const m = memory::carve(
        device, call_.layers, call_.params, [this](std::size_t v) { return call_.query_heads(v); }, s.score, offset);
    if constexpr (memory::gathers) s.statistics = {m.statistic, statistics_of<typename C::aggregate_policy>};
    return m;
  }

  plan_call<C, Launcher, Layer, Queries> call_;
};

/// Stands for the score of a strategy whose scores are given.
struct given_scores : policy_base<stages::score> {
  using pattern = patterns::by_position;           ///< it walks nothing
  static constexpr bool brings_statistics = true;  ///< numbers of views are given as well
  static constexpr bool brings_partitions = true;  ///< and the partitions that they are in
  struct params {
    template <class Self, class Visit>
    static constexpr void each(Self&, Visit&&) {}
  };
};

/// Stands for the weight of a strategy that selects by two scores, which are both given.
struct given_weight : policy_base<stages::weigh> {
  static constexpr bool weighs = true;  ///< the second score
  using params = no_params;             ///< none
};
/// What chooses among given scores.
template <class Budget, class Select>
using chosen_by =
    cs::conditional_t<reads_unweighed<Select>, compressor<given_scores, given_weight, Budget, Select, store::ragged>,
                      compressor<given_scores, Budget, Select, store::ragged>>;

/// One call that chooses among given scores.
template <class Budget, class Select, class Launcher>
class choosing {
  using chosen = chosen_by<Budget, Select>;
  using plan_type = planner<chosen, Launcher, scored_layer, no_queries>;
  static_assert(
      !requires { requires Select::rescores; },
      "kvsieve::choose_tokens takes scores as they are: a selection that scores anew needs kvsieve::plan");
  static_assert(!reads_links<Select>,
                "kvsieve::choose_tokens sees scores alone: kvsieve::select::runs reads keys and needs kvsieve::plan");
  static_assert(!Select::in_partitions || closed_budget<Budget>,
                "kvsieve::select::top_k_in_partitions needs a budget that reads no scores: kvsieve::budget::uniform");

 public:
  choosing(Launcher const& on, token_scores const& scores, typename Budget::params const& budget,
           typename Select::params const& select)
      : on_(on), scores_(scores) {
    params_.budget = budget;
    params_.select = select;
  }

  [[nodiscard]] workspace_size bytes() const {
    return check() ? plan_type(on_, scored_layers(scores_), {}, params_).bytes() : workspace_size{};
  }
  [[nodiscard]] plan_of<chosen> run(workspace const& w) const {
    plan_of<chosen> plan;
    if (plan.state = check(); !plan) return plan;
    return plan_type(on_, scored_layers(scores_), {}, params_).run(w);
  }

 private:
  [[nodiscard]] status check() const {
    if (!scores_) return scores_.state;
    if (scores_.shape.views < 1)
      return fail(errc::bad_shape, "scores.views", scores_.shape.views, "must be at least", 1);
    if (scores_.shape.heads < 1 || scores_.shape.heads > most_blocks_across)
      return fail(errc::bad_shape, "scores.heads", scores_.shape.heads,
                  scores_.shape.heads < 1 ? "must be at least" : "must be, on the device, at most",
                  scores_.shape.heads < 1 ? 1 : most_blocks_across);
    if (scores_.seen == nullptr || scores_.score_offset == nullptr || scores_.score == nullptr)
      return fail(errc::bad_pointer, "scores", 0, "must not be null;", 0);
    if constexpr (Select::in_partitions)
      for (int v = 0; v < scores_.shape.views; ++v)
        if (status const s = check::partitions(scores_.seen[v], v); !s) return s;
    if (reads_unweighed<Select> && scores_.weighed == nullptr)
      return fail(errc::bad_pointer, "scores.weighed", 0, "must not be null for a selection by two scores;", 0);
    if constexpr (requires { Budget::statistics; })
      if (scores_.statistics.each != Budget::statistics)
        return fail(errc::bad_params, "scores.statistics", scores_.statistics.each,
                    "numbers of a view; this budget reads, on the device, exactly", Budget::statistics);
    if (status const s = within_reach(on_, scores_.weighed, "scores.weighed"); !s) return s;
    return within_reach(on_, scores_.score, "scores.score");
  }

  Launcher const& on_;
  token_scores const& scores_;
  typename chosen::params params_{};
};
}  // namespace device
}  // namespace kvsieve::inline v0
