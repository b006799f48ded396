// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of evict::merge: searches, gates, gathers the evicted tokens of each kept one, and writes the result.
#pragma once
#include <cuda/std/cmath>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/evict/gate.hpp>
#include <kvsieve/evict/merge_weight.hpp>
#include <kvsieve/evict/nearest.hpp>
#include <kvsieve/host/evict/evicted.hpp>
#include <kvsieve/host/evict/merger.hpp>
#include <kvsieve/host/evict/nearest_kept.hpp>
#include <kvsieve/host/row/move_rows.hpp>
#include <kvsieve/host/row/row_math.hpp>
#include <kvsieve/host/row/store_row.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Evict, class Layer>
class merger<merge_patterns::into_nearest, Evict, Layer> {
  using nearest = typename Evict::nearest;
  using gate = typename Evict::gate;
  using weight = typename Evict::weight;
  using what = typename Evict::what;
  using keys_type = typename Layer::keys_type;
  using search = nearest_kept<nearest, keys_type>;
  static constexpr int D = Layer::head_dim, lanes = fragment::lanes;
  static constexpr bool by_product = nearest::searched_by == kvsieve::nearest::way::product;
  static constexpr bool by_run = nearest::searched_by == kvsieve::nearest::way::run;
  static constexpr index pieces = 8;  ///< of a head's result, so that few heads still feed all workers

 public:
  using params = typename Evict::params;

  [[nodiscard]] static status check(token_plan const& plan, params const& p) {
    if constexpr (gate::shares)
      if (p.gate.together)
        for (int v = 0; v < plan.views; ++v)
          for (int h = 1; h < plan.heads; ++h)
            if (plan.count(v, h) != plan.count(v, 0))
              return fail(errc::bad_plan, "plan.count", plan.count(v, h),
                          "must, for evict.together, equal that of the first head,", plan.count(v, 0), v);
    return {};
  }

  static merger carve(arena& a, token_plan const& plan, [[maybe_unused]] params const& p, int workers) {
    auto const n = [](index count) { return static_cast<std::size_t>(count); };
    index const rows = index{plan.views} * plan.heads, evicted = evicted_lists::total(plan);
    merger m(evicted_lists::carve(a, plan), task_numbers::carve(a, by_product ? rows : 0));
    m.target_ = a.take<int>(n(evicted));
    m.similarity_ = a.take<float>(n(evicted));
    m.sorted_ = a.take<float>(n(gate::sorts ? evicted : 0));
    m.least_ = a.take<float>(n(rows));
    m.largest_ = a.take<float>(n(weight::scores ? rows : 0));
    m.begin_ = a.take<index>(n(plan.offset[rows] + rows));
    m.source_ = a.take<int>(n(evicted));
    m.scratch_ = a.take<float>(n(by_product ? round_up<index>(search::room, 16) * workers : 0));
    if constexpr (by_run) {
      index longest = 0;
      for (int v = 0; v < plan.views; ++v) longest = longest < plan.tokens(v) ? plan.tokens(v) : longest;
      if (p.nearest.exact) m.runs_ = run_scratch::carve(a, longest, workers);
    }
    return m;
  }

  template <class Exec, class Target>
  void run(Exec const& on, token_plan const& plan, params const& p, cs::span<Layer const> from,
           cs::span<Target const> to, cs::span<entry_bias_target const> bias) const {
    index const rows = index{plan.views} * plan.heads;
    evicted_.fill(on, plan);
    find(on, plan, p, from);
    on.for_each(plan.views, [&](index v, int) {
      gate::cut(p.gate, similarities(plan, static_cast<int>(v)), least_ + v * plan.heads);
    });
    on.for_each(rows, [&](index r, int) { gather(plan, p, r); });
    on.for_each(rows * pieces, [&](index task, int) {
      index const r = task / pieces, piece = task % pieces;
      int const v = static_cast<int>(r / plan.heads);
      entry_bias_target const b = bias.empty() ? entry_bias_target{} : bias[static_cast<std::size_t>(v)];
      index const count = plan.count(v, static_cast<int>(r % plan.heads));
      write(plan, p, r, from[static_cast<std::size_t>(v)], to[static_cast<std::size_t>(v)], b, count * piece / pieces,
            count * (piece + 1) / pieces);
    });
  }

