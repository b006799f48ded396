// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention as launches: segments of the rows of all views, a launch for each part of a layer, and one that
// joins them. The host only looks at shapes and numbers.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/attend_checks.hpp>
#include <kvsieve/device/attend/attend_join.hpp>
#include <kvsieve/device/attend/attend_segment.hpp>
#include <kvsieve/device/attend/attended_rows.hpp>
#include <kvsieve/device/attend/fold_entries.hpp>
#include <kvsieve/device/attend/read_sums.hpp>
#include <kvsieve/device/call/launch_views.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One call of attend: its arguments.
/// @tparam Aggregate  no_observation, or the accumulator that is updated with every query's probabilities
template <class Launcher, row_view Queries, stored_layer Layer, class Aggregate = no_observation>
class attention {
  static constexpr bool observes = !cs::is_same_v<Aggregate, no_observation>;
  static constexpr int D = Layer::head_dim, parts = part_count<Layer>;
  static_assert(Queries::is_always_strided(),
                "kvsieve::attend on the device reads queries by strides: give it kvsieve::make_rows");

 public:
  attention(Launcher const& on, cs::span<Queries const> queries, cs::span<Layer const> layers)
      : on_(on), queries_(queries), layers_(layers) {}

  /// Bytes of device memory that run() needs.
  [[nodiscard]] std::size_t bytes() const {
    arena counting;
    (void)carve(counting);
    return counting.used();
  }

  template <class Out>
  [[nodiscard]] status run(cs::span<Out const> out, attend_options const& options,
                           std::span<std::byte> workspace) const {
    memory m;
    return run(out, options, workspace, m, [](int) { return static_cast<int*>(nullptr); });
  }
  /// The same, and folds the probabilities into the states of the views.
  template <class Out, class State, class Params>
  [[nodiscard]] status run_observed(cs::span<Out const> out, attend_options const& options, cs::span<State> states,
                                    Params const& params, std::span<std::byte> workspace) const {
    if (status const s = check_states(states, params); !s) return s;
    memory m;
    auto const counter = [&](int v) { return states[at(v)].counter; };
    if (status const s = run(out, options, workspace, m, counter); !s) return s;
    fold_args<Aggregate> args{};
    args.params = params;
    int most_heads = 0;
    for (int v = 0; v < views(); ++v) most_heads = most_heads < states[at(v)].heads ? states[at(v)].heads : most_heads;
    status const s = launch_views<fold_entries_body<Aggregate>>(
        on_, views(), most_heads, 1, args, [&](int v, fold_part<Aggregate>& to) {
          observed_logits const own = logits_of(m, v, 0);
          to = {states[at(v)],
                own.row,
                m.log_sum + rows_before(v),
                own.before,
                own.room,
                own.ends,
                heads(v),
                static_cast<int>(queries(v).extent(1)),
                static_cast<int>(queries(v).extent(0) / state_heads(v))};
          return pieces(static_cast<int>(own.room), fold_entries_of_block);
        });
    if (!s) return s;
    for (int v = 0; v < views(); ++v) states[at(v)].queries += static_cast<int>(queries(v).extent(1));
    return {};
  }

 private:
  /// What a call works in: device memory.
  struct memory {
    attend_partials partials;
    float* log_sum = nullptr;  ///< [rows] of all views; observing only, as what follows
    float* logits = nullptr;   ///< of each view [rows, room]
    int* before = nullptr;     ///< of each view [heads, parts + 1]
  };

  template <class Out, class Counter>
  [[nodiscard]] status run(cs::span<Out const> out, attend_options const& options, std::span<std::byte> workspace,
                           memory& m, [[maybe_unused]] Counter const& counter) const {
    static_assert(Out::is_always_strided(),
                  "kvsieve::attend on the device writes by strides: give it kvsieve::make_rows");
    if (status const s = check::attention<attended_rows>(queries_, layers_, out, options); !s) return s;
    for (int v = 0; v < views(); ++v)
      if (status const s = fits_grid(v); !s) return s;
    if (status const s = check::workspace(workspace, bytes()); !s) return s;
    if (status const s = check_reach(out, options, workspace); !s) return s;
    arena a(workspace);
    m = carve(a);
    status s;
    [&]<int... I>(cs::integer_sequence<int, I...>) {
      if constexpr (observes) ((s = s ? count_part_number<I>(m, counter) : s), ...);
      ((s = s ? attend_part_number<I>(m) : s), ...);
    }(cs::make_integer_sequence<int, parts>{});
    if (s && !options.evicted.empty()) s = read_sums(m, options);
    return s ? join(m, out, options) : s;
  }

