// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The scores of a plan as launches: the score's pattern, then lift, weigh, pool, scale, join heads.
#pragma once
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/workspace.hpp>
#include <kvsieve/device/plan/plan_call.hpp>
#include <kvsieve/device/plan/plan_heads.hpp>
#include <kvsieve/device/plan/plan_hidden.hpp>
#include <kvsieve/device/plan/plan_observed.hpp>
#include <kvsieve/device/plan/plan_pairs.hpp>
#include <kvsieve/device/plan/plan_weights.hpp>
#include <kvsieve/device/score/map_rows.hpp>
#include <kvsieve/device/score/score_chunks.hpp>
#include <kvsieve/device/score/score_page_bound.hpp>
#include <kvsieve/device/score/score_position.hpp>
#include <kvsieve/device/score/shape_scores.hpp>
#include <kvsieve/device/score/weigh_rows.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The scores of one plan.
template <strategy C, class Launcher, class Layer, class Queries>
class plan_scores {
  using score = typename C::score_policy;
  using keys_type = typename Layer::keys_type;
  using memory = score_memory<C>;
  using call_type = plan_call<C, Launcher, Layer, Queries>;
  static constexpr bool joins = C::heads_policy::joins, given_rows = cs::is_same_v<Layer, scored_layer>;

 public:
  plan_scores(call_type const& call, memory const& m) : call_(call), memory_(m) {}

  /// Launches them. Scores lie in memory.scores afterwards.
  [[nodiscard]] status run() const {
    status s = make();
    if (s) s = shape();
    return s;
  }

  /// Launches what a part of the observed queries adds to `state`.
  /// @returns true in `ended` when the last one came: scores then lie in memory.scores
  [[nodiscard]] status run_part(float* state, int first, bool& ended) const {
    auto const own = [this](int v) { return scored(v); };
    float* const out = memory::pools ? memory_.raw : memory_.scores;
    observe_queries<C, call_type, decltype(own), true> const part(call_, memory_, own, {state, first});
    status s = part.run(out);
    ended = part.ends();
    return s && ended ? shape() : s;
  }
  /// Floats of that state.
  [[nodiscard]] static index state_floats(call_type const& call) {
    return observe_queries<C, call_type, int, true>::state_floats(call);
  }

  /// For a selection by two scores: `to` becomes what run() made, with the weight.
  [[nodiscard]] status weigh_beside(float* to) const {
    scores_args<copy_params> args{};
    status const s =
        launch_views<copy_scores_body>(call_.on, call_.views(), call_.heads(), 1, args, [&](int v, scores_part& part) {
          int const blocks = over_scores(v, memory_.scores, to, part);
          if constexpr (given_rows) part.score = call_.layer(v).weighed;
          return blocks;
        });
    if constexpr (given_rows)
      return s;
    else
      return s ? weigh(to) : s;
  }

 private:
  /// The score itself.
  [[nodiscard]] status make() const {
    float* const out = memory::pools ? memory_.raw : memory_.scores;
    status s;
    if constexpr (memory::per_row && row_scores::keys_alone<score>)
      s = rows(out);
    else if constexpr (memory::per_row)
      s = sums(out);
    else if constexpr (memory::per_pair)
      s = pairs(out);
    else if constexpr (memory::per_query)
      s = observe(out);
    else if constexpr (memory::per_chunk)
      s = chunks(out);
    else if constexpr (memory::joins)
      s = halves(out);
    else if constexpr (bounds_pages<score>)
      s = bounds(out);
    else if constexpr (memory::in_own_chunks)
      s = attend_in_chunks<C>(call_, memory_, out);
    else if constexpr (memory::of_moments)
      s = score_moments<C, call_type>(call_, memory_, out).run();
    else if constexpr (memory::per_hidden)
      s = score_hidden<C>(call_, memory_, out);
    else if constexpr (given_rows)
      s = given(out);
    else
      s = positions(out);
    return s;
  }

  /// What the stages after the score make of it.
  [[nodiscard]] status shape() const {
    float* const out = memory::pools ? memory_.raw : memory_.scores;
    status s;
    if constexpr (C::lift_policy::lifts) {
      using body = lift_body<typename C::lift_policy>;
      typename body::args args{};
      s = launch_views<body>(call_.on, call_.views(), call_.heads(), 1, args, once(out));
      if (!s) return s;
    }
    if constexpr (C::weigh_policy::weighs && !C::weighs_last && !memory::projects) {
      if (s = weigh(out); !s) return s;
    }
    if constexpr (memory::pools) {
      using body = pool_body<typename C::smooth_policy>;
      typename body::args args{{}, call_.params.smooth};
      s = launch_views<body>(call_.on, call_.views(), call_.heads(), 1, args,
                             [&](int v, scores_part& part) { return over_scores(v, out, memory_.scores, part); });
      if (!s) return s;
    }
    if constexpr (C::weigh_policy::weighs && !C::weighs_last && memory::projects) {
      if (s = weigh(memory_.scores); !s) return s;  // as CriticalKV does, behind the pool
    }
    if constexpr (C::scale_policy::scales) {
      using body = scale_body<typename C::scale_policy>;
      typename body::args args{};
      s = launch_views<body>(call_.on, call_.views(), 1, 1, args, once(memory_.scores));
      if (!s) return s;
    }
    if constexpr (memory::protects) {
      if (s = protect(); !s) return s;
    }
    if constexpr (joins) {
      scores_args<join_heads_params> args{};
      s = launch_views<join_heads_body<typename C::heads_policy>>(
          call_.on, call_.views(), 1, 1, args,
          [&](int v, scores_part& part) { return over_scores(v, memory_.scores, memory_.scores, part); });
    }
    return s;
  }