 private:
  merger(evicted_lists const& evicted, task_numbers const& batches) : evicted_(evicted), batches_(batches) {}

  static int view_of(token_plan const& plan, index row) { return static_cast<int>(row / plan.heads); }
  static int head_of(token_plan const& plan, index row) { return static_cast<int>(row % plan.heads); }
  [[nodiscard]] kvsieve::gate::similarity_rows similarities(token_plan const& plan, int view) const {
    return {similarity_, evicted_.offset() + index{view} * plan.heads, plan.heads, view, sorted_};
  }
  /// Where the evicted tokens of a row's kept ones begin in source_, count + 1 numbers.
  [[nodiscard]] index* begins(token_plan const& plan, index row) const { return begin_ + plan.offset[row] + row; }

  template <class Exec>
  void find(Exec const& on, token_plan const& plan, [[maybe_unused]] params const& p,
            cs::span<Layer const> from) const {
    index const rows = index{plan.views} * plan.heads;
    if constexpr (by_product) {
      batches_.fill([&](index r) { return (evicted_.count(r) + search::rows - 1) / search::rows; });
      on.for_each(batches_.count(), [&](index number, int worker) {
        auto const [r, batch] = batches_.find(number);
        int const v = view_of(plan, r), h = head_of(plan, r);
        index const first = batch * search::rows, left = evicted_.count(r) - first;
        index const at = evicted_.offset()[r] + first;
        search::find(from[static_cast<std::size_t>(v)].keys, h, plan.kept(v, h).data(), plan.count(v, h),
                     evicted_.list(r) + first, left < search::rows ? left : search::rows,
                     scratch_ + round_up<index>(search::room, 16) * worker, target_ + at, similarity_ + at);
      });
    } else {
      on.for_each(rows, [&](index r, [[maybe_unused]] int worker) {
        int const v = view_of(plan, r), h = head_of(plan, r);
        index const at = evicted_.offset()[r];
        if constexpr (by_run) {
          if (p.nearest.exact)
            return find_in_exact_runs(from[static_cast<std::size_t>(v)].keys, h, plan.kept(v, h).data(),
                                      plan.count(v, h), evicted_.list(r), evicted_.count(r), plan.scores(v, h),
                                      p.nearest.heavy, runs_.of(worker), target_ + at, similarity_ + at);
          find_in_runs(from[static_cast<std::size_t>(v)].keys, h, plan.kept(v, h).data(), plan.count(v, h),
                       evicted_.list(r), evicted_.count(r), plan.scores(v, h), p.nearest.alike, target_ + at,
                       similarity_ + at);
        } else
          find_nearest_position(plan.kept(v, h).data(), plan.count(v, h), p.nearest.sink,
                                plan.tokens(v) - p.nearest.recent, evicted_.list(r), evicted_.count(r), target_ + at,
                                similarity_ + at);
      });
    }
  }

  // Sorts the tokens that are merged by their target, ascending in each.
  void gather(token_plan const& plan, params const& p, index r) const {
    int const v = view_of(plan, r), h = head_of(plan, r);
    auto const rows = similarities(plan, v);
    index const at = evicted_.offset()[r], count = plan.count(v, h), evicted = evicted_.count(r);
    index* const begin = begins(plan, r);
    if constexpr (weight::scores) largest_[r] = largest_mass(plan.scores(v, h));
    auto const passes = [&](index e) {
      if (target_[at + e] < 0) return false;
      if constexpr (gate::shares)
        return gate::judged(p.gate, rows, h, e) >= least_[r];
      else
        return similarity_[at + e] >= least_[r];
    };
    for (index k = 0; k <= count; ++k) begin[k] = 0;
    for (index e = 0; e < evicted; ++e)
      if (passes(e)) ++begin[target_[at + e]];
    for (index k = 0, sum = at; k <= count; ++k) {
      index const here = begin[k];
      begin[k] = sum;
      sum += here;
    }
    // begin[k] moves to the end of k's tokens, where those of k + 1 begin; then all move up by one.
    for (index e = 0; e < evicted; ++e)
      if (passes(e)) source_[begin[target_[at + e]]++] = static_cast<int>(e);
    for (index k = count; k > 0; --k) begin[k] = begin[k - 1];
    begin[0] = at;
  }

