// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan as launches: scores, then a selection. The host only looks at shapes and numbers.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/device/call/check_scores.hpp>
#include <kvsieve/device/call/open_plan.hpp>
#include <kvsieve/device/call/workspace.hpp>
#include <kvsieve/device/plan/plan_counts.hpp>
#include <kvsieve/device/plan/plan_scores.hpp>
#include <kvsieve/device/plan/plan_selection.hpp>
#include <kvsieve/evict/merging.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Stands where a strategy reads no queries.
struct no_queries {};

/// What plan() gives for a strategy: an open_plan where the counts of heads follow from scores, else a token_plan.
template <strategy C>
using plan_of = cs::conditional_t<count_memory<C>::open, open_plan, token_plan>;

/// One plan being made: the arguments of the call and the memory they got.
template <strategy C, class Launcher, class Layer, class Queries>
class planner {
  using memory = plan_memory<C>;
  using call_type = plan_call<C, Launcher, Layer, Queries>;
  using rules_type = typename memory::rules_type;
  static_assert(
      closed_budget<typename C::budget_policy> || memory::open || memory::shaped,
      "kvsieve::plan on the device takes budgets that read no scores, rank them, or measure rows or views: use one of "
      "kvsieve::budget, or say how yours does (docs/axes/budget.md), or plan on the host");
  static_assert(!memory::by_head || memory::whole_rows || memory::in_rounds || memory::floats,
                "kvsieve::plan on the device selects whole rows where heads keep different numbers of tokens: use "
                "kvsieve::select::top_k, heavy_hitters, gumbel or two_stage, or plan on the host");
  static_assert(
      walks<Layer>,
      "kvsieve on the device walks rows by strides or through one table of pages: give it kvsieve::make_rows or "
      "make_paged, or plan and apply views with a table for each head on the host");
  static_assert(
      !memory::floats || cs::is_same_v<typename C::select_policy, select::threshold> || memory::links,
      "kvsieve::plan on the device has no kernel for a selection of this kind that tells how many tokens stay: "
      "use kvsieve::select::threshold or runs, or plan on the host");
  static_assert(
      !requires { requires C::select_policy::host_only; },
      "kvsieve::plan on the device does not select that way: use kvsieve::select::top_k, or plan on the host");

 public:
  planner(Launcher const& on, layer_range<Layer> layers, cs::span<Queries const> queries,
          typename C::params const& params)
      : call_{on, layers, queries, params} {}

  /// Nothing for numbers that run() refuses: sizes follow from them.
  [[nodiscard]] workspace_size bytes() const {
    if (!check_params(call_)) return {};
    if constexpr (memory::in_pieces)
      for (int v = 0; v < call_.views(); ++v)
        if (kept(v) < 0) return {};
    arena device, host;
    (void)carve(device, host);
    return {device.used(), host.used()};
  }

  [[nodiscard]] plan_of<C> run(workspace const& w) {
    plan_of<C> plan;
    plan.state = check_all();
    if (!plan) return plan;
    if (plan.state = fits(w, bytes()); !plan) return plan;
    if (plan.state = within_reach(call_.on, w.device.data(), "workspace.device"); !plan) return plan;
    arena device(w.device), host(w.host);
    memory_ = carve(device, host);
    lay_out(plan);
    if constexpr (!memory::rescores)
      if (plan.state = plan_scores(call_, memory_).run(); !plan) return plan;
    if constexpr (memory::by_head && !memory::floats)
      if (plan.state = plan_counts(call_, memory_).run(); !plan) return plan;
    plan.state = plan_selection(call_, memory_).run();
    return plan;
  }

 private:
  [[nodiscard]] auto carve(arena& device, arena& host) const {
    return memory::carve(device, host, call_.layers, call_.params,
                         [this](std::size_t v) { return call_.query_heads(v); });
  }

  [[nodiscard]] status check_all() const {
    if (status const s = check_call(call_); !s) return s;
    if constexpr (requires { call_.params.select.white_list; })
      if (status const s = within_reach(call_.on, call_.params.select.white_list.data(), "select.white_list"); !s)
        return s;
    for (int v = 0; v < call_.views(); ++v)
      if (status const s = check_selection(v); !s) return s;
    return {};
  }
  /// What the selection refuses of a view; the white list lies on the device and is not looked at.
  [[nodiscard]] status check_selection([[maybe_unused]] int v) const {
    [[maybe_unused]] auto const& p = call_.params.select;
    if constexpr (requires { p.check_view(1, v); }) {
      if (status const s = p.check_view(call_.cached(v), v); !s) return s;
    }
    if constexpr (memory::in_spans) {
      if (p.quota.empty() && !p.white_list.empty())
        return fail(errc::bad_params, "select.white_list", static_cast<double>(p.white_list.size()),
                    "entries; on the device, where spans have no quota, it takes", 0, v);
    }
    if constexpr (memory::in_pieces && counts_float<typename C::select_policy>) {
      if (kept(v) < 0)
        return fail(errc::bad_params, "select.length", p.length,
                    "must divide, on the device, what it cuts where the last piece is not forced,",
                    memory::choice(rules(), call_.seen(v), v).pieces.tokens, v);
    }
    return {};
  }

