// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The scores of observed queries as launches: sums of exponentials, then what is folded of them.
#pragma once
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/workspace.hpp>
#include <kvsieve/device/call/write_numbers.hpp>
#include <kvsieve/device/plan/plan_call.hpp>
#include <kvsieve/device/score/add_statistics.hpp>
#include <kvsieve/device/score/score_queries.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The queries of a call.
struct brought_queries {
  float* state = nullptr;  ///< of a part of the observed ones, what is folded between the calls: device memory
  int first = -1;          ///< the first of the part; below 0: all
};

/// Of one plan; scored(v) tells where the tokens of a view that have scores end.
template <class C, class Call, class Scored, bool InParts = false>
class observe_queries {
  using score = typename C::score_policy;
  using aggregate = typename C::aggregate_policy;
  using group = typename C::group_policy;
  using memory = score_memory<C>;
  using launcher = cs::remove_cvref_t<decltype(cs::declval<Call const&>().on)>;
  using keys_type = typename cs::remove_cvref_t<decltype(cs::declval<Call const&>().layer(0))>::keys_type;
  using queries_type = cs::remove_cvref_t<decltype(cs::declval<Call const&>().queries[0])>;

 public:
  observe_queries(Call const& call, memory const& m, Scored const& scored, brought_queries const& brought = {})
      : call_(call), memory_(m), scored_(scored), brought_(brought) {}

  /// True when this call brings the last query.
  [[nodiscard]] bool ends() const { return !InParts || brought_.first + brought(0) == all(0); }
  /// Floats of state of all views between the calls.
  [[nodiscard]] static index state_floats(Call const& call) {
    index floats = state_floats_by<aggregate, group>(call);
    if constexpr (memory::protects)
      floats += state_floats_by<typename aggregate::beside, kvsieve::aggregate::group_mean>(call);
    return floats;
  }

  /// Launches it; scores lie in `out` afterwards.
  [[nodiscard]] status run(float* out) const {
    if constexpr (weighs_heads<group>)
      if (status const s = write_head_weights(); !s) return s;
    if constexpr (memory::protects) {
      using beside = typename aggregate::beside;
      float* const state = InParts ? brought_.state + state_floats_by<aggregate, group>(call_) : nullptr;
      if (status const s = observe_by<beside, kvsieve::aggregate::group_mean>({}, memory_.beside, state); !s) return s;
    }
    return observe_by<aggregate, group>(call_.params.aggregate, out, brought_.state);
  }

