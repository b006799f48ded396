// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention on the host: a few new queries a head over a stored cache, exact, in one pass. Runs of rows are
// worked on by themselves and joined in order by their log-sum-exp, so the result is the same for any number of
// workers.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/attend_checks.hpp>
#include <kvsieve/core/attend_options.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/parts.hpp>
#include <kvsieve/host/attend/attend_segment.hpp>
#include <kvsieve/host/attend/fold_entries.hpp>
#include <kvsieve/host/attend/low_rank_features.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/store_row.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Nothing is remembered of the entries.
struct no_observation {};

/// @tparam Aggregate  no_observation, or the accumulator that is updated with every query's probabilities
template <executor Exec, class Queries, class Layer, class Aggregate = no_observation>
class attention {
  static constexpr bool observes = !cs::is_same_v<Aggregate, no_observation>;
  static constexpr int D = Layer::head_dim, lanes = fragment::lanes, n = D / lanes;
  static constexpr bool rotates = has_rotated_keys<Layer>;
  using partial = attention_partial<D>;

 public:
  attention(Exec const& on, cs::span<Queries const> queries, cs::span<Layer const> layers)
      : on_(on), queries_(queries), layers_(layers) {}

  [[nodiscard]] std::size_t bytes() const {
    arena counting;
    (void)carve(counting);
    return counting.used();
  }

  template <class Out>
  [[nodiscard]] status run(cs::span<Out const> out, attend_options const& options,
                           std::span<std::byte> workspace) const {
    return run(out, options, workspace, [](memory const&) {});
  }
  /// The same, and folds the probabilities into the states of the views.
  template <class Out, class State, class Params>
  [[nodiscard]] status run_observed(cs::span<Out const> out, attend_options const& options, cs::span<State> states,
                                    Params const& params, std::span<std::byte> workspace) const {
    if (status const s = check_states(states, params); !s) return s;
    return run(out, options, workspace, [&](memory const& m) { fold_all(m, states, params); });
  }

 private:
  template <class Out, class Then>
  [[nodiscard]] status run(cs::span<Out const> out, attend_options const& options, std::span<std::byte> workspace,
                           Then const& then) const {
    if (status const s = check::attention<check::host_rows>(queries_, layers_, out, options); !s) return s;
    if (status const s = check::workspace(workspace, bytes()); !s) return s;
    arena a(workspace);
    memory const m = carve(a);
    m.tasks.fill([&](index v) {
      index tasks = 0;
      each_part(layer(v), [&](auto const& part, int) { tasks += part.heads() * segments_of(part.tokens()); });
      return tasks;
    });
    m.first_partial[0] = m.first_row[0] = 0;
    for (index v = 0; v < views(); ++v) {
      m.first_partial[v + 1] = m.first_partial[v] + rows_of(v) * segments(v);
      m.first_row[v + 1] = m.first_row[v] + rows_of(v);
      if constexpr (observes) m.first_logit[v] = v == 0 ? 0 : m.first_logit[v - 1] + rows_of(v - 1) * room_of(v - 1);
      for (index r = 0; r < rows_of(v); ++r) scale_query(v, r, m, (m.first_row[v] + r) * D);
    }
    on_.for_each(m.tasks.count(), [&](index i, int) {
      auto const at = m.tasks.find(i);
      index const v = at.view;  // clang 14 captures no structured bindings
      index left = at.task, before = 0;
      each_part(layer(v), [&](auto const& part, int number) {
        index const here = segments_of(part.tokens()), tasks = part.heads() * here;
        if (left >= 0 && left < tasks) attend_task(v, part, number, left / here, left % here, before, m);
        left -= tasks;
        before += here;
      });
    });
    if (options.evicted.empty()) {
      for (index v = 0; v < views(); ++v)
        for (index r = 0; r < rows_of(v); ++r) join(m, out[static_cast<std::size_t>(v)], options, v, r);
    } else {
      m.tasks.fill([&](index v) { return rows_of(v); });
      on_.for_each(m.tasks.count(), [&](index i, int) {
        auto const at = m.tasks.find(i);
        join(m, out[static_cast<std::size_t>(at.view)], options, at.view, at.task);
      });
    }
    then(m);
    return {};
  }

  struct memory {
    task_numbers tasks;
    index* first_partial;
    index* first_row;
    float* rows;
    float* turned;  ///< rows, rotated; where keys are
    partial* partials;
    float* log_sum;  ///< [rows], times log2(e); observing only
    float* logits;   ///< of each row of each view, its entries, times log2(e); observing only
    index* first_logit;
  };
  [[nodiscard]] index views() const { return static_cast<index>(layers_.size()); }
  [[nodiscard]] Layer const& layer(index v) const { return layers_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] Queries const& queries(index v) const { return queries_[static_cast<std::size_t>(v)]; }
  /// Rows of queries of a view, Hq * T: row h * T + i is query i of head h.
  [[nodiscard]] index rows_of(index v) const { return queries(v).extent(0) * queries(v).extent(1); }
  [[nodiscard]] index segments(index v) const {
    index count = 0;
    each_part(layer(v), [&](auto const& part, int) { count += segments_of(part.tokens()); });
    return count;
  }