  [[nodiscard]] rules_type rules() const { return memory::rules(call_.layers, call_.params); }
  [[nodiscard]] int kept(int v, int head = 0) const {
    if constexpr (memory::shaped)
      return memory_.allotted[index{v} * call_.heads() + head];
    else
      return memory::kept(rules(), call_.seen(v), v, head);
  }
  [[nodiscard]] row_share share(int v) const {
    return rules().share(call_.seen(v), rules().allotted(call_.seen(v), v));
  }
  [[nodiscard]] forced_set forced_closed([[maybe_unused]] int v, [[maybe_unused]] int head) const {
    if constexpr (!memory::shaped)
      return memory::forced(rules(), call_.seen(v), v, head);
    else
      return {};
  }
  /// What the forced tokens of a head need, as far as the host knows them.
  [[nodiscard]] shortage short_of(int v, int head) const {
    using select_policy = typename C::select_policy;
    forced_set const f =
        memory::shaped ? memory::forced_of(rules(), call_.seen(v), kept(v, head)) : forced_closed(v, head);
    [[maybe_unused]] auto const& p = call_.params.select;
    if constexpr (memory::in_pieces)
      return select_policy::short_of(p, call_.seen(v), share(v), f, nullptr);
    else if constexpr (memory::in_spans)
      return select_policy::short_of(p, rules().allotted(call_.seen(v), v), f);
    else if constexpr (cs::is_same_v<select_policy, select::top_k_in_chunks>)
      return select_policy::short_of(p, share(v), f);
    else if constexpr (select_policy::in_partitions)
      return {};
    else
      return {kept(v, head), f.size()};
  }

  /// The arrays on the host, from shapes and numbers alone.
  void lay_out(plan_of<C>& plan) const {
    index scores = 0;
    for (int v = 0; v < call_.views(); ++v) {
      int const tokens = call_.cached(v);
      memory_.logical_tokens[v] = tokens;
      memory_.score_offset[v] = scores;
      scores += index{call_.heads()} * score_stride(tokens);
    }
    if constexpr (memory::open) {
      plan.longest = memory_.longest;
      if constexpr (memory::splits || memory::of_statistics)
        note_shortage_of_means(plan.note);
      else if constexpr (memory::ranks || memory::measures)
        for (int i = 0; i < memory_.rankings; ++i) note_shortage(memory_.ranking[i], plan.note);
      plan.rows = memory_.room;
      plan.offset = memory_.device_offset;
    } else {
      place_lists(plan.note);
      plan.offset = memory_.offset;
      plan.device_offset = memory_.device_offset;
    }
    plan.uniformity_class = C::uniformity_class;
    plan.views = call_.views();
    plan.heads = call_.heads();
    plan.logical_tokens = memory_.logical_tokens;
    plan.list = memory_.list;
    plan.score = memory_.scores;
    plan.score_offset = memory_.score_offset;
  }

  /// Where lists lie by a closed budget.
  void place_lists(status& note) const {
    index lists = 0;
    for (int v = 0; v < call_.views(); ++v) {
      for (int h = 0; h < call_.heads(); ++h) {
        memory_.offset[index{v} * call_.heads() + h] = lists;
        lists += kept(v, h);
        if (!memory::by_head && h > 0) continue;
        shortage const missing = short_of(v, h);
        if (note && missing.needed > missing.budget)
          note = fail(errc::bad_params, "budget", missing.budget, missing.rule, missing.needed, v);
      }
    }
    memory_.offset[index{call_.views()} * call_.heads()] = lists;
  }
  /// Views that keep fewer tokens than are forced, since none of their sequence keeps more than the mean.
  void note_shortage_of_means(status& note) const {
    for (int v = 0; note && v < call_.views(); ++v) {
      int const mean = C::budget_policy::mean(call_.params.budget, call_.cached(v));
      int keep = mean < call_.cached(v) ? mean : call_.cached(v);
      if constexpr (memory::of_statistics) {  // one whole, or all the mean, whatever the views prefer
        int const forced = memory::forced_of(rules(), call_.seen(v), mean).size();
        if (mean > forced) continue;
        double const alike = 1;
        keep = C::budget_policy::kept(call_.params.budget, &alike, 1, 1, 0, call_.cached(v), forced);
      }
      if (int const size = memory::forced_of(rules(), call_.seen(v), keep).size(); size > keep)
        note = fail(errc::bad_params, "budget", keep, "less than the forced tokens,", size, v);
    }
  }
  /// A ranking of fewer tokens than are forced: all heads get the same.
  void note_shortage(counts::ranking const& r, status& note) const {
    if (r.total < 0) return;
    int const each = memory::curves || memory::measures ? 1 : call_.heads();  // rows of a view
    index needed = 0;
    for (int v = r.first; v < r.last; ++v)
      needed += index{each} * memory::forced_of(rules(), call_.seen(v), average(r, each, call_.cached(v))).size();
    if (!note || needed <= r.total) return;
    auto const tokens = [&](index i) { return index{call_.cached(r.first + static_cast<int>(i / each))}; };
    index const rows = index{r.last - r.first} * each;
    counts::share_equally(rows, r.total, tokens, memory_.equal);
    for (index i = 0; note && i < rows; ++i) {
      int const v = r.first + static_cast<int>(i / each), keep = static_cast<int>(memory_.equal[i]);
      if (int const size = memory::forced_of(rules(), call_.seen(v), keep).size(); size > keep)
        note = fail(errc::bad_params, "budget", keep, "less than the forced tokens,", size, v);
    }
  }

  call_type call_;
  memory memory_{};
};
}  // namespace device
}  // namespace kvsieve::inline v0