 private:
  template <class Folded, class Grouped>
  [[nodiscard]] static index state_floats_by(Call const& call) {
    index floats = 0;
    for (int v = 0; v < call.views(); ++v) floats += state_of<Folded, Grouped>(call, v);
    return floats;
  }
  /// Floats of a view.
  template <class Folded, class Grouped>
  [[nodiscard]] static index state_of(Call const& call, int v) {
    index const group = call.query_heads(static_cast<std::size_t>(v)) / call.heads();
    return call.heads() * state_rows<Folded, Grouped>(group) * score_stride(call.cached(v));
  }
  /// Observed queries of a view, in all calls.
  [[nodiscard]] int all(int v) const { return score::queries(call_.params.score, call_.layer(v).tokens()); }
  /// The same that this call brings.
  [[nodiscard]] int brought(int v) const {
    return InParts ? static_cast<int>(call_.queries[static_cast<std::size_t>(v)].extent(1)) : all(v);
  }
  template <class Folded, class Grouped>
  [[nodiscard]] status observe_by(typename Folded::params const& folding_params, float* out, float* state) const {
    using part_type = queries_part<queries_type, keys_type>;
    using tile = tile_shape<launcher::threads>;
    queries_args<queries_type, keys_type> args{};
    index partial = 0, joined = 0;
    auto const fill = [&](int v, part_type& part) {
      if (v == 0) partial = joined = 0;
      auto const s = memory::scratch_of(call_.layer(v), call_.params, call_.query_heads(static_cast<std::size_t>(v)));
      int const tokens = call_.layer(v).tokens();
      part.keys = call_.layer(v).keys;
      part.queries = call_.queries[static_cast<std::size_t>(v)];
      part.score = out + memory_.score_offset[v];
      part.partial = memory_.partial + partial;
      part.mass = memory_.joined + joined;
      part.stride = score_stride(call_.cached(v));
      part.observed = brought(v);
      part.before = InParts ? brought_.first : 0;
      part.cached = call_.cached(v);
      part.past = scored_(v);
      part.kernel = 1;
      if constexpr (pools_tokens<Folded>) part.kernel = Folded::kernel(folding_params);
      part.set_count = score::set_count(call_.params.score, tokens);
      part.restricted = false;
      for (int i = 0; i < part.set_count; ++i) {
        part.set[i] = score::set(call_.params.score, tokens, i);
        part.restricted = part.restricted || part.set[i].to >= 0;
      }
      part.group = static_cast<int>(call_.query_heads(static_cast<std::size_t>(v)) / call_.heads());
      auto const segments = segments_of(index{all(v)} * part.group, tokens);  // the same in parts
      part.segments = segments.count;
      part.segment_tokens = segments.tokens;
      partial += round_up<index>(s.partial, 16);
      joined += round_up<index>(s.joined, 16);
    };
    if constexpr (score::form::normalises) {
      status s = launch_views<sum_exponentials_body<queries_type, keys_type, floats_of_part<Folded>>>(
          call_.on, call_.views(), call_.heads(), 1, args, [&](int v, part_type& part) {
            fill(v, part);
            return pieces(part.rows(), tile::rows) * part.segments;
          });
      if (!s) return s;
      s = launch_views<join_exponentials_body<queries_type, keys_type, floats_of_part<Folded>>>(
          call_.on, call_.views(), call_.heads(), 1, args, [&](int v, part_type& part) {
            fill(v, part);
            return pieces(part.rows(), launcher::threads);
          });
      if (!s) return s;
    }
    fold_queries_args<Folded, Grouped, queries_type, keys_type, InParts> folding{{}, folding_params};
    using form = typename score::form;
    using fold = cs::conditional_t<InParts, fold_part_body<Folded, Grouped, form, queries_type, keys_type>,
                                   fold_queries_body<Folded, Grouped, form, queries_type, keys_type>>;
    using folded_part = typename folded<Folded, Grouped, queries_type, keys_type, InParts>::part;
    index weighed = 0, measured = 0, kept = 0;
    status const s =
        launch_views<fold>(call_.on, call_.views(), call_.heads(), 1, folding, [&](int v, folded_part& part) {
          fill(v, part);
          if constexpr (InParts) {
            part.all = all(v);
            part.state = state + kept;
            kept += state_of<Folded, Grouped>(call_, v);
          }
          if constexpr (statistics_of<Folded> > 0) {
            part.measured = memory::gathers ? memory_.measured + measured : nullptr;
            measured += memory::measured_of(call_.heads(), part.cached);
          }
          if constexpr (weighs_heads<Grouped>) {
            part.weight = memory_.head_weight + weighed;
            part.weight_stride = 1;
            weighed += call_.query_heads(static_cast<std::size_t>(v));
          } else if constexpr (weighs_tokens<Grouped>) {
            part.weight = Grouped::token_weights(call_.params.group, v, 0);
            part.weight_stride = part.cached;
          }
          return pieces(part.cached, fold::step_of(part, tile::tokens));
        });
    if constexpr (memory::gathers && statistics_of<Folded> > 0) return s && ends() ? add_statistics<Folded>() : s;
    return s;
  }
  /// What the accumulator measured of whole views.
  template <class Folded>
  [[nodiscard]] status add_statistics() const {
    constexpr int numbers = statistics_of<Folded>;
    static_assert(!pools_tokens<Folded>, "kvsieve: an accumulator that pools tokens does not measure views");
    statistics_args<numbers> args{};
    index measured = 0;
    return launch_views<add_statistics_body<numbers>>(
        call_.on, call_.views(), 1, 1, args, [&](int v, statistics_part& part) {
          int const tokens = call_.cached(v);
          part = {memory_.measured + measured, memory_.statistic + index{v} * numbers,
                  call_.heads() * pieces(tokens, tile_shape<launcher::threads>::tokens)};
          measured += memory::measured_of(call_.heads(), tokens);
          return 1;
        });
  }
  /// What the group policy says of the query heads, to device memory.
  [[nodiscard]] status write_head_weights() const {
    float* to = memory_.head_weight;
    for (int v = 0; v < call_.views(); ++v) {
      index const heads = call_.query_heads(static_cast<std::size_t>(v));
      auto const weight = [&](index q) { return group::head_weight(call_.params.group, v, q); };
      if (status const s = write_numbers(call_.on, to, heads, weight); !s) return s;
      to += heads;
    }
    return {};
  }

  Call const& call_;
  memory const& memory_;
  Scored const& scored_;
  brought_queries brought_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