  [[nodiscard]] status weigh(float* out) const {
    if constexpr (memory::projects)
      return project_weights<C>(call_, memory_, out, [this](int v) { return scored(v); });
    else
      return weigh_by_rows(out);
  }
  [[nodiscard]] status weigh_by_rows(float* out) const {
    using body = weigh_rows_body<typename C::weigh_policy, typename Layer::values_type>;
    typename body::args args{{}, call_.params.weigh};
    return launch_views<body>(
        call_.on, call_.views(), call_.heads(), 1, args, [&](int v, weigh_part<typename Layer::values_type>& part) {
          part = {call_.layer(v).values, out + row_offset(v), score_stride(call_.cached(v)), scored(v)};
          return pieces(part.scored, weighed_rows);
        });
  }

  /// The tokens that hold a head's attention.
  [[nodiscard]] status protect() const {
    mass_args args{{}, call_.params.protect};
    auto const fill = [&](int v, mass_part& part) {
      scores_part row;
      (void)over_scores(v, memory_.scores, memory_.beside, row);
      int const count = row.scored - row.first, tail = call_.seen(v).ends.tail;
      double const kept = kvsieve::protect::fraction_kept(call_.params.budget, row.tokens);
      part = {row.score + row.first,
              row.result + row.first,
              memory_.massive + row_offset(v) + row.first,
              memory_.bound + v,
              row.stride,
              row.heads,
              count,
              tail,
              C::protect_policy::most(count, kept, tail)};
      return 1;
    };
    status s = launch_views<bound_mass_body>(call_.on, call_.views(), 1, 1, args, fill);
    if (s) s = launch_views<raise_mass_body>(call_.on, call_.views(), call_.heads(), 1, args, fill);
    return s;
  }

  /// Both halves of a joined score, each with its own stages, then the two as one.
  [[nodiscard]] status halves(float* out) const {
    auto const first = call_.first_half();
    auto const second = call_.second_half();
    status s = plan_scores<typename score::first, Launcher, Layer, Queries>(first, memory_.half.first).run();
    if (s) s = plan_scores<typename score::second, Launcher, Layer, Queries>(second, memory_.half.second).run();
    if (!s) return s;
    using body = join_scores_body<score>;
    typename body::args args{{}, call_.params.score};
    return launch_views<body>(call_.on, call_.views(), call_.heads(), 1, args, [&](int v, scores_part& part) {
      return over_scores(v, memory_.half.second.scores, out, part);
    });
  }

  [[nodiscard]] index row_offset(int v) const { return memory_.score_offset[v]; }

  /// One block a row: for bodies that look at all of it.
  [[nodiscard]] auto once(float* scores) const {
    return [this, scores](int v, scores_part& part) {
      (void)over_scores(v, scores, scores, part);
      return 1;
    };
  }
  /// Where the tokens of a view that have scores end: the scorer's own tail has none.
  [[nodiscard]] int scored(int v) const {
    int const tokens = call_.cached(v), tail = call_.seen(v).ends.tail;
    return tail < tokens ? tokens - tail : 0;
  }

  int over_scores(int v, float* from, float* to, scores_part& part) const {
    int const tokens = call_.cached(v);
    part.score = from + row_offset(v);
    part.result = to + row_offset(v);
    part.stride = score_stride(tokens);
    part.tokens = tokens;
    part.heads = call_.heads();
    part.scored = scored(v);
    part.first = call_.seen(v).ends.head < part.scored ? call_.seen(v).ends.head : part.scored;
    part.first_head = v * call_.heads();
    return pieces(tokens, segment_scores);
  }