  /// Entries of the longest head of a view, through all parts, padded.
  [[nodiscard]] index room_of(index v) const {
    index sum = 0;
    each_part(layer(v), [&](auto const& part, int) { sum += part.tokens(); });
    return round_up<index>(sum, 16);
  }

  [[nodiscard]] memory carve(arena& a) const {
    index partials = 0, rows = 0;
    for (index v = 0; v < views() && v < static_cast<index>(queries_.size()); ++v) {
      partials += rows_of(v) * segments(v);
      rows += rows_of(v);
    }
    auto const ends = static_cast<std::size_t>(views() + 1);
    task_numbers const tasks = task_numbers::carve(a, views());
    index* const first_partial = a.take<index>(ends);
    index* const first_row = a.take<index>(ends);
    float* const scaled = a.take<float>(static_cast<std::size_t>(rows * D));
    float* const turned = rotates ? a.take<float>(static_cast<std::size_t>(rows * D)) : nullptr;
    partial* const pieces = a.take<partial>(static_cast<std::size_t>(partials));
    if constexpr (!observes)
      return {tasks, first_partial, first_row, scaled, turned, pieces, nullptr, nullptr, nullptr};
    index logits = 0;
    for (index v = 0; v < views() && v < static_cast<index>(queries_.size()); ++v) logits += rows_of(v) * room_of(v);
    float* const log_sum = a.take<float>(static_cast<std::size_t>(rows));
    float* const all = a.take<float>(static_cast<std::size_t>(logits));
    return {tasks, first_partial, first_row, scaled, turned, pieces, log_sum, all, a.take<index>(ends)};
  }

  /// A query row in floats, times log2(e) / sqrt(D), from `at` on; rotated as well where any part's keys are.
  void scale_query(index v, index r, memory const& m, index at) const {
    float const scale = static_cast<float>(1.4426950408889634 / __builtin_sqrt(static_cast<double>(D)));
    index const asked = queries(v).extent(1);
    auto const row = row_of(queries(v), r / asked, r % asked);
    float* const to = m.rows + at;
    for (int d = 0; d < D; ++d) to[d] = to_float(row[d]) * scale;
    if constexpr (rotates) {
      __builtin_memcpy(m.turned + at, to, sizeof(float) * D);
      rotate<D>(m.turned + at);
    }
  }

  /// One segment of one head of a part, for all query rows of its group, a few at a time.
  template <class Part>
  void attend_task(index v, Part const& part, int number, index head, index segment, index segments_before,
                   memory const& m) const {
    index const asked = queries(v).extent(1), group_rows = rows_of(v) / part.heads(), stride = segments(v);
    index const tokens = part.tokens(head), begin = segment * segment_rows;
    index const end = begin + segment_rows < tokens ? begin + segment_rows : tokens;
    attention_segment<Part> const piece(part, head);
    for (index first = 0; first < group_rows; first += attending_rows<D>::most) {
      attending_rows<D> rows;
      index const left = group_rows - first;
      rows.count = static_cast<int>(left < attending_rows<D>::most ? left : attending_rows<D>::most);
      for (int g = 0; g < rows.count; ++g) {
        index const r = head * group_rows + first + g;
        rows.query[g] = (is_rotated<typename Part::keys_type> ? m.turned : m.rows) + (m.first_row[v] + r) * D;
        rows.visible[g] = number == part_count<Layer> - 1 ? tokens - (asked - 1 - r % asked) : tokens;
        rows.result[g] = m.partials + m.first_partial[v] + r * stride + segments_before + segment;
        rows.logits[g] = nullptr;
        if constexpr (observes)
          rows.logits[g] = m.logits + m.first_logit[v] + r * room_of(v) + entries_before(v, head, number);
      }
      piece.run(rows, begin, end);
    }
  }

  /// What a query row reads of the evicted tokens' sums, as one more segment: their mass is its only weight.
  void read_sums(attend_options const& options, index v, index r, partial& sums) const {
    index const asked = queries(v).extent(1), head = r / asked;
    int const heads = static_cast<int>(queries(v).extent(0));
    low_rank_sums const& state = options.evicted[static_cast<std::size_t>(v)];
    alignas(64) float query[D];
    read_row(queries(v), head, r % asked, query);
    float phi[low_rank::most_rank];
    query_features<D>(options.features, query, static_cast<int>(v), heads, static_cast<int>(head), phi);
    int const kv_head = static_cast<int>(head) / (heads / state.heads);
    float mass = 0.0f;
    for (int c = 0; c < state.rank; ++c) mass += phi[c] * state.mass(kv_head)[c];
    if (mass == 0.0f) return;
    sums.most = ::log2f(mass);
    sums.total = 1.0f;
    for (int c = 0; c < state.rank; ++c) {
      float const share = phi[c] / mass;
      float const* const row = state.row(kv_head, c);
      for (int d = 0; d < D; ++d) sums.out[d] += share * row[d];
    }
  }