  /// A view whose rows and segments a grid of blocks holds.
  [[nodiscard]] status fits_grid(int v) const {
    auto const number = [](auto x) { return static_cast<double>(x); };
    if (queries(v).extent(0) > most_blocks_across)
      return fail(errc::bad_shape, "query.heads", number(queries(v).extent(0)), "must be at most", most_blocks_across,
                  v);
    status s;
    each_part(layers_[at(v)], [&](auto const& p, int) {
      index const blocks =
          index{pieces(p.tokens(), segment_tokens(v, p.tokens()))} * pieces(group_rows(v), pass_rows(group_rows(v)));
      if (s && blocks > most_tokens)
        s = fail(errc::bad_shape, "keys.tokens", p.tokens(),
                 "which are, with so many queries, too many blocks; at most", most_tokens, v);
    });
    return s;
  }
  /// What is read and written lies where kernels reach it.
  template <class Out>
  [[nodiscard]] status check_reach(cs::span<Out const> out, attend_options const& options,
                                   std::span<std::byte> workspace) const {
    status s = within_reach(on_, workspace.data(), "workspace");
    for (void const* const p : {options.features.in.data(), options.features.out.data()})
      if (s) s = within_reach(on_, p, "features");
    for (int v = 0; s && v < views(); ++v) {
      each_part(layers_[at(v)], [&](auto const& p, int) {
        if (s) s = layer_within_reach(on_, p, "keys", "values", v);
      });
      if (s) s = rows_within_reach(on_, queries(v), "query", v);
      if (s) s = rows_within_reach(on_, out[at(v)], "out", v);
      if (s && !options.evicted.empty()) s = within_reach(on_, options.evicted[at(v)].data, "evicted", v);
    }
    return s;
  }

  [[nodiscard]] static std::size_t at(int v) { return static_cast<std::size_t>(v); }
  template <int I>
  [[nodiscard]] auto const& part(int v) const {
    return kvsieve::detail::parts_of_layer<Layer>::template part<I>(layers_[static_cast<std::size_t>(v)]);
  }
  [[nodiscard]] int views() const { return static_cast<int>(layers_.size()); }
  [[nodiscard]] int heads(int v) const { return layers_[static_cast<std::size_t>(v)].heads(); }
  [[nodiscard]] Queries const& queries(int v) const { return queries_[static_cast<std::size_t>(v)]; }
  /// Rows of queries of a view, Hq * T.
  [[nodiscard]] index rows_of(int v) const { return queries(v).extent(0) * queries(v).extent(1); }
  /// Heads of a view's state.
  [[nodiscard]] index state_heads(int v) const {
    return folds_groups<Aggregate> ? index{heads(v)} : queries(v).extent(0);
  }
  /// Query rows of a KV head.
  [[nodiscard]] int group_rows(int v) const { return heads(v) < 1 ? 1 : static_cast<int>(rows_of(v) / heads(v)); }

  /// Query rows that share a pass over the tokens, for views with so many of a KV head.
  static constexpr int most_rows = D > 256 ? 4 : 8;
  [[nodiscard]] static constexpr int pass_rows(int rows) { return rows <= 1 ? 1 : rows <= 4 ? 4 : most_rows; }
  [[nodiscard]] int segment_tokens(int v, int tokens) const {
    int const rows = group_rows(v);
    return attend_segment_tokens(index{heads(v)} * pieces(rows, pass_rows(rows)), tokens);
  }
  /// Segments of the parts before one.
  [[nodiscard]] int segments_before(int v, int number) const {
    int count = 0;
    each_part(layers_[static_cast<std::size_t>(v)], [&](auto const& p, int i) {
      if (i < number) count += pieces(p.tokens(), segment_tokens(v, p.tokens()));
    });
    return count;
  }
  /// Those of all parts, and one for what is left of evicted tokens.
  [[nodiscard]] int segments(int v) const { return segments_before(v, parts) + 1; }

