// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores that look at all rows of a head, as launches. Those of moments take a view after the other.
#pragma once
#include <kvsieve/core/turns.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/workspace.hpp>
#include <kvsieve/device/call/write_numbers.hpp>
#include <kvsieve/device/score/head_factors.hpp>
#include <kvsieve/device/score/score_own_chunk.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Attention inside chunks into `out`.
template <class C, class Call>
[[nodiscard]] status attend_in_chunks(Call const& call, score_memory<C> const& m, float* out) {
  using queries_type = cs::remove_cvref_t<decltype(call.queries[0])>;
  using keys_type = typename cs::remove_cvref_t<decltype(call.layer(0))>::keys_type;
  using shape = tile_shape<cs::remove_cvref_t<decltype(call.on)>::threads>;
  auto const& p = call.params.score;
  own_chunk_args<queries_type, keys_type> args{{}, p.chunk, p.as_source};
  index mass = 0;
  auto const fill = [&](int v, own_chunk_part<queries_type, keys_type>& part) {
    if (v == 0) mass = 0;
    int const tokens = call.cached(v), first = p.sink < tokens ? p.sink : tokens;
    int const last = tokens - p.recent > first ? tokens - p.recent : first;
    auto const at = static_cast<std::size_t>(v);
    part = {call.layer(v).keys,
            call.queries[at],
            out + m.score_offset[v],
            m.joined + mass,
            score_stride(tokens),
            tokens,
            static_cast<int>(call.query_heads(at) / call.heads()),
            first,
            last};
    mass += round_up<index>(m.scratch_of(call.layer(v), call.params, call.query_heads(at)).joined, 16);
    return pieces(last - first, p.chunk);
  };
  auto const blocks = [&](int v, own_chunk_part<queries_type, keys_type>& part, bool of_rows) {
    int const chunks = fill(v, part);
    return chunks * pieces(of_rows ? p.chunk * part.group : p.chunk, of_rows ? shape::rows : shape::tokens);
  };
  using mass_body = chunk_mass_body<queries_type, keys_type>;
  using fold_body = chunk_fold_body<queries_type, keys_type>;
  status s = launch_views<mass_body>(call.on, call.views(), call.heads(), 1, args,
                                     [&](int v, auto& part) { return blocks(v, part, true); });
  if (s)
    s = launch_views<fold_body>(call.on, call.views(), call.heads(), 1, args, [&](int v, auto& part) {
      int const own = blocks(v, part, false);
      return own < 1 && part.tokens > 0 ? 1 : own;
    });
  return s;
}

/// One score of moments.
template <class C, class Call>
class score_moments {
  using score = typename C::score_policy;
  using layer = cs::remove_cvref_t<decltype(cs::declval<Call const&>().layer(0))>;
  using launcher = cs::remove_cvref_t<decltype(cs::declval<Call const&>().on)>;
  using shape = tile_shape<launcher::threads>;
  static constexpr int D = layer::head_dim;

 public:
  score_moments(Call const& call, score_memory<C> const& m, float* out)
      : call_(call), m_(m), heads_(m.heads), out_(out) {}

  [[nodiscard]] status run() const {
    rope_params const& rope = call_.params.score.rope;
    status s = write_numbers(call_.on, heads_.frequency, D / 2, [&](index i) {
      return rope.rope_frequencies.empty() ? std::pow(rope.rope_base, -2.0 * static_cast<double>(i) / D)
                                           : rope.rope_frequencies[static_cast<cs::size_t>(i)];
    });
    int longest = 0;
    for (int v = 0; v < call_.views(); ++v) longest = longest < call_.cached(v) ? call_.cached(v) : longest;
    turns_args const turns{heads_.frequency,     heads_.cosine, heads_.sine, static_cast<double>(rope.first_position),
                           1 / rope.rope_factor, longest,       D / 2};
    if (s) s = call_.on.template launch<turns_body>(grid{pieces(longest, launcher::threads), 1, 1}, turns);
    for (int v = 0; s && v < call_.views(); ++v) {
      if constexpr (cs::is_same_v<score, kvsieve::score::leverage>)
        s = leverage(v);
      else if constexpr (cs::is_same_v<score, kvsieve::score::cap_kv>)
        s = cap_kv(v);
      else
        s = expected_attention(v);
    }
    return s;
  }

