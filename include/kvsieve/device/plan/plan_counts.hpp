// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where the lists of a plan lie whose heads keep different numbers of tokens, as launches: offsets that the host knows
// are written, others counted from the scores.
#pragma once
#include <kvsieve/device/budget/count_best.hpp>
#include <kvsieve/device/budget/measure_rows.hpp>
#include <kvsieve/device/call/place_lists.hpp>
#include <kvsieve/device/call/write_numbers.hpp>
#include <kvsieve/device/plan/plan_curves.hpp>
#include <kvsieve/device/plan/plan_scores.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The counts of one plan.
template <strategy C, class Launcher, class Layer, class Queries>
class plan_counts {
  using budget = typename C::budget_policy;
  using memory = plan_memory<C>;
  using call_type = plan_call<C, Launcher, Layer, Queries>;
  using rules_type = typename memory::rules_type;

 public:
  plan_counts(call_type const& call, memory const& m) : call_(call), memory_(m) {}

  /// Launches them. Offsets lie in memory.device_offset afterwards.
  [[nodiscard]] status run() const {
    if constexpr (memory::measures || memory::of_statistics) {
      status s;
      if constexpr (memory::measures) s = measure();
      if (s) s = write_layout();
      if (s) s = split_sequences();
      return s ? place() : s;
    } else if constexpr (memory::ranks) {
      if constexpr (memory::curves)
        if (status const s = plan_curves<C, call_type>(call_, memory_).run(); !s) return s;
      for (int shift = 24; shift >= 0; shift -= 8)
        if (status const s = pass(shift); !s) return s;
      if constexpr (memory::splits)
        if (status const s = split(); !s) return s;
      if constexpr (shared_ranking<budget>)
        if (status const s = share(); !s) return s;
      if constexpr (memory::curves) {
        spread_counts_args const spread{memory_.count_of_view, memory_.count, rows(), call_.heads()};
        if (status const s = call_.on.template launch<spread_counts_body>(grid{}, spread); !s) return s;
      }
      return place();
    } else {
      write_offsets_args args{};
      for (index first = 0; first <= rows(); first += write_offsets_args::limit) {
        index const left = rows() + 1 - first;
        args.offset = memory_.device_offset + first;
        args.count = static_cast<int>(left < write_offsets_args::limit ? left : write_offsets_args::limit);
        for (int i = 0; i < args.count; ++i) args.value[i] = memory_.offset[first + i];
        if (status const s = call_.on.template launch<write_offsets_body>(grid{}, args); !s) return s;
      }
      return {};
    }
  }

 private:
  [[nodiscard]] index rows() const { return index{call_.views()} * call_.heads(); }
  /// Rows of a view that are ranked.
  [[nodiscard]] int each() const { return memory::curves ? 1 : call_.heads(); }

  /// What was measured of the views.
  [[nodiscard]] double const* statistics() const {
    if constexpr (cs::is_same_v<Layer, scored_layer>)
      return call_.layer(0).statistic;
    else
      return memory_.statistic;
  }

  [[nodiscard]] status place() const {
    place_lists_args const args{memory_.count, rows(), memory_.device_offset};
    return call_.on.template launch<place_lists_body>(grid{}, args);
  }

  /// Eight bits of the cut of every ranking.
  [[nodiscard]] status pass(int shift) const {
    rules_type const rules = memory::rules(call_.layers, call_.params);
    count_keys_args keys{};
    keys.shift = shift;
    keys.white_list = call_.params.select.white_list.data();
    keys.white_count = static_cast<int>(call_.params.select.white_list.size());
    int at = 0;
    status s =
        launch_views<count_keys_body>(call_.on, call_.views(), each(), 1, keys, [&](int v, count_keys_part& part) {
          while (v >= memory_.ranking[at].last) ++at;
          counts::ranking const& r = memory_.ranking[at];
          int const tokens = call_.cached(v);
          forced_set const f = memory::forced_of(rules, call_.seen(v), average(r, each(), tokens));
          index const row = index{v} * each(), offset = memory_.score_offset[v];
          part = {memory::curves ? memory_.curve + offset / call_.heads() : memory_.scores + offset,
                  score_stride(tokens),
                  memory_.row + row,
                  memory_.at_least + row * key_bins,
                  memory_.state + at,
                  tokens,
                  f.sink,
                  f.recent,
                  memory::curves ? &memory_.curve_of[v].places : nullptr};
          return 1;
        });
    if (!s) return s;
    find_cut_args cut{};
    cut.shift = shift;
    auto const fill = [&](int i, find_cut_part& part) {
      counts::ranking const& r = memory_.ranking[i];
      index const row = index{r.first} * each(), rows = index{r.last - r.first} * each();
      // Rankings follow one another, so parts that begin there are nobody else's.
      int const parts = rows > rows_to_share ? static_cast<int>((rows + rows_of_part - 1) / rows_of_part) : 0;
      part = {memory_.row + row,
              memory_.at_least + row * key_bins,
              memory_.state + i,
              (memory::curves ? memory_.count_of_view : memory_.count) + row,
              memory_.scratch + row,
              r.total,
              rows,
              r.least,
              r.drop_ties,
              parts > 0 ? memory_.partial_sums + (row / rows_of_part + i) * (key_bins + 1) : nullptr,
              parts};
      return parts;
    };
    s = launch_views<add_rows_body>(call_.on, memory_.rankings, 1, 1, cut, fill);
    if (!s) return s;
    return launch_views<find_cut_body>(call_.on, memory_.rankings, 1, 1, cut, [&](int i, find_cut_part& part) {
      (void)fill(i, part);
      return 1;
    });
  }