  /// Entries of the longest head of a view, through all parts, padded.
  [[nodiscard]] index room_of(int v) const {
    index sum = 0;
    each_part(layers_[at(v)], [&](auto const& p, int) { sum += p.tokens(); });
    return round_up<index>(sum, 16);
  }
  [[nodiscard]] index rows_before(int v) const {
    index rows = 0;
    for (int u = 0; u < v; ++u) rows += rows_of(u);
    return rows;
  }

  /// Partial results of all views, one behind another.
  [[nodiscard]] memory carve(arena& a) const {
    index count = 0, rows = 0, logits = 0, ends = 0;
    for (int v = 0; v < views() && v < static_cast<int>(queries_.size()); ++v) {
      count += rows_of(v) * segments(v);
      rows += rows_of(v);
      logits += rows_of(v) * room_of(v);
      ends += index{heads(v)} * (parts + 1);
    }
    auto const size = [](index n) { return static_cast<std::size_t>(n); };
    memory all;
    all.partials.sums = a.take<float>(size(count * D));
    all.partials.numbers = a.take<float>(size(count * 2));
    if constexpr (!observes) return all;
    all.log_sum = a.take<float>(size(rows));
    all.logits = a.take<float>(size(logits));
    all.before = a.take<int>(size(ends));
    return all;
  }
  /// Where the logits of a view's part are.
  [[nodiscard]] observed_logits logits_of(memory const& m, int v, int number) const {
    index logits = 0, ends = 0;
    for (int u = 0; u < v; ++u) {
      logits += rows_of(u) * room_of(u);
      ends += index{heads(u)} * (parts + 1);
    }
    return {m.logits + logits, room_of(v), m.before + ends, number, parts + 1};
  }
  template <int I, class Counter>
  [[nodiscard]] status count_part_number(memory const& m, Counter const& counter) const {
    using part_type = cs::remove_cvref_t<decltype(part<I>(0))>;
    count_entries_args<part_type> args{};
    auto const fill = [&](int v, count_entries_part<part_type>& to) {
      to = {part<I>(v), m.before + (logits_of(m, v, I).before - m.before),
            I,          parts + 1,
            counter(v), static_cast<int>(queries(v).extent(1))};
      return 1;
    };
    return launch_views<count_entries_body<part_type>>(on_, views(), 1, 1, args, fill);
  }

  template <class State, class Params>
  [[nodiscard]] status check_states(cs::span<State> states, Params const& params) const {
    auto const number = [](auto x) { return static_cast<double>(x); };
    if constexpr (requires { params.check(); })
      if (status const s = params.check(); !s) return s;
    if (status const s = check::one_each("states", states.size(), layers_.size()); !s) return s;
    for (int v = 0; v < views() && v < static_cast<int>(queries_.size()); ++v) {
      auto const& s = states[at(v)];
      if (s.data == nullptr) return fail(errc::bad_pointer, "state", 0, "must not be null;", 0, v);
      if (s.heads != state_heads(v))
        return fail(errc::bad_shape, "state.heads", s.heads,
                    folds_groups<Aggregate> ? "must equal the KV heads," : "must equal the query heads,",
                    number(state_heads(v)), v);
      if (s.capacity % 16 != 0 || s.capacity < room_of(v))
        return fail(errc::bad_shape, "state.capacity", number(s.capacity), "must be a multiple of 16 and at least",
                    number(room_of(v)), v);
      for (void const* const p : {static_cast<void const*>(s.data), static_cast<void const*>(s.counter)})
        if (status const lies = within_reach(on_, p, "state", v); !lies) return lies;
      if (auto const past = reinterpret_cast<std::uintptr_t>(s.counter) % alignof(int); past != 0)
        return fail(errc::bad_pointer, "state.counter", number(past), "bytes past the alignment that it needs,",
                    alignof(int), v);
      if (s.queries < 0 || s.queries > most_tokens - most_new_queries)
        return fail(errc::bad_shape, "state.queries", s.queries, "must be at least 0 and at most",
                    most_tokens - most_new_queries, v);
    }
    return {};
  }
  /// Calls f(first, last) for each run of views that share the number of rows of a pass.
  template <class F>
  [[nodiscard]] status each_run(F const& f) const {
    for (int first = 0; first < views();) {
      int last = first + 1;
      while (last < views() && pass_rows(group_rows(last)) == pass_rows(group_rows(first))) ++last;
      if (status const s = f(first, last); !s) return s;
      first = last;
    }
    return {};
  }

