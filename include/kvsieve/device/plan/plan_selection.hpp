// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The selection of a plan as launches: rows, rows of unequal counts, spans, chunks, whole pieces, rounds, or what the
// scores alone tell.
#pragma once
#include <kvsieve/device/plan/plan_floating.hpp>
#include <kvsieve/device/plan/plan_scores.hpp>
#include <kvsieve/device/select/select.hpp>
#include <kvsieve/device/select/select_block_wise.hpp>
#include <kvsieve/device/select/select_pieces.hpp>
#include <kvsieve/device/select/select_representatives.hpp>
#include <kvsieve/device/select/select_segments.hpp>
#include <kvsieve/device/select/select_twice.hpp>
#include <kvsieve/select/top_k_in_chunks.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The selection of one plan, of which the scores are made and the lists laid out.
template <strategy C, class Launcher, class Layer, class Queries>
class plan_selection {
  using select_policy = typename C::select_policy;
  using memory = plan_memory<C>;
  using call_type = plan_call<C, Launcher, Layer, Queries>;
  static constexpr bool in_chunks = cs::is_same_v<select_policy, select::top_k_in_chunks>;

 public:
  plan_selection(call_type const& call, memory const& m)
      : call_(call), memory_(m), rules_(memory::rules(call.layers, call.params)) {}

  /// Launches it. The lists and the marks of forced tokens in the scores are there afterwards.
  [[nodiscard]] status run() const {
    if constexpr (memory::floats)
      return plan_floating(call_, memory_).run();
    else if constexpr (memory::rescores)
      return blocks();
    else if constexpr (memory::in_pieces)
      return pieces_of_rows();
    else if constexpr (memory::in_rounds)
      return rounds();
    else if constexpr (memory::in_spans)
      return spans();
    else
      return rows_and_long_ones();
  }

 private:
  [[nodiscard]] int kept(int v) const { return memory::kept(rules_, call_.seen(v), v); }
  [[nodiscard]] forced_set forced(int v) const { return memory::forced(rules_, call_.seen(v), v); }
  [[nodiscard]] index list_offset(int v) const { return memory_.offset[index{v} * call_.heads()]; }
  [[nodiscard]] float* scores(int v) const { return memory_.scores + memory_.score_offset[v]; }
  [[nodiscard]] float* beside(int v) const { return memory_.beside + memory_.score_offset[v]; }
  [[nodiscard]] int* first_list(int v) const { return memory_.first_list + list_offset(v); }
  [[nodiscard]] int* list(int v) const { return memory_.list + list_offset(v); }

  /// Arguments of a launch with the call's white list.
  template <class Args>
  [[nodiscard]] Args listing() const {
    Args args{};
    if constexpr (requires { call_.params.select.white_list; }) {
      args.white_list = call_.params.select.white_list.data();
      args.white_count = static_cast<int>(call_.params.select.white_list.size());
    }
    return args;
  }
  /// A view as one span.
  [[nodiscard]] select_part whole_row(int v) const {
    int const tokens = call_.cached(v), keep = kept(v);
    forced_set const f = forced(v);
    return {scores(v), list(v), score_stride(tokens), keep, tokens, keep, f.sink, f.recent, partition{0, tokens, 1}};
  }

  /// A row of many tokens has several blocks.
  [[nodiscard]] status rows_and_long_ones() const {
    status s;
    if constexpr (memory::by_head)
      s = rows_apart();
    else
      s = rows();
    if constexpr (memory::whole_rows) for_each_of<bracket_row_body, gather_keys_body, cut_row_body, write_kept_body>(s);
    return s;
  }
  [[nodiscard]] bool is_segmented(int v) const {
    return memory::whole_rows && call_.cached(v) > segmented_shape::longest_whole;
  }
  template <template <class> class... Body>
  void for_each_of(status& s) const {
    ((s = s ? segmented_rows<Body<select_policy>>() : s), ...);
  }
  template <class Body>
  [[nodiscard]] status segmented_rows() const {
    segmented_args<select_policy> args{{}, call_.params.select};
    unsigned* scratch = memory_.segmented;
    return launch_views<Body>(call_.on, call_.views(), call_.heads(), 1, args, [&](int v, segmented_part& part) {
      part = {};
      if (!is_segmented(v)) return 0;
      int const tokens = call_.cached(v);
      part = {scores(v), memory_.list, nullptr, scratch, score_stride(tokens), 0, 0, 0, 0, {tokens}};
      if constexpr (memory::by_head) {
        forced_set const f = memory::forced_of(rules_, call_.seen(v), 0);
        part.offset = memory_.device_offset + index{v} * call_.heads();
        part.sink = f.sink;
        part.recent = f.recent;
      } else {
        forced_set const f = forced(v);
        part.list = list(v);
        part.list_stride = part.keep = kept(v);
        part.sink = f.sink;
        part.recent = f.recent;
      }
      scratch += call_.heads() * part.shape.words();
      return Body::one_block ? 1 : part.shape.segments();
    });
  }