  [[nodiscard]] status rows(float* out) const {
    rows_args<keys_type> args{};
    index partial = 0, joined = 0;
    auto const fill = [&](int v, rows_part<keys_type>& part) {
      if (v == 0) partial = joined = 0;
      auto const s = memory::scratch_of(call_.layer(v), call_.params, 0);
      part = {call_.layer(v).keys, out + row_offset(v), memory_.partial + partial, memory_.joined + joined,
              score_stride(call_.cached(v))};
      partial += round_up<index>(s.partial, 16);
      joined += round_up<index>(s.joined, 16);
      return pieces(call_.cached(v), segment_rows);
    };
    if constexpr (score::summarises) {
      if (status const s =
              launch_views<sum_rows_body<score, keys_type>>(call_.on, call_.views(), call_.heads(), 1, args, fill);
          !s)
        return s;
      auto const one = [&](int v, rows_part<keys_type>& part) { return fill(v, part) > 0 ? 1 : 0; };
      if (status const s =
              launch_views<join_segments_body<keys_type>>(call_.on, call_.views(), call_.heads(), 1, args, one);
          !s)
        return s;
    }
    return launch_views<map_rows_body<score, keys_type>>(call_.on, call_.views(), call_.heads(), 1, args, fill);
  }

  [[nodiscard]] status observe(float* out) const {
    auto const own = [this](int v) { return scored(v); };
    return observe_queries<C, call_type, decltype(own)>(call_, memory_, own).run(out);
  }

  [[nodiscard]] status pairs(float* out) const {
    status const s = rows(out);
    return s ? compare_pairs<C>(call_, memory_, out) : s;
  }

  [[nodiscard]] status sums(float* out) const {
    using values_type = typename Layer::values_type;
    map_args<score, keys_type, values_type> args{{}, call_.params.score};
    int segment = segment_rows;
    if constexpr (row_scores::in_blocks<score>)
      if (int const block = score::block(call_.params.score); block > 0) segment = pieces(segment_rows, block) * block;
    auto const fill = [&](int v, map_part<keys_type, values_type>& part) {
      part = {call_.layer(v).keys,
              call_.layer(v).values,
              out + row_offset(v),
              memory_.sums + (memory::sums_wait ? row_offset(v) : 0),
              nullptr,
              score_stride(call_.cached(v)),
              segment};
      if constexpr (row_scores::has_table<score>)
        part.table = score::table(call_.params.score, v, call_.heads(), Layer::head_dim);
      return pieces(call_.cached(v), segment);
    };
    status s = launch_views<map_sums_body<score, keys_type, values_type>>(call_.on, call_.views(), call_.heads(), 1,
                                                                          args, fill);
    if constexpr (row_scores::in_shares<score>) {
      auto const one = [&](int v, map_part<keys_type, values_type>& part) { return fill(v, part) > 0 ? 1 : 0; };
      if (s)
        s = launch_views<share_scores_body<score, keys_type, values_type>>(call_.on, call_.views(), call_.heads(), 1,
                                                                           args, one);
    }
    return s;
  }

  [[nodiscard]] status bounds(float* out) const {
    using body = page_bound_body<score, Queries, keys_type>;
    typename body::args args{{}, call_.params.score};
    return launch_views<body>(
        call_.on, call_.views(), call_.heads(), 1, args, [&](int v, bound_part<Queries, keys_type>& part) {
          part = {
              call_.layer(v).keys, call_.queries[static_cast<std::size_t>(v)],
              out + row_offset(v), score_stride(call_.cached(v)),
              call_.cached(v),     static_cast<int>(call_.query_heads(static_cast<std::size_t>(v)) / call_.heads())};
          return pieces(pieces(part.tokens, call_.params.score.page), Launcher::threads / body::width);
        });
  }

  /// Scores from elsewhere, which stay as they are.
  [[nodiscard]] status given(float* out) const {
    scores_args<copy_params> args{};
    return launch_views<copy_scores_body>(call_.on, call_.views(), call_.heads(), 1, args,
                                          [&](int v, scores_part& part) {
                                            int const blocks = over_scores(v, out, out, part);
                                            part.score = call_.layer(v).score;
                                            return blocks;
                                          });
  }

  [[nodiscard]] status positions(float* out) const {
    using body = score_position_body<score>;
    typename body::args args{{}, call_.params.score};
    return launch_views<body>(call_.on, call_.views(), call_.heads(), 1, args,
                              [&](int v, scores_part& part) { return over_scores(v, out, out, part); });
  }

  [[nodiscard]] status chunks(float* out) const {
    using args_type = chunks_args<score, keys_type, typename Layer::values_type>;
    args_type args{{}, call_.params.score};
    // Pooled scores come last, so their rows serve as scratch until then.
    float* const scratch = memory::pools ? memory_.scores : memory_.raw;
    return launch_views<score_chunks_body<score, keys_type, typename Layer::values_type>>(
        call_.on, call_.views(), call_.heads(), 1, args, [&](int v, auto& part) {
          int const tokens = call_.cached(v), count = score::partitions(call_.params.score, tokens).count;
          part = {call_.layer(v).keys, call_.layer(v).values, out + row_offset(v), scratch + row_offset(v),
                  score_stride(tokens)};
          return count < 1 ? 1 : count;
        });
  }

  call_type const& call_;
  memory const& memory_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