  template <int I>
  [[nodiscard]] status attend_part_number(memory const& m) const {
    attend_partials next = m.partials;
    return each_run([&](int first, int last) {
      switch (pass_rows(group_rows(first))) {
        case 1:
          return attend_views<I, 1>(first, last, m, next);
        case 4:
          return attend_views<I, 4>(first, last, m, next);
        default:
          return attend_views<I, most_rows>(first, last, m, next);
      }
    });
  }
  template <int I, int R>
  [[nodiscard]] status attend_views(int first, int last, [[maybe_unused]] memory const& m,
                                    attend_partials& next) const {
    using part_type = cs::remove_cvref_t<decltype(part<I>(0))>;
    using body = attend_segment_body<Queries, part_type, R, observes>;
    int most_heads = 0;
    for (int v = first; v < last; ++v) most_heads = most_heads < heads(v) ? heads(v) : most_heads;
    typename body::args args{};
    return launch_views<body>(on_, last - first, most_heads, 1, args, [&](int i, typename body::part_type& to) {
      int const v = first + i, tokens = part<I>(v).tokens();
      to.layer = part<I>(v);
      to.queries = queries(v);
      to.partials = take(next, v);
      to.before = segments_before(v, I);
      to.segment_tokens = segment_tokens(v, tokens);
      to.group_rows = group_rows(v);
      to.asked = static_cast<int>(queries(v).extent(1));
      to.has_own_rows = I == parts - 1;
      if constexpr (observes) to.logits = logits_of(m, v, I);
      return pieces(tokens, to.segment_tokens) * pieces(to.group_rows, R);
    });
  }
  /// What the query rows read of the sums that evicted tokens left.
  [[nodiscard]] status read_sums(memory const& m, attend_options const& options) const {
    attend_partials next = m.partials;
    low_rank_queries const& p = options.features;
    using body = read_sums_body<Queries>;
    typename body::args args{{}, p.rank, p.units};
    return launch_views<body>(on_, views(), 1, 1, args, [&](int v, read_sums_part<Queries>& to) {
      index const heads_of_query = queries(v).extent(0);
      cs::int64_t const in = cs::int64_t{D} * p.units, of = cs::int64_t{p.units} * p.rank;
      to = {queries(v),
            take(next, v),
            options.evicted[at(v)],
            tables::of_view(p.in, heads_of_query * in, p.layer, v),
            tables::of_view(p.out, heads_of_query * of, p.layer, v),
            segments(v) - 1};
      return static_cast<int>(rows_of(v));
    });
  }
  template <class Out>
  [[nodiscard]] status join(memory const& m, cs::span<Out const> out, attend_options const& options) const {
    attend_partials next = m.partials;
    attend_join_args<Out> args{};
    return launch_views<attend_join_body<Out>>(on_, views(), 1, 1, args, [&](int v, attend_join_part<Out>& to) {
      to.partials = take(next, v);
      to.used = segments(v) - (options.evicted.empty() ? 1 : 0);
      to.out = out[static_cast<std::size_t>(v)];
      to.log_sum_exp = options.log_sum_exp.empty() ? query_numbers{} : options.log_sum_exp[static_cast<std::size_t>(v)];
      to.log_sum = observes ? m.log_sum + rows_before(v) : nullptr;
      to.rows = static_cast<int>(rows_of(v));
      to.asked = static_cast<int>(queries(v).extent(1));
      return to.rows;
    });
  }
  /// The partial results of a view, which are the next ones.
  [[nodiscard]] attend_partials take(attend_partials& next, int v) const {
    attend_partials own = next;
    own.segments = segments(v);
    index const count = rows_of(v) * own.segments;
    next.numbers += 2 * count;
    next.sums += D * count;
    return own;
  }

  Launcher const& on_;
  cs::span<Queries const> queries_;
  cs::span<Layer const> layers_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
