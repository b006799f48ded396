// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of evict::low_rank_state: kept rows move, features of the others are summed with their values. Bound by the
// multiply-adds of the features.
#pragma once
#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/evict/low_rank_state.hpp>
#include <kvsieve/host/attend/low_rank_features.hpp>
#include <kvsieve/host/evict/evicted.hpp>
#include <kvsieve/host/evict/merger.hpp>
#include <kvsieve/host/row/move_rows.hpp>
#include <kvsieve/host/row/row_math.hpp>
#include <kvsieve/host/row/store_row.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// psi of R key rows of a head [D].
template <int D, int R>
void key_features(evict::low_rank_state::params const& p, float const* const (&keys)[R], int view, int heads, int head,
                  float (&psi)[R][low_rank::most_rank]) {
  auto const of_head = [&](cs::span<float const> table, cs::int64_t size) {
    return tables::of_view(table, heads * size, p.layer, view) + head * size;
  };
  float const *const mix = of_head(p.mix, cs::int64_t{p.rank} * p.rank), *const scale = of_head(p.scale, p.rank),
                     *const mix_scale = of_head(p.mix_scale, p.rank);
  float y[R][low_rank::most_rank];
  features<D>(keys, of_head(p.in, cs::int64_t{D} * p.units), of_head(p.out, cs::int64_t{p.units} * p.rank), p.units,
              p.rank, y);
  for (int r = 0; r < R; ++r) {
    float mixed[low_rank::most_rank] = {};
    for (int i = 0; i < p.rank; ++i) {
      y[r][i] *= scale[i] < 0 ? -scale[i] : scale[i];
      for (int c = 0; c < p.rank; ++c) mixed[c] += y[r][i] * mix[i * p.rank + c];
    }
    for (int c = 0; c < p.rank; ++c) {
      float const b = y[r][c] + mix_scale[c] * mixed[c];
      psi[r][c] = b < 0 ? -b : b;
    }
  }
}

/// Adds listed tokens to the sums of every row, row = view * heads + head. Sums are formed for runs of a list by
/// themselves and joined in order, so the number of workers does not matter.
/// @tparam Lists  count(row) and list(row), the tokens of a row
template <class Layer, class Lists>
class add_to_sums {
  static constexpr int D = Layer::head_dim, together = 4;  ///< keys that share what is read of the tables

 public:
  using params = evict::low_rank_state::params;

  static add_to_sums carve(arena& a, Lists const& lists, params const& p, int views, int heads) {
    add_to_sums s;
    s.lists_ = lists;
    s.views_ = views;
    s.heads_ = heads;
    index tasks = 0;
    for (index r = 0; r < s.rows(); ++r) tasks += segments_of(lists.count(r));
    s.tasks_ = tasks;
    s.size_ = low_rank_sums::floats(1, p.rank, D);
    s.first_ = a.take<index>(static_cast<std::size_t>(s.rows() + 1));
    s.sums_ = a.take<double>(static_cast<std::size_t>(tasks * s.size_));
    return s;
  }

  template <class Exec>
  void run(Exec const& on, params const& p, cs::span<Layer const> from) const {
    first_[0] = 0;
    for (index r = 0; r < rows(); ++r) first_[r + 1] = first_[r] + segments_of(lists_.count(r));
    on.for_each(tasks_, [&](index task, int) {
      index r = 0;
      while (first_[r + 1] <= task) ++r;
      index const begin = (task - first_[r]) * segment_rows, count = lists_.count(r);
      sum(p, from, r, begin, begin + segment_rows < count ? begin + segment_rows : count, sums_ + task * size_);
    });
    for (index r = 0; r < rows(); ++r) {
      if (first_[r] == first_[r + 1]) continue;
      int const v = static_cast<int>(r / heads_), h = static_cast<int>(r % heads_);
      low_rank_sums const& state = p.state[static_cast<std::size_t>(v)];
      auto const add = [&](float* to, index i) {
        double sum = static_cast<double>(*to);
        for (index t = first_[r]; t < first_[r + 1]; ++t) sum += sums_[t * size_ + i];
        *to = static_cast<float>(sum);
      };
      for (index i = 0; i < index{p.rank} * D; ++i) add(state.row(h, 0) + i, i);
      for (int c = 0; c < p.rank; ++c) add(state.mass(h) + c, index{p.rank} * D + c);
    }
  }