 private:
  /// Rows of a view, turned back from where they stand; row 0 at position `ahead` of the view.
  template <class View>
  [[nodiscard]] turned_rows<View> before_rotation(View const& view, index ahead) const {
    return {view, heads_.cosine, heads_.sine, ahead, call_.params.score.rope.rope_interleaved};
  }
  template <class Body, class Args>
  [[nodiscard]] status each_segment(Args const& args, index heads) const {
    return call_.on.template launch<Body>(grid{pieces(args.last - args.first, moment_rows), static_cast<int>(heads), 1},
                                          args);
  }

  /// What the mean rotation over positions to come is.
  [[nodiscard]] status write_turn(int v) const {
    auto const& p = call_.params.score;
    host::mean_turn<D> const turn(p.rope, static_cast<double>(p.rope.first_position) + call_.cached(v), p.future);
    status const s = write_numbers(call_.on, heads_.turn, D / 2, [&](index i) { return turn.cosine[i]; });
    return s ? write_numbers(call_.on, heads_.turn + D / 2, D / 2, [&](index i) { return turn.sine[i]; }) : s;
  }
  [[nodiscard]] turn_table turn() const {
    return {heads_.turn, heads_.turn + D / 2, call_.params.score.rope.rope_interleaved};
  }

  /// Means, and where asked for moments about them, of the observed queries of a view.
  [[nodiscard]] status gather(int v, bool spread) const {
    auto const& q = call_.queries[static_cast<std::size_t>(v)];
    using view_type = cs::remove_cvref_t<decltype(q)>;
    index const given = q.extent(1), heads = q.extent(0);
    int const tokens = call_.cached(v), observed = score::queries(call_.params.score, tokens);
    head_rows_args<view_type> const args{before_rotation(q, tokens - given),
                                         heads_.weight,
                                         heads_.partial,
                                         heads_.mean,
                                         heads_.second,
                                         heads_.room,
                                         static_cast<int>(given - observed),
                                         static_cast<int>(given),
                                         true,
                                         true};
    status s = each_segment<usable_rows_body<view_type>>(args, heads);
    if (s) s = each_segment<sum_of_rows_body<view_type>>(args, heads);
    if (s) s = call_.on.template launch<mean_of_rows_body<view_type>>(grid{1, static_cast<int>(heads), 1}, args);
    return s && spread ? moments(args, heads) : s;
  }

  [[nodiscard]] status expected_attention(int v) const {
    auto const& p = call_.params.score;
    using keys_type = typename layer::keys_type;
    int const tokens = call_.cached(v), first = p.sink < tokens ? p.sink : tokens;
    index const query_heads =
        heads_of_statistics<score>(p, call_.views(), D, call_.query_heads(static_cast<std::size_t>(v)));
    constexpr bool of_prompt = reads(score::reads, needs::queries);
    status s = write_turn(v);
    turn_moments_args moments{turn(),        heads_.mean, heads_.second,   nullptr, nullptr, heads_.table,
                              heads_.offset, D,           p.use_covariance};
    if constexpr (of_prompt) {
      if (s) s = gather(v, p.use_covariance);
    } else {
      moments.stored = p.statistics.mean.data() + v * query_heads * D;
      if (p.use_covariance) moments.spread = p.statistics.covariance.data() + v * query_heads * D * D;
    }
    if (s) s = call_.on.template launch<turn_moments_body>(grid{1, static_cast<int>(query_heads), 1}, moments);
    turned_rows<keys_type> const keys{call_.layer(v).keys};
    head_rows_args<keys_type> const usable{keys,        heads_.usable, nullptr, nullptr, nullptr,
                                           heads_.room, first,         tokens,  false,   false};
    if (s) s = each_segment<usable_rows_body<keys_type>>(usable, call_.heads());
    int const group = static_cast<int>(query_heads / call_.heads());
    form_args<keys_type> const form{
        keys, heads_.usable, nullptr, heads_.table, heads_.offset, heads_.logit, heads_.room, D, group, first, tokens};
    if (s)
      s = call_.on.template launch<form_body<true, keys_type>>(
          grid{pieces(tokens - first, shape::tokens), static_cast<int>(query_heads), 1}, form);
    share_heads_args const share{
        heads_.logit, heads_.mean, out_ + m_.score_offset[v], heads_.room, score_stride(tokens), group, D,
        first,        tokens};
    if (s) s = call_.on.template launch<share_heads_body>(grid{1, call_.heads(), 1}, share);
    return s;
  }

