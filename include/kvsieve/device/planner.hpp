// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan as launches: scores, then a selection. The host only looks at shapes and numbers.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/device/check.hpp>
#include <kvsieve/device/launch_views.hpp>
#include <kvsieve/device/plan_scores.hpp>
#include <kvsieve/device/select.hpp>
#include <kvsieve/device/workspace.hpp>
#include <kvsieve/evict/merging.hpp>
#include <kvsieve/select/top_k_in_chunks.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Stands where a strategy reads no queries.
struct no_queries {};

/// One plan being made: the arguments of the call and the memory they got.
template <strategy C, class Launcher, class Layer, class Queries>
class planner {
  using score = typename C::score_policy;
  using aggregate = typename C::aggregate_policy;
  using memory = plan_memory<C>;
  using call_type = plan_call<C, Launcher, Layer, Queries>;
  using rules_type = typename memory::rules_type;
  static_assert(closed_budget<typename C::budget_policy> && C::budget_policy::uniformity_class <= uniformity::U2,
                "kvsieve::plan on the device takes budgets that give all heads of a view the same count and read no "
                "scores: use kvsieve::budget::uniform, or plan on the host");
  static_assert(!C::protect_policy::protects && !has_beside<aggregate>,
                "kvsieve::plan on the device folds one row of a head: leave kvsieve::protect::mass out, or plan on the "
                "host");
  static_assert(walks<Layer>,
                "kvsieve on the device walks rows by strides: give it kvsieve::make_rows, or plan and apply views in "
                "pages and ragged views on the host");
  static_assert(!pools_tokens<aggregate>,
                "kvsieve::plan on the device does not pool each query's probabilities along the tokens: use another "
                "aggregate policy than kvsieve::aggregate::worst_case, or plan on the host");
  static_assert(!cs::is_same_v<typename C::pattern, patterns::per_head> &&
                    !cs::is_same_v<typename C::pattern, patterns::joined>,
                "kvsieve::plan on the device does not factor matrices and does not join two scores: choose a score "
                "of rows, chunks, queries or positions, or plan on the host");
  static_assert(
      !weighs_heads<typename C::group_policy> && !weighs_tokens<typename C::group_policy>,
      "kvsieve::plan on the device does not weigh query heads: use kvsieve::aggregate::group_mean, group_sum or "
      "group_max, or plan on the host");
  static_assert(!cs::is_same_v<typename C::pattern, patterns::per_pair>,
                "kvsieve::plan on the device does not hold keys against each other: use another score than "
                "kvsieve::score::redundancy, or plan on the host");
  static_assert(!cs::is_same_v<typename C::pattern, patterns::per_hidden>,
                "kvsieve::plan on the device does not score hidden states: use another score than "
                "kvsieve::score::kv_zap or gate, or plan on the host");
  static_assert(
      !requires { C::weigh_policy::quadratic; },
      "kvsieve::plan on the device does not project values: weigh by kvsieve::weigh::value_norm, or plan on the host");
  static_assert(
      !requires { requires C::select_policy::rescores; },
      "kvsieve::plan on the device does not select block-wise: use kvsieve::select::top_k, or plan on the host");
  static_assert(
      !counts_float<typename C::select_policy> && !requires { requires C::select_policy::host_only; },
      "kvsieve::plan on the device does not select that way: use kvsieve::select::top_k, heavy_hitters or "
      "top_k_in_chunks, or plan on the host");
  static_assert(!merges<typename C::evict_policy>,
                "kvsieve::plan on the device: what does not stay is merged on the host alone: use "
                "kvsieve::evict::compact, or plan on the host");
  static constexpr bool in_chunks = cs::is_same_v<typename C::select_policy, select::top_k_in_chunks>;

 public:
  planner(Launcher const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
          typename C::params const& params)
      : call_{on, layers, queries, params} {}

  /// Nothing for numbers that run() refuses: sizes follow from them.
  [[nodiscard]] workspace_size bytes() const {
    if (!check::params(call_.params, rules().call)) return {};
    arena device, host;
    (void)carve(device, host);
    return {device.used(), host.used()};
  }

  [[nodiscard]] token_plan run(workspace const& w) {
    token_plan plan;
    plan.state = check_all();
    if (!plan) return plan;
    if (plan.state = fits(w, bytes()); !plan) return plan;
    arena device(w.device), host(w.host);
    memory_ = carve(device, host);
    lay_out(plan);
    if (plan.state = plan_scores(call_, memory_).run(); !plan) return plan;
    plan.state = select();
    return plan;
  }

 private:
  [[nodiscard]] auto carve(arena& device, arena& host) const {
    return memory::carve(device, host, call_.layers, call_.params,
                         [this](std::size_t v) { return call_.query_heads(v); });
  }