 private:
  [[nodiscard]] index rows() const { return index{views_} * heads_; }

  // H, then z, of tokens [begin, end) of a list.
  void sum(params const& p, cs::span<Layer const> from, index r, index begin, index end, double* to) const {
    int const v = static_cast<int>(r / heads_), h = static_cast<int>(r % heads_);
    auto const& layer = from[static_cast<std::size_t>(v)];
    int const* const list = lists_.list(r);
    double* const mass = to + index{p.rank} * D;
    for (index i = 0; i < size_; ++i) to[i] = 0;
    for (index t = begin; t < end; t += together) {
      int const here = static_cast<int>(end - t < together ? end - t : together);
      alignas(64) float rows[together][D];
      float const* keys[together];
      for (int i = 0; i < together; ++i) {
        read_row(layer.keys, h, list[t + (i < here ? i : 0)], rows[i]);
        keys[i] = rows[i];
      }
      float psi[together][low_rank::most_rank];
      key_features<D>(p, keys, v, heads_, h, psi);
      for (int i = 0; i < here; ++i) {
        bool usable = finite(square_of(layer.keys, h, list[t + i])) && finite(square_of(layer.values, h, list[t + i]));
        for (int c = 0; c < p.rank; ++c) usable = usable && finite(psi[i][c]);
        if (!usable) continue;
        alignas(64) float value[D];
        read_row(layer.values, h, list[t + i], value);
        for (int c = 0; c < p.rank; ++c) {
          double const weight = static_cast<double>(psi[i][c]);
          for (int d = 0; d < D; ++d) to[c * D + d] += weight * static_cast<double>(value[d]);
          mass[c] += weight;
        }
      }
    }
  }

  Lists lists_{};
  int views_ = 0, heads_ = 0;
  index tasks_ = 0, size_ = 0;
  index* first_ = nullptr;  ///< [rows + 1], into the tasks
  double* sums_ = nullptr;  ///< [tasks][size]
};

/// Lists of the tokens that a plan evicts, counted before they are written.
struct lists_of_plan {
  token_plan const* plan = nullptr;
  evicted_lists evicted{};
  [[nodiscard]] index count(index row) const {
    int const v = static_cast<int>(row / plan->heads), h = static_cast<int>(row % plan->heads);
    return plan->tokens(v) - plan->count(v, h);
  }
  [[nodiscard]] int const* list(index row) const { return evicted.list(row); }
};

template <class Evict, class Layer>
class merger<merge_patterns::into_sums, Evict, Layer> {
 public:
  using params = typename Evict::params;

  [[nodiscard]] static status check(token_plan const& plan, params const& p) {
    status s;
    for (int v = 0; s && v < plan.views; ++v)
      s = low_rank::check_sums("evict.state", p.state[static_cast<std::size_t>(v)], plan.heads, p.rank, Layer::head_dim,
                               v);
    return s;
  }

  static merger carve(arena& a, token_plan const& plan, params const& p, int /*workers*/) {
    merger m;
    m.evicted_ = evicted_lists::carve(a, plan);
    m.add_ = add_to_sums<Layer, lists_of_plan>::carve(a, {&plan, m.evicted_}, p, plan.views, plan.heads);
    return m;
  }

  template <class Exec, class Target>
  void run(Exec const& on, token_plan const& plan, params const& p, cs::span<Layer const> from,
           cs::span<Target const> to, cs::span<entry_bias_target const> bias) const {
    evicted_.fill(on, plan);
    on.for_each(index{plan.views} * plan.heads, [&](index r, int) {
      int const v = static_cast<int>(r / plan.heads), h = static_cast<int>(r % plan.heads), count = plan.count(v, h);
      move_rows(from[static_cast<std::size_t>(v)].keys, to[static_cast<std::size_t>(v)].keys, h, plan.kept(v, h).data(),
                0, count);
      move_rows(from[static_cast<std::size_t>(v)].values, to[static_cast<std::size_t>(v)].values, h,
                plan.kept(v, h).data(), 0, count);
      if (bias.empty()) return;
      cs::uint8_t* const codes = bias[static_cast<std::size_t>(v)].row(h);
      for (int k = 0; k < count; ++k) codes[k] = 0;
    });
    add_.run(on, p, from);
  }

 private:
  evicted_lists evicted_;
  add_to_sums<Layer, lists_of_plan> add_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