  template <class View, class To>
  static void finish(float* sum, float own, float divisor, View const& view, index head, index token, To const& to,
                     index row) {
    add_row(sum, own, view, head, token);
    fragment const each(divisor);
    for (int d = 0; d < D; d += lanes) store(sum + d, load(sum + d) / each);
    store_row(to, head, row, sum);
  }

  // Rows [first, last) of a head's result.
  template <class Target>
  void write(token_plan const& plan, params const& p, index r, Layer const& from, Target const& to,
             entry_bias_target const& bias, index first, index last) const {
    int const v = view_of(plan, r), h = head_of(plan, r);
    int const* const kept = plan.kept(v, h).data();
    int const* const evicted = evicted_.list(r);
    index const at = evicted_.offset()[r];
    index const* const begin = begins(plan, r);
    move_rows(from.keys, to.keys, h, kept, first, last);
    move_rows(from.values, to.values, h, kept, first, last);
    alignas(64) float keys[D];
    alignas(64) float values[D];
    for (index k = first; k < last; ++k) {
      float own = 1, before = 1, divisor = 0;
      if constexpr (weight::scores) {
        // A kept token without mass gives way to whatever merges into it.
        float const mass = mass_of(plan.scores(v, h)[static_cast<std::size_t>(kept[k])], largest_[r]);
        own = before = mass < 1e-30f ? 1e-30f : mass;
      }
      divisor = own;
      kvsieve::merge_weight::pair x;
      if constexpr (weight::value_norms) x.norm_own = kvsieve::sqrt(square_of(from.values, h, kept[k]));
      if constexpr (weight::key_distances) measure(from, h, kept[k], evicted, begin[k], begin[k + 1], x);
      bool any = false;
      for (index i = begin[k]; i < begin[k + 1]; ++i) {
        int const e = source_[i], token = evicted[e];
        float const key = square_of(from.keys, h, token), value = square_of(from.values, h, token);
        if (!finite(key) || !finite(value)) continue;
        x.similarity = similarity_[at + e];
        if constexpr (weight::value_norms) x.norm = kvsieve::sqrt(value);
        if constexpr (weight::scores)
          x.score = mass_of(plan.scores(v, h)[static_cast<std::size_t>(token)], largest_[r]);
        if constexpr (weight::key_distances) x.distance = square_between(from.keys, h, token, kept[k]);
        auto const c = weight::of(p.weight, x);
        if (!(c.divisor > 0)) continue;
        if (!any)
          for (int d = 0; d < D; ++d) keys[d] = values[d] = 0.0f;
        any = true;
        own += c.own;
        divisor += c.divisor;
        if constexpr (what::of_keys) add_row(keys, c.source, from.keys, h, token);
        if constexpr (what::of_values) add_row(values, c.source, from.values, h, token);
      }
      if (bias) bias.row(h)[k] = encode_bias(any ? kvsieve::min(cs::log(divisor / before), p.most_bias) : 0.0f);
      if (!any) continue;
      if constexpr (what::of_keys) finish(keys, own, divisor, from.keys, h, kept[k], to.keys, k);
      if constexpr (what::of_values) finish(values, own, divisor, from.values, h, kept[k], to.values, k);
    }
  }

  // The mean squared distance of a target's tokens, itself among them.
  void measure(Layer const& from, int head, int kept, int const* evicted, index begin, index end,
               kvsieve::merge_weight::pair& x) const {
    double sum = 0;
    int count = 0;
    for (index i = begin; i < end; ++i) {
      int const token = evicted[source_[i]];
      float const d = square_between(from.keys, head, token, kept);
      if (!finite(d) || !finite(square_of(from.values, head, token))) continue;
      sum += static_cast<double>(d);
      ++count;
    }
    x.sources = count;
    x.mean_distance = static_cast<float>(sum / (count + 1));
  }

  evicted_lists evicted_;
  task_numbers batches_;
  int *target_ = nullptr, *source_ = nullptr;        ///< by evicted token
  float *similarity_ = nullptr, *sorted_ = nullptr;  ///< by evicted token
  float *least_ = nullptr, *largest_ = nullptr;      ///< by row
  index* begin_ = nullptr;                           ///< by kept token, one more a row
  float* scratch_ = nullptr;                         ///< of the search, by worker
  run_scratch runs_{};                               ///< of the search in exact runs, by worker
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