  [[nodiscard]] status check_all() const {
    if (call_.layers.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
    if (call_.layers.size() > 1u << 20)
      return fail(errc::bad_shape, "layers", static_cast<double>(call_.layers.size()), "must be at most", 1 << 20);
    if (status const s = check::params(call_.params, rules().call); !s) return s;
    if constexpr (C::observes_queries) {
      if (call_.queries.size() != call_.layers.size()) {
        return fail(errc::bad_shape, "queries", static_cast<double>(call_.queries.size()),
                    "must equal the number of views,", static_cast<double>(call_.layers.size()));
      }
    }
    for (int v = 0; v < call_.views(); ++v) {
      auto const& l = call_.layer(v);
      if (status const s = check::layer(l, call_.heads(), v); !s) return s;
      if constexpr (reads(C::reads, needs::keys)) {
        if (status const s = readable(l.keys, "keys", v); !s) return s;
      }
      if constexpr (reads(C::reads, needs::values)) {
        if (status const s = readable(l.values, "values", v); !s) return s;
      }
      if constexpr (requires { score::check_view(call_.params.score, v, l.tokens()); }) {
        if (status const s = score::check_view(call_.params.score, v, l.tokens()); !s) return s;
      }
      if constexpr (C::observes_queries) {
        auto const& q = call_.queries[static_cast<std::size_t>(v)];
        if (status const s =
                check::queries<score>(q, l, call_.params.score, v, least_queries<aggregate>, weighs_queries<aggregate>);
            !s)
          return s;
        if (auto const scales = score::scales(call_.params.score); !scales.empty())
          return fail(errc::bad_params, "score.scale", static_cast<double>(scales.size()), "entries; the device takes",
                      0);
        if (int const sets = score::set_count(call_.params.score, l.tokens()); sets > most_query_sets)
          return fail(errc::bad_params, "score.sets", sets, "must be, on the device, at most", most_query_sets, v);
        if (status const s = readable(q, "queries", v); !s) return s;
      }
    }
    return {};
  }

  [[nodiscard]] rules_type rules() const { return memory::rules(call_.layers, call_.params); }
  [[nodiscard]] int kept(int v) const { return rules().kept(call_.seen(v), v); }
  [[nodiscard]] row_share share(int v) const {
    return rules().share(call_.seen(v), rules().allotted(call_.seen(v), v));
  }
  /// Forced tokens of a view before they are cut to its budget; the white list lies on the device and is not counted.
  [[nodiscard]] forced_set forced(int v) const {
    forced_set f = rules().forced(call_.seen(v), rules().allotted(call_.seen(v), v));
    f.white_list = nullptr;
    f.white_count = 0;
    return f;
  }

  /// The arrays on the host, from shapes and numbers alone.
  void lay_out(token_plan& plan) const {
    index lists = 0, scores = 0;
    for (int v = 0; v < call_.views(); ++v) {
      int const tokens = call_.cached(v), keep = kept(v);
      memory_.logical_tokens[v] = tokens;
      memory_.score_offset[v] = scores;
      scores += index{call_.heads()} * score_stride(tokens);
      for (int h = 0; h < call_.heads(); ++h, lists += keep) memory_.offset[index{v} * call_.heads() + h] = lists;
      if constexpr (in_chunks) {
        auto const short_of = select::top_k_in_chunks::short_of(call_.params.select, share(v), forced(v));
        if (plan.note && short_of.needed > short_of.budget)
          plan.note = fail(errc::bad_params, "budget", short_of.budget, short_of.rule, short_of.needed, v);
      } else {
        int const needed = forced(v).size();
        if (plan.note && needed > keep && !C::select_policy::in_partitions)
          plan.note = fail(errc::bad_params, "budget", keep, "less than the forced tokens,", needed, v);
      }
    }
    memory_.offset[index{call_.views()} * call_.heads()] = lists;
    plan.uniformity_class = C::uniformity_class;
    plan.views = call_.views();
    plan.heads = call_.heads();
    plan.logical_tokens = memory_.logical_tokens;
    plan.offset = memory_.offset;
    plan.list = memory_.list;
    plan.score = memory_.scores;
    plan.score_offset = memory_.score_offset;
  }

  [[nodiscard]] status select() const {
    select_args args{};
    if constexpr (requires { call_.params.select.white_list; }) {
      args.white_list = call_.params.select.white_list.data();
      args.white_count = static_cast<int>(call_.params.select.white_list.size());
    }
    return launch_views<select_body>(call_.on, call_.views(), call_.heads(), 1, args, [&](int v, select_part& part) {
      int const tokens = call_.cached(v), keep = kept(v);
      forced_set const f = forced(v);
      part = {memory_.scores + memory_.score_offset[v],
              memory_.list + memory_.offset[index{v} * call_.heads()],
              score_stride(tokens),
              keep,
              tokens,
              keep,
              f.sink,
              f.recent,
              partition{0, tokens, 1},
              0,
              0};
      if constexpr (C::select_policy::in_partitions) {
        part.spans = score::partitions(call_.params.score, tokens);
        part.keep =
            C::budget_policy::count(call_.params.budget, {part.spans.length, v, call_.views(), 0, call_.heads()});
        part.sink = part.recent = 0;
        if (part.spans.count == 0) part.spans = {tokens, 0, 0};  // all stay
      }
      if constexpr (in_chunks) {
        int const length = call_.params.select.length;
        part.spans = {0, length, tokens / length};
        part.last_length = tokens % length;
        part.keep = select::top_k_in_chunks::kept(share(v), length);
        part.last_keep = select::top_k_in_chunks::kept(share(v), part.last_length);
        return part.spans.count + (part.last_length > 0 ? 1 : 0);
      }
      return part.spans.count < 1 ? 1 : part.spans.count;
    });
  }

  call_type call_;
  memory memory_{};
};
}  // namespace device
}  // namespace kvsieve::inline v0