  [[nodiscard]] status rows() const {
    auto args = listing<select_args>();
    return launch_views<select_body>(call_.on, call_.views(), call_.heads(), 1, args, [&](int v, select_part& part) {
      part = whole_row(v);
      int const tokens = part.tokens;
      if (is_segmented(v)) {
        part.spans = {};
        part.inside_only = true;
        return 0;
      }
      if constexpr (select_policy::in_partitions) {
        part.spans = call_.seen(v).spans;
        part.keep =
            C::budget_policy::count(call_.params.budget, {part.spans.length, v, call_.views(), 0, call_.heads()});
        part.sink = part.recent = 0;
        if (part.spans.count == 0) part.spans = {tokens, 0, 0};  // all stay
      }
      if constexpr (in_chunks) {
        int const length = call_.params.select.length;
        row_share const share = rules_.share(call_.seen(v), rules_.allotted(call_.seen(v), v));
        part.spans = {0, length, tokens / length};
        part.last_length = tokens % length;
        part.keep = select_policy::kept(share, length);
        part.last_keep = select_policy::kept(share, part.last_length);
        return part.spans.count + (part.last_length > 0 ? 1 : 0);
      }
      return part.spans.count < 1 ? 1 : part.spans.count;
    });
  }

  /// Heads keep different numbers of tokens, which kernels read.
  [[nodiscard]] status rows_apart() const {
    select_rows_args<select_policy> args{{}, call_.params.select};
    return launch_views<select_rows_body<select_policy>>(
        call_.on, call_.views(), call_.heads(), 1, args, [&](int v, select_rows_part& part) {
          part = {};
          if (is_segmented(v)) return 0;
          // What depends on the count comes on top.
          forced_set const f = memory::forced_of(rules_, call_.seen(v), 0);
          int const tokens = call_.cached(v);
          part = {
              scores(v), memory_.list, memory_.device_offset + index{v} * call_.heads(), score_stride(tokens), tokens,
              f.sink,    f.recent};
          return 1;
        });
  }

  /// A span of a view is a part of a launch: spans and quotas are host memory.
  [[nodiscard]] status spans() const {
    auto const& p = call_.params.select;
    int const count = select_policy::spans(p);
    int written = 0;
    auto args = listing<select_args>();
    return launch_views<select_body>(
        call_.on, call_.views() * count, call_.heads(), 1, args, [&](int i, select_part& part) {
          int const v = i / count, span = i % count;
          part = whole_row(v);
          part.inside_only = true;
          bool const whole = select_policy::whole(p, part.keep, forced(v));
          if (whole && span > 0) {
            part.spans = {0, 0, 0};
            return 0;
          }
          if (whole) return 1;
          if (span == 0) {
            int const allotted = rules_.allotted(call_.seen(v), v);
            select_policy::share_out(p, allotted, forced(v), memory_.quota, memory_.number);
            written = 0;
          }
          part.spans = {select_policy::begin(p, span), select_policy::size(p, part.tokens, span), 1};
          part.keep = memory_.quota[span];
          part.list += written;
          written += part.keep;
          return 1;
        });
  }