  /// What is known of the views before there are scores.
  [[nodiscard]] status write_layout() const {
    rules_type const rules = memory::rules(call_.layers, call_.params);
    shape_rows<typename C::score_policy, Layer> const shape{call_.layers, call_.params.score};
    return write_numbers(call_.on, memory_.layout, call_.views(), [&](index i) {
      int const v = static_cast<int>(i);
      forced_set const f = memory::forced_of(rules, call_.seen(v), memory::asked(call_.params, shape, v));
      view_layout of{call_.cached(v), f.sink, f.recent, false};
      if constexpr (requires { budget::whole(call_.params.budget, 1, 1); })
        of.whole = budget::whole(call_.params.budget, call_.views(), v);
      return of;
    });
  }

  /// A number of each head.
  [[nodiscard]] status measure() const {
    if constexpr (memory::measures) {
      shape_rows<typename C::score_policy, Layer> const shape{call_.layers, call_.params.score};
      measure_args<budget> args{{}, call_.params.budget};
      return launch_views<measure_rows_body<budget>>(
          call_.on, call_.views(), call_.heads(), 1, args, [&](int v, measure_part& part) {
            part = {memory_.scores + memory_.score_offset[v], memory_.row_number + index{v} * call_.heads(),
                    score_stride(call_.cached(v)), shape.scored(v)};
            return 1;
          });
    }
    return {};
  }

  /// From these, or from numbers of views, to counts.
  [[nodiscard]] status split_sequences() const {
    split_args<budget> args{{},
                            call_.params.budget,
                            call_.params.select.white_list.data(),
                            static_cast<int>(call_.params.select.white_list.size()),
                            0};
    if constexpr (memory::of_statistics) args.layers = counts::layers_of(call_.params.budget.layers, call_.views());
    auto const fill = [&](int i, split_part& part) {
      counts::ranking const& r = memory_.ranking[i];
      index const row = index{r.first} * call_.heads();
      part = {memory_.layout + r.first, nullptr,          memory_.row_number, nullptr, nullptr,
              memory_.count + row,      r.last - r.first, call_.heads()};
      if constexpr (memory::measures) {
        part.view = memory_.view + r.first;
        part.number += row;
        part.share = memory_.scratch + r.first;
      } else {
        part.number += r.first;
        part.statistic = statistics() + index{r.first} * 2;
      }
      return 1;
    };
    if constexpr (memory::measures)
      return launch_views<split_measured_body<budget>>(call_.on, memory_.rankings, 1, 1, args, fill);
    else
      return launch_views<split_statistics_body<budget>>(call_.on, memory_.rankings, 1, 1, args, fill);
  }

  /// What the views of a sequence have of its ranking.
  [[nodiscard]] status split() const {
    if (status const s = write_layout(); !s) return s;
    split_ranking_args<budget> args{{},
                                    call_.params.budget,
                                    call_.params.select.white_list.data(),
                                    static_cast<int>(call_.params.select.white_list.size()),
                                    call_.views(),
                                    call_.heads()};
    return launch_views<split_ranking_body<budget>>(
        call_.on, memory_.rankings, 1, 1, args, [&](int i, split_ranking_part& part) {
          counts::ranking const& r = memory_.ranking[i];
          index const row = index{r.first} * call_.heads();
          part = {memory_.layout + r.first, memory_.count + row, memory_.scratch + row, r.last - r.first};
          return 1;
        });
  }

  /// What the heads of a view have of its ranking.
  [[nodiscard]] status share() const {
    share_ranking_args<budget> args{{}, call_.params.budget};
    return launch_views<share_ranking_body<budget>>(
        call_.on, call_.views(), 1, 1, args, [&](int v, share_ranking_part& part) {
          index const row = index{v} * call_.heads();
          part = {memory_.row + row, memory_.count + row, memory_.scratch + row, call_.cached(v), call_.heads()};
          return 1;
        });
  }

  call_type const& call_;
  memory const& memory_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