  /// Moments of rows [first, last) of a view; `args` says the rest.
  template <class View>
  [[nodiscard]] status moments(head_rows_args<View> const& args, index heads) const {
    return call_.on.template launch<moments_body<View>>(
        grid{pieces(D, shape::rows), pieces(D, shape::tokens), static_cast<int>(heads)}, args);
  }
  /// The squares of a form of `size` rows for every row of a view, into `to`.
  template <class View>
  [[nodiscard]] status squares(turned_rows<View> const& rows, double const* centre, int size, int group, int first,
                               int last, float* to) const {
    form_args<View> const form{rows,        heads_.usable, centre, heads_.table, nullptr, to,
                               heads_.room, size,          group,  first,        last};
    return call_.on.template launch<form_body<false, View>>(
        grid{pieces(last - first, shape::tokens), call_.heads() * group, 1}, form);
  }
  [[nodiscard]] status add_forms(int v, float const* form, float const* factor, double const* mean, int group,
                                 int first, int last) const {
    int const tokens = call_.cached(v);
    add_forms_args const args{
        form, factor, mean, heads_.usable, out_ + m_.score_offset[v], heads_.room, score_stride(tokens), group,
        D,    first,  last, tokens};
    return call_.on.template launch<add_forms_body>(grid{pieces(tokens, segment_scores), call_.heads(), 1}, args);
  }

  [[nodiscard]] status leverage(int v) const {
    auto const& p = call_.params.score;
    using keys_type = typename layer::keys_type;
    int const tokens = call_.cached(v), first = p.sink < tokens ? p.sink : tokens, heads = call_.heads();
    int const last = tokens - p.recent > first ? tokens - p.recent : first;
    auto const keys = before_rotation(call_.layer(v).keys, 0);
    head_rows_args<keys_type> const args{keys,        heads_.usable, heads_.partial, heads_.mean, heads_.second,
                                         heads_.room, first,         last,           true};
    status s = each_segment<usable_rows_body<keys_type>>(args, heads);
    if (s) s = each_segment<sum_of_rows_body<keys_type>>(args, heads);
    if (s) s = call_.on.template launch<mean_of_rows_body<keys_type>>(grid{1, heads, 1}, args);
    if (s) s = moments(args, heads);
    sketch_args const sketch{p,           heads_.second, heads_.sketch,    heads_.product,
                             heads_.gram, heads_.table,  index{v} * heads, D};
    if (s) s = call_.on.template launch<sketch_body>(grid{1, heads, 1}, sketch);
    if (s) s = squares(keys, heads_.mean, p.sketch, 1, first, last, heads_.logit);
    return s ? add_forms(v, heads_.logit, nullptr, nullptr, 1, first, last) : s;
  }

  [[nodiscard]] status cap_kv(int v) const {
    auto const& p = call_.params.score;
    using keys_type = typename layer::keys_type;
    using values_type = typename layer::values_type;
    int const tokens = call_.cached(v), first = p.sink < tokens ? p.sink : tokens, heads = call_.heads();
    index const query_heads = call_.query_heads(static_cast<std::size_t>(v));
    int const group = static_cast<int>(query_heads / heads), asking = static_cast<int>(query_heads);
    head_rows_args<keys_type> const keys{{call_.layer(v).keys}, heads_.usable, nullptr, nullptr, nullptr,
                                         heads_.room,           first,         tokens};
    head_rows_args<values_type> values{{call_.layer(v).values}, heads_.usable, nullptr, heads_.mean,
                                       heads_.second,           heads_.room,   first,   tokens};
    values.as_well = true;
    status s = each_segment<usable_rows_body<keys_type>>(keys, heads);
    if (s) s = each_segment<usable_rows_body<values_type>>(values, heads);
    if (s) s = write_turn(v);
    if (s) s = gather(v, false);
    likely_args<keys_type> const likely{
        call_.layer(v).keys, turn(),      heads_.mean, heads_.offset, heads_.usable, heads_.logit, heads_.weight,
        heads_.room,         p.sharpness, p.epsilon,   group,         first,         tokens};
    if (s) s = call_.on.template launch<direction_body<keys_type>>(grid{1, asking, 1}, likely);
    if (s) s = each_segment<cosines_body<keys_type>>(likely, heads);
    if (s) s = call_.on.template launch<likely_body<keys_type>>(grid{1, asking, 1}, likely);
    values.weight = heads_.weight;
    values.group = group;
    if (s) s = moments(values, query_heads);
    invert_args const invert{heads_.second, heads_.product, heads_.table, D};
    if (s) s = call_.on.template launch<invert_body>(grid{1, asking, 1}, invert);
    if (s) s = squares(values.rows, nullptr, D, group, first, tokens, heads_.form);
    return s ? add_forms(v, heads_.form, heads_.logit, heads_.mean, group, first, tokens) : s;
  }

  Call const& call_;
  score_memory<C> const& m_;
  head_memory const& heads_;
  float* out_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