  /// Means of pieces, a selection among them, and the tokens of those that stay.
  [[nodiscard]] status pieces_of_rows() const {
    means_args means{};
    status s =
        launch_views<piece_means_body>(call_.on, call_.views(), call_.heads(), 1, means, [&](int v, means_part& part) {
          auto const c = memory::choice(rules_, call_.seen(v), v);
          part = {scores(leader(v)), beside(v), score_stride(call_.cached(v)), c.pieces, c.by_token};
          return pieces(c.pieces.count(), Launcher::threads);
        });
    if (!s) return s;
    int const white_count = static_cast<int>(call_.params.select.white_list.size());
    if (white_count > 0) {
      auto listed = listing<listed_args>();
      s = launch_views<listed_pieces_body>(call_.on, call_.views(), 1, 1, listed, [&](int v, listed_part& part) {
        part = {memory_.listed + index{v} * white_count, memory::choice(rules_, call_.seen(v), v).pieces};
        return 1;
      });
      if (!s) return s;
    }
    s = memory::represents ? representatives(white_count) : among_pieces(white_count);
    if (!s) return s;
    auto spread = listing<spread_args>();
    return launch_views<spread_pieces_body>(call_.on, call_.views(), call_.heads(), 1, spread,
                                            [&](int v, spread_part& part) {
                                              auto const c = memory::choice(rules_, call_.seen(v), v);
                                              forced_set const f = forced(v);
                                              int const tokens = call_.cached(v);
                                              part = {scores(v), list(v), first_list(v), score_stride(tokens), tokens,
                                                      kept(v),   f.sink,  f.recent,      c.pieces.length,      c.rest};
                                              return pieces(tokens, segment_scores);
                                            });
  }
  [[nodiscard]] int const* listed(int v, int white_count) const {
    return white_count > 0 ? memory_.listed + index{v} * white_count : nullptr;
  }
  /// The pieces with the largest means.
  [[nodiscard]] status among_pieces(int white_count) const {
    select_args among{};
    return launch_views<select_body>(call_.on, call_.views(), call_.heads(), 1, among, [&](int v, select_part& part) {
      auto const c = memory::choice(rules_, call_.seen(v), v);
      forced_set const f = memory::forced_pieces(rules_, call_.seen(v), v);
      part = {beside(v), first_list(v), score_stride(call_.cached(v)), kept(v), f.tokens, c.kept,
              f.sink,    f.recent,      partition{0, f.tokens, 1}};
      part.listed = listed(v, white_count);
      part.listed_count = white_count;
      part.marks = false;
      return c.kept > 0 ? 1 : 0;
    });
  }
  /// The same, some of them for what they stand for.
  [[nodiscard]] status representatives([[maybe_unused]] int white_count) const {
    if constexpr (memory::represents) {
      representatives_args args{{}, call_.params.select};
      return launch_views<select_representatives_body>(
          call_.on, call_.views(), call_.heads(), 1, args, [&](int v, representatives_part& part) {
            auto const c = memory::choice(rules_, call_.seen(v), v);
            forced_set const f = memory::forced_pieces(rules_, call_.seen(v), v);
            index const at = memory_.score_offset[v];
            part = {scores(v),
                    beside(v),
                    memory_.bits + at,
                    memory_.place + at,
                    first_list(v),
                    score_stride(call_.cached(v)),
                    kept(v),
                    c.pieces,
                    c.kept,
                    f.sink,
                    f.recent,
                    listed(v, white_count),
                    white_count};
            return c.kept > 0 ? 1 : 0;
          });
    }
    return {};
  }
  /// The view whose scores view `v` goes by.
  [[nodiscard]] int leader(int v) const {
    if constexpr (requires { select_policy::follows(call_.params.select, v); })
      while (v > 0 && select_policy::follows(call_.params.select, v) && call_.cached(v - 1) == call_.cached(v)) --v;
    return v;
  }

  [[nodiscard]] status blocks() const {
    if constexpr (memory::rescores) {
      using keys_type = typename Layer::keys_type;
      block_wise_args<keys_type> args{{}, call_.params.select.block};
      return launch_views<block_wise_body<typename C::score_policy, keys_type>>(
          call_.on, call_.views(), call_.heads(), 1, args, [&](int v, block_wise_part<keys_type>& part) {
            int const tokens = call_.cached(v);
            part = {call_.layer(v).keys,  scores(v), beside(v), list(v), first_list(v),
                    score_stride(tokens), tokens,    kept(v)};
            return tokens > 0 ? 1 : 0;
          });
    }
    return {};
  }

  [[nodiscard]] status rounds() const {
    status s;
    if constexpr (C::weighs_last) {
      s = plan_scores(call_, memory_).weigh_beside(memory_.beside);
    } else {
      noisy_scores_body::args noisy{{}, call_.params.select};
      s = launch_views<noisy_scores_body>(
          call_.on, call_.views(), call_.heads(), 1, noisy, [&](int v, scores_part& part) {
            int const tokens = call_.cached(v);
            part = {scores(v), beside(v), score_stride(tokens), tokens, call_.heads(), 0, tokens, v * call_.heads()};
            return pieces(tokens, segment_scores);
          });
    }
    if (!s) return s;
    twice_args<select_policy> args{{}, call_.params.select};
    return launch_views<select_twice_body<select_policy>>(
        call_.on, call_.views(), call_.heads(), 1, args, [&](int v, twice_part& part) {
          int const tokens = call_.cached(v);
          if constexpr (memory::by_head) {
            forced_set const f = memory::forced_of(rules_, call_.seen(v), 0);
            part = {scores(v),
                    beside(v),
                    memory_.list,
                    memory_.first_list,
                    memory_.device_offset + index{v} * call_.heads(),
                    score_stride(tokens),
                    tokens,
                    0,
                    f.sink,
                    f.recent};
          } else {
            forced_set const f = forced(v);
            part = {scores(v), beside(v), list(v), first_list(v), nullptr, score_stride(tokens),
                    tokens,    kept(v),   f.sink,  f.recent};
          }
          return 1;
        });
  }

  call_type const& call_;
  memory const& memory_;
  typename memory::rules_type rules_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
