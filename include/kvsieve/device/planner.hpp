// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan as launches: score, lift, weigh, pool, scale, join heads, select. The host only looks at shapes and numbers.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/device/check.hpp>
#include <kvsieve/device/launch_views.hpp>
#include <kvsieve/device/map_rows.hpp>
#include <kvsieve/device/score_chunks.hpp>
#include <kvsieve/device/score_position.hpp>
#include <kvsieve/device/select.hpp>
#include <kvsieve/device/shape_scores.hpp>
#include <kvsieve/device/weigh_rows.hpp>
#include <kvsieve/device/workspace.hpp>
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
  using keys_type = typename Layer::keys_type;
  using memory = plan_memory<C>;
  static constexpr bool joins = C::heads_policy::joins;
  using rules_type = typename memory::rules_type;
  static_assert(closed_budget<typename C::budget_policy> && C::budget_policy::uniformity_class <= uniformity::U2,
                "kvsieve::plan on the device takes budgets that give all heads of a view the same count and read no "
                "scores: use kvsieve::budget::uniform, or plan on the host");
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
                "kvsieve::score::kv_zap or gate, "
                "or plan on the host");
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
  static constexpr bool in_chunks = cs::is_same_v<typename C::select_policy, select::top_k_in_chunks>;

 public:
  planner(Launcher const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
          typename C::params const& params)
      : on_(on), layers_(layers), queries_(queries), params_(params) {}

  [[nodiscard]] workspace_size bytes() const {
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
    if (plan.state = make_scores(); !plan) return plan;
    plan.state = select();
    return plan;
  }

 private:
  [[nodiscard]] auto carve(arena& device, arena& host) const {
    return memory::carve(device, host, layers_, params_, [this](std::size_t v) { return query_heads(v); });
  }
  [[nodiscard]] index query_heads(std::size_t v) const {
    if constexpr (C::observes_queries)
      return v < queries_.size() ? queries_[v].extent(0) : 0;
    else
      return 0;
  }
  [[nodiscard]] int views() const { return static_cast<int>(layers_.size()); }
  [[nodiscard]] int heads() const { return layers_[0].heads(); }
  [[nodiscard]] Layer const& layer(int v) const { return layers_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] index row_offset(int v) const { return memory_.score_offset[v]; }

  [[nodiscard]] status check_all() const {
    if (layers_.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
    if (layers_.size() > 1u << 20)
      return fail(errc::bad_shape, "layers", static_cast<double>(layers_.size()), "must be at most", 1 << 20);
    if (status const s = check::params(params_, rules().call); !s) return s;
    if constexpr (C::observes_queries) {
      if (queries_.size() != layers_.size()) {
        return fail(errc::bad_shape, "queries", static_cast<double>(queries_.size()), "must equal the number of views,",
                    static_cast<double>(layers_.size()));
      }
    }
    for (int v = 0; v < views(); ++v) {
      auto const& l = layer(v);
      if (status const s = check::layer(l, heads(), v); !s) return s;
      if constexpr (reads(C::reads, needs::keys)) {
        if (status const s = readable(l.keys, "keys", v); !s) return s;
      }
      if constexpr (reads(C::reads, needs::values)) {
        if (status const s = readable(l.values, "values", v); !s) return s;
      }
      if constexpr (C::observes_queries) {
        auto const& q = queries_[static_cast<std::size_t>(v)];
        if (status const s =
                check::queries<score>(q, l, params_.score, v, least_queries<aggregate>, weighs_queries<aggregate>);
            !s)
          return s;
        if (auto const scales = score::scales(params_.score); !scales.empty())
          return fail(errc::bad_params, "score.scale", static_cast<double>(scales.size()), "entries; the device takes",
                      0);
        if (int const sets = score::set_count(params_.score, l.tokens()); sets > most_query_sets)
          return fail(errc::bad_params, "score.sets", sets, "must be, on the device, at most", most_query_sets, v);
        if (status const s = readable(q, "queries", v); !s) return s;
      }
    }
    return {};
  }

  [[nodiscard]] rules_type rules() const { return memory::rules(layers_, params_); }
  [[nodiscard]] scored_view seen(int v) const { return describe<score>(params_.score, layer(v).tokens()); }
  /// Tokens of the cache: rows of the view but the queries' own.
  [[nodiscard]] int cached(int v) const { return seen(v).tokens; }
  [[nodiscard]] int kept(int v) const { return rules().kept(seen(v), v); }
  [[nodiscard]] row_share share(int v) const { return rules().share(seen(v), rules().allotted(seen(v), v)); }
  /// Forced tokens of a view before they are cut to its budget; the white list lies on the device and is not counted.
  [[nodiscard]] forced_set forced(int v) const {
    forced_set f = rules().forced(seen(v), rules().allotted(seen(v), v));
    f.white_list = nullptr;
    f.white_count = 0;
    return f;
  }

  /// The arrays on the host, from shapes and numbers alone.
  void lay_out(token_plan& plan) const {
    index lists = 0, scores = 0;
    for (int v = 0; v < views(); ++v) {
      int const tokens = cached(v), keep = kept(v);
      memory_.logical_tokens[v] = tokens;
      memory_.score_offset[v] = scores;
      scores += index{heads()} * score_stride(tokens);
      for (int h = 0; h < heads(); ++h, lists += keep) memory_.offset[index{v} * heads() + h] = lists;
      if constexpr (in_chunks) {
        auto const short_of = select::top_k_in_chunks::short_of(params_.select, share(v), forced(v));
        if (plan.note && short_of.needed > short_of.budget)
          plan.note = fail(errc::bad_params, "budget", short_of.budget, short_of.rule, short_of.needed, v);
      } else {
        int const needed = forced(v).size();
        if (plan.note && needed > keep && !C::select_policy::in_partitions)
          plan.note = fail(errc::bad_params, "budget", keep, "less than the forced tokens,", needed, v);
      }
    }
    memory_.offset[index{views()} * heads()] = lists;
    plan.uniformity_class = C::uniformity_class;
    plan.views = views();
    plan.heads = heads();
    plan.logical_tokens = memory_.logical_tokens;
    plan.offset = memory_.offset;
    plan.list = memory_.list;
    plan.score = memory_.scores;
    plan.score_offset = memory_.score_offset;
  }

  [[nodiscard]] status make_scores() const {
    float* const out = memory::pools ? memory_.raw : memory_.scores;
    status s;
    if constexpr (memory::per_row && row_scores::keys_alone<score>)
      s = rows(out);
    else if constexpr (memory::per_row)
      s = sums(out);
    else if constexpr (memory::per_query)
      s = observe(out);
    else if constexpr (memory::per_chunk)
      s = chunks(out);
    else
      s = positions(out);
    if (!s) return s;
    if constexpr (C::lift_policy::lifts) {
      using body = lift_body<typename C::lift_policy>;
      typename body::args args{};
      s = launch_views<body>(on_, views(), heads(), 1, args, once(out));
      if (!s) return s;
    }
    if constexpr (C::weigh_policy::weighs) {
      using body = weigh_rows_body<typename C::weigh_policy, typename Layer::values_type>;
      typename body::args args{{}, params_.weigh};
      s = launch_views<body>(on_, views(), heads(), 1, args, [&](int v, weigh_part<typename Layer::values_type>& part) {
        part = {layer(v).values, out + row_offset(v), score_stride(cached(v)), scored(v)};
        return pieces(part.scored, weighed_rows);
      });
      if (!s) return s;
    }
    if constexpr (memory::pools) {
      using body = pool_body<typename C::smooth_policy>;
      typename body::args args{{}, params_.smooth};
      s = launch_views<body>(on_, views(), heads(), 1, args,
                             [&](int v, scores_part& part) { return over_scores(v, out, memory_.scores, part); });
      if (!s) return s;
    }
    if constexpr (C::scale_policy::scales) {
      using body = scale_body<typename C::scale_policy>;
      typename body::args args{};
      s = launch_views<body>(on_, views(), 1, 1, args, once(memory_.scores));
      if (!s) return s;
    }
    if constexpr (joins) {
      scores_args<join_heads_params> args{};
      s = launch_views<join_heads_body<typename C::heads_policy>>(
          on_, views(), 1, 1, args,
          [&](int v, scores_part& part) { return over_scores(v, memory_.scores, memory_.scores, part); });
    }
    return s;
  }

  /// One block a row: for bodies that look at all of it.
  [[nodiscard]] auto once(float* scores) const {
    return [this, scores](int v, scores_part& part) {
      (void)over_scores(v, scores, scores, part);
      return 1;
    };
  }
  /// Where the tokens of a view that have scores end: the scorer's own tail has none.
  [[nodiscard]] int scored(int v) const {
    int const tokens = cached(v), tail = seen(v).ends.tail;
    return tail < tokens ? tokens - tail : 0;
  }

  int over_scores(int v, float* from, float* to, scores_part& part) const {
    int const tokens = cached(v);
    part.score = from + row_offset(v);
    part.result = to + row_offset(v);
    part.stride = score_stride(tokens);
    part.tokens = tokens;
    part.heads = heads();
    part.scored = scored(v);
    part.first = seen(v).ends.head < part.scored ? seen(v).ends.head : part.scored;
    part.first_head = v * heads();
    return pieces(tokens, segment_scores);
  }

  [[nodiscard]] status rows(float* out) const {
    rows_args<keys_type> args{};
    index partial = 0, joined = 0;
    auto const fill = [&](int v, rows_part<keys_type>& part) {
      if (v == 0) partial = joined = 0;
      auto const s = memory::scratch_of(layer(v), params_, 0);
      part = {layer(v).keys, out + row_offset(v), memory_.partial + partial, memory_.joined + joined,
              score_stride(cached(v))};
      partial += round_up<index>(s.partial, 16);
      joined += round_up<index>(s.joined, 16);
      return pieces(cached(v), segment_rows);
    };
    if constexpr (score::summarises) {
      if (status const s = launch_views<sum_rows_body<score, keys_type>>(on_, views(), heads(), 1, args, fill); !s)
        return s;
      auto const one = [&](int v, rows_part<keys_type>& part) { return fill(v, part) > 0 ? 1 : 0; };
      if (status const s = launch_views<join_segments_body<keys_type>>(on_, views(), heads(), 1, args, one); !s)
        return s;
    }
    return launch_views<map_rows_body<score, keys_type>>(on_, views(), heads(), 1, args, fill);
  }

  [[nodiscard]] status sums(float* out) const {
    using values_type = typename Layer::values_type;
    map_args<score, keys_type, values_type> args{{}, params_.score};
    int segment = segment_rows;
    if constexpr (row_scores::in_blocks<score>)
      if (int const block = score::block(params_.score); block > 0) segment = pieces(segment_rows, block) * block;
    auto const fill = [&](int v, map_part<keys_type, values_type>& part) {
      part = {layer(v).keys,
              layer(v).values,
              out + row_offset(v),
              memory_.second + (memory::sums_wait ? row_offset(v) : 0),
              nullptr,
              score_stride(layer(v).tokens()),
              segment};
      if constexpr (row_scores::has_table<score>) part.table = score::table(params_.score, v, heads(), Layer::head_dim);
      return pieces(layer(v).tokens(), segment);
    };
    status s = launch_views<map_sums_body<score, keys_type, values_type>>(on_, views(), heads(), 1, args, fill);
    if constexpr (row_scores::in_shares<score>) {
      auto const one = [&](int v, map_part<keys_type, values_type>& part) { return fill(v, part) > 0 ? 1 : 0; };
      if (s) s = launch_views<share_scores_body<score, keys_type, values_type>>(on_, views(), heads(), 1, args, one);
    }
    return s;
  }

  [[nodiscard]] status positions(float* out) const {
    using body = score_position_body<score>;
    typename body::args args{{}, params_.score};
    return launch_views<body>(on_, views(), heads(), 1, args,
                              [&](int v, scores_part& part) { return over_scores(v, out, out, part); });
  }

  [[nodiscard]] status chunks(float* out) const {
    using args_type = chunks_args<score, keys_type, typename Layer::values_type>;
    args_type args{{}, params_.score};
    // Pooled scores come last, so their rows serve as scratch until then.
    float* const scratch = memory::pools ? memory_.scores : memory_.raw;
    return launch_views<score_chunks_body<score, keys_type, typename Layer::values_type>>(
        on_, views(), heads(), 1, args, [&](int v, auto& part) {
          int const tokens = cached(v), count = score::partitions(params_.score, tokens).count;
          part = {layer(v).keys, layer(v).values, out + row_offset(v), scratch + row_offset(v), score_stride(tokens)};
          return count < 1 ? 1 : count;
        });
  }

  [[nodiscard]] status observe(float* out) const {
    using part_type = queries_part<Queries, keys_type>;
    using tile = tile_shape<Launcher::threads>;
    queries_args<Queries, keys_type> args{};
    index partial = 0, joined = 0;
    auto const fill = [&](int v, part_type& part) {
      if (v == 0) partial = joined = 0;
      auto const s = memory::scratch_of(layer(v), params_, query_heads(static_cast<std::size_t>(v)));
      int const tokens = layer(v).tokens();
      part.keys = layer(v).keys;
      part.queries = queries_[static_cast<std::size_t>(v)];
      part.score = out + row_offset(v);
      part.partial = memory_.partial + partial;
      part.mass = memory_.joined + joined;
      part.stride = score_stride(cached(v));
      part.observed = score::queries(params_.score, tokens);
      part.cached = cached(v);
      part.set_count = score::set_count(params_.score, tokens);
      part.restricted = false;
      for (int i = 0; i < part.set_count; ++i) {
        part.set[i] = score::set(params_.score, tokens, i);
        part.restricted = part.restricted || part.set[i].to >= 0;
      }
      part.group = static_cast<int>(query_heads(static_cast<std::size_t>(v)) / heads());
      auto const segments = segments_of(part.rows(), tokens);
      part.segments = segments.count;
      part.segment_tokens = segments.tokens;
      partial += round_up<index>(s.partial, 16);
      joined += round_up<index>(s.joined, 16);
    };
    if constexpr (score::form::normalises) {
      status s = launch_views<sum_exponentials_body<Queries, keys_type>>(
          on_, views(), heads(), 1, args, [&](int v, part_type& part) {
            fill(v, part);
            return pieces(part.rows(), tile::rows) * part.segments;
          });
      if (!s) return s;
      s = launch_views<join_exponentials_body<Queries, keys_type>>(on_, views(), heads(), 1, args,
                                                                   [&](int v, part_type& part) {
                                                                     fill(v, part);
                                                                     return pieces(part.rows(), Launcher::threads);
                                                                   });
      if (!s) return s;
    }
    fold_queries_args<aggregate, Queries, keys_type> folding{{}, params_.aggregate};
    return launch_views<
        fold_queries_body<aggregate, typename C::group_policy, typename score::form, Queries, keys_type>>(
        on_, views(), heads(), 1, folding, [&](int v, part_type& part) {
          fill(v, part);
          return pieces(part.cached, tile::tokens);
        });
  }

  [[nodiscard]] status select() const {
    select_args args{};
    if constexpr (requires { params_.select.white_list; }) {
      args.white_list = params_.select.white_list.data();
      args.white_count = static_cast<int>(params_.select.white_list.size());
    }
    return launch_views<select_body>(on_, views(), heads(), 1, args, [&](int v, select_part& part) {
      int const tokens = cached(v), keep = kept(v);
      forced_set const f = forced(v);
      part = {memory_.scores + row_offset(v),
              memory_.list + memory_.offset[index{v} * heads()],
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
        part.spans = score::partitions(params_.score, tokens);
        part.keep = C::budget_policy::count(params_.budget, {part.spans.length, v, views(), 0, heads()});
        part.sink = part.recent = 0;
        if (part.spans.count == 0) part.spans = {tokens, 0, 0};  // all stay
      }
      if constexpr (in_chunks) {
        int const length = params_.select.length;
        part.spans = {0, length, tokens / length};
        part.last_length = tokens % length;
        part.keep = select::top_k_in_chunks::kept(share(v), length);
        part.last_keep = select::top_k_in_chunks::kept(share(v), part.last_length);
        return part.spans.count + (part.last_length > 0 ? 1 : 0);
      }
      return part.spans.count < 1 ? 1 : part.spans.count;
    });
  }

  Launcher const& on_;
  cs::span<Layer const> layers_;
  cs::span<Queries const> queries_;
  typename C::params const& params_;
  memory memory_{};
};
}  // namespace device
}  // namespace kvsieve::inline v0