  /// Joins the segments of one query row in order. Without any entry the output is 0 and its log-sum-exp -inf.
  template <class Out>
  void join(memory const& m, Out const& out, attend_options const& options, index v, index r) const {
    index const count = segments(v);
    partial const* const pieces = m.partials + m.first_partial[v] + r * count;
    partial evicted;
    if (!options.evicted.empty()) read_sums(options, v, r, evicted);
    float most = evicted.most, total = 0.0f;
    for (index s = 0; s < count; ++s) most = most < pieces[s].most ? pieces[s].most : most;
    float sums[D] = {};
    auto const add = [&](partial const& piece) {
      float const factor = piece.most == most ? 1.0f : exp2(fragment(piece.most - most))[0];
      total += factor * piece.total;
      for (int d = 0; d < D; ++d) sums[d] += factor * piece.out[d];
    };
    for (index s = 0; s < count; ++s) add(pieces[s]);
    if (!options.evicted.empty()) add(evicted);
    bool const empty = most == -__builtin_inff() && total == 0.0f;
    if constexpr (observes) m.log_sum[m.first_row[v] + r] = empty ? 0.0f : most + ::log2f(total);
    index const asked = queries(v).extent(1);
    for (int d = 0; d < D; ++d) out(r / asked, r % asked, d) = empty ? 0.0f : sums[d] / total;
    if (!options.log_sum_exp.empty())
      options.log_sum_exp[static_cast<std::size_t>(v)](r / asked, r % asked) =
          empty ? -__builtin_inff() : 0.69314718f * (most + ::log2f(total));
  }

  static constexpr bool folds_together = folds_groups<Aggregate>;
  /// Heads of a view's state.
  [[nodiscard]] index state_heads(index v) const { return folds_together ? layer(v).heads() : queries(v).extent(0); }

  /// Entries of a head in the parts before one.
  [[nodiscard]] index entries_before(index v, index head, int part_number) const {
    index sum = 0;
    each_part(layer(v), [&](auto const& part, int i) { sum += i < part_number ? part.tokens(head) : 0; });
    return sum;
  }

  template <class State, class Params>
  [[nodiscard]] status check_states(cs::span<State> states, Params const& params) const {
    auto const at = [](auto x) { return static_cast<double>(x); };
    if constexpr (requires { params.check(); })
      if (status const s = params.check(); !s) return s;
    if (status const s = check::one_each("states", states.size(), layers_.size()); !s) return s;
    for (index v = 0; v < views() && v < static_cast<index>(queries_.size()); ++v) {
      auto const& s = states[static_cast<std::size_t>(v)];
      int const w = static_cast<int>(v);
      if (s.data == nullptr) return fail(errc::bad_pointer, "state", 0, "must not be null;", 0, w);
      if (s.counter != nullptr)
        return fail(errc::bad_pointer, "state.counter", 1, "is for the device; here it must be null,", 0, w);
      if (s.heads != state_heads(v))
        return fail(errc::bad_shape, "state.heads", s.heads,
                    folds_together ? "must equal the KV heads," : "must equal the query heads,", at(state_heads(v)), w);
      if (s.capacity % 16 != 0 || s.capacity < room_of(v))
        return fail(errc::bad_shape, "state.capacity", at(s.capacity), "must be a multiple of 16 and at least",
                    at(room_of(v)), w);
      if (s.queries < 0 || s.queries > most_tokens - most_new_queries)
        return fail(errc::bad_shape, "state.queries", s.queries, "must be at least 0 and at most",
                    most_tokens - most_new_queries, w);
    }
    return {};
  }

  /// Folds the probabilities of the new queries, in their order, into the state of every entry that they see.
  template <class State, class Params>
  void fold_all(memory const& m, cs::span<State> states, Params const& params) const {
    m.tasks.fill([&](index v) { return state_heads(v) * segments_of(room_of(v)); });
    on_.for_each(m.tasks.count(), [&](index i, int) {
      auto const at = m.tasks.find(i);
      index const v = at.view, pieces = segments_of(room_of(v)), q = at.task / pieces, asked = queries(v).extent(1);
      index const head = q / (state_heads(v) / layer(v).heads()), of_head = queries(v).extent(0) / state_heads(v);
      index const first = at.task % pieces * segment_rows, entries = entries_before(v, head, part_count<Layer>);
      index const last = first + segment_rows < entries ? first + segment_rows : entries;
      for (index a = 0; a < asked; ++a) {
        index const r = q * of_head * asked + a, seen = entries - (asked - 1 - a);
        folded_query const query{m.logits + m.first_logit[v] + r * room_of(v), m.log_sum + m.first_row[v] + r,
                                 static_cast<int>(of_head), asked * room_of(v), asked};
        fold_entries(states[static_cast<std::size_t>(v)], params, static_cast<int>(q), static_cast<int>(a), query,
                     first, last < seen ? last : seen, seen);
      }
    });
    for (index v = 0; v < views(); ++v)
      states[static_cast<std::size_t>(v)].queries += static_cast<int>(queries(v).extent(1));
  }
  Exec const& on_;
  cs::span<Queries const> queries_;
  cs::span<Layer const> layers_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
