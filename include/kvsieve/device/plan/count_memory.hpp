// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The memory of counts that differ between heads, and of those that kernels make from scores.
#pragma once
#include <cstddef>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/counts.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/budget/count_best.hpp>
#include <kvsieve/device/budget/sort_rows.hpp>
#include <kvsieve/device/plan/scored_layers.hpp>
#include <kvsieve/select/whole_pieces.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The rows of scores of a call, of which only shapes are known.
template <class Score, class Layer>
struct shape_rows {
  layer_range<Layer> layers;
  typename Score::params const& score;
  index* held = nullptr;

  [[nodiscard]] int views() const { return static_cast<int>(layers.size()); }
  [[nodiscard]] int heads() const { return layers.empty() ? 0 : layers[0].heads(); }
  [[nodiscard]] int tokens(int v) const { return seen(v).tokens; }
  /// Tokens that have scores.
  [[nodiscard]] int scored(int v) const {
    int const tail = seen(v).ends.tail;
    return tail < tokens(v) ? tokens(v) - tail : 0;
  }
  [[nodiscard]] scored_view seen(int v) const { return seen_of<Score>(score, layers[static_cast<std::size_t>(v)]); }
  /// Memory of a budget's own, [views * heads].
  [[nodiscard]] index* scratch() const { return held; }
  /// Bytes of a token of a head, its key and its value.
  [[nodiscard]] int row_bytes() const { return shape_of(layers).row_bytes; }
};

/// What a row of a ranking keeps on average, at most its tokens; `each` of them are of a view.
[[nodiscard]] inline int average(counts::ranking const& r, int each, int tokens) {
  index const rows = index{r.last - r.first} * each, mean = rows == 0 ? 0 : r.total / rows;
  return mean < tokens ? static_cast<int>(mean) : tokens;
}

/// What a plan counts in. Empty where all heads of a view keep the same number of tokens.
template <class C>
struct count_memory {
  using budget = typename C::budget_policy;
  /// The selection tells how many tokens stay, and asks no budget.
  static constexpr bool floats =
      counts_float<typename C::select_policy> && !select::in_whole_pieces<typename C::select_policy>;
  static constexpr bool splits = splits_ranking<budget> && !floats;
  /// Rankings of views by their curves.
  static constexpr bool curves = ranks_curves<budget> && !floats;
  static constexpr bool ranks = (ranked_budget<budget> || splits || curves) && !floats;
  /// Sequences are split by a number of each head, or by two of each view.
  static constexpr bool measures = measures_rows<budget> && !floats;
  static constexpr bool of_statistics = reads_statistics<budget> && !floats;
  /// The host makes the counts of all views together.
  static constexpr bool shaped = shape_budget<budget> && !floats;
  /// The device alone knows how many tokens heads keep.
  static constexpr bool open = ranks || measures || of_statistics || floats;
  /// Heads of a view keep different numbers of tokens.
  static constexpr bool by_head = open || shaped || budget::uniformity_class > uniformity::U2;

  index* device_offset = nullptr;         ///< device [views * heads + 1], where heads differ
  counts::ranking* ranking = nullptr;     ///< host [views], of a budget that ranks; of others the sequences
  int* longest = nullptr;                 ///< host [views], as open_plan has it
  index* equal = nullptr;                 ///< host [views * heads], scratch
  int rankings = 0;                       ///< how many there are
  index room = 0;                         ///< tokens that all heads keep at most
  counted_row* row = nullptr;             ///< device [views * heads]
  int* count = nullptr;                   ///< device [views * heads]: what they keep
  index* scratch = nullptr;               ///< device [views * heads]
  int* allotted = nullptr;                ///< host [views * heads], where the host makes them
  view_layout* layout = nullptr;          ///< device [views], where tokens are split among them
  counts::sequence_view* view = nullptr;  ///< device [views], the same
  double* row_number = nullptr;           ///< device [views * heads], of a budget that measures; or a preference each
  unsigned* at_least = nullptr;           ///< device [views * heads, key_bins]
  index* partial_sums = nullptr;          ///< device [parts, key_bins + 1], of rankings that blocks share
  ranking_state* state = nullptr;         ///< device [views]
  unsigned* key[2] = {};                  ///< device, as many as scores, of a budget that sorts rows
  float* curve = nullptr;                 ///< device, a row for each view
  curve_row* curve_of = nullptr;          ///< device [views]
  int* count_of_view = nullptr;           ///< device [views]: what the heads of a view keep, by its curve

  /// Carves it, and notes the rankings where there is memory.
  template <class Layers>
  static count_memory carve(arena& device, arena& host, Layers const& layers, typename C::params const& p) {
    using Layer = typename Layers::value_type;
    count_memory m;
    std::size_t const views = layers.size();
    std::size_t const rows = views == 0 ? 0 : views * static_cast<std::size_t>(layers[0].heads());
    if constexpr (by_head) m.device_offset = device.template take<index>(rows + 1);
    if constexpr (floats) {
      m.longest = host.template take<int>(views);
      m.count = device.template take<int>(rows);
      shape_rows<typename C::score_policy, Layer> const shape{layers, p.score};
      for (int v = 0; v < shape.views(); ++v) {
        if (m.longest != nullptr) m.longest[v] = shape.tokens(v);
        m.room += index{shape.heads()} * shape.tokens(v);
      }
    } else if constexpr (shaped) {
      m.allotted = host.template take<int>(rows);
      m.equal = host.template take<index>(rows);
      shape_rows<typename C::score_policy, Layer> const shape{layers, p.score, m.equal};
      if (shape.heads() > 0) m.room = budget::total(p.budget, shape) * shape.heads();
      if (m.allotted != nullptr) budget::allot(p.budget, shape, m.allotted);
    } else if constexpr (ranks) {
      m.ranking = host.template take<counts::ranking>(views);
      m.longest = host.template take<int>(views);
      m.equal = host.template take<index>(rows);
      std::size_t const ranked = curves ? views : rows;
      m.row = device.template take<counted_row>(ranked);
      m.count = device.template take<int>(rows);
      m.scratch = device.template take<index>(ranked);
      m.at_least = device.template take<unsigned>(ranked * key_bins);
      m.state = device.template take<ranking_state>(views);
      if (ranked > rows_to_share)
        m.partial_sums = device.template take<index>((ranked / rows_of_part + views + 1) * (key_bins + 1));
      if constexpr (splits) m.layout = device.template take<view_layout>(views);
      shape_rows<typename C::score_policy, Layer> const shape{layers, p.score};
      if constexpr (curves) m.take_curves(device, shape);
      m.rank(shape, p.budget);
    } else if constexpr (measures || of_statistics) {
      m.ranking = host.template take<counts::ranking>(views);
      m.longest = host.template take<int>(views);
      m.equal = host.template take<index>(views);
      m.count = device.template take<int>(rows);
      m.layout = device.template take<view_layout>(views);
      m.row_number = device.template take<double>(measures ? rows : views);
      if constexpr (measures) {
        m.view = device.template take<counts::sequence_view>(views);
        m.scratch = device.template take<index>(views);
      }
      m.list_sequences(shape_rows<typename C::score_policy, Layer>{layers, p.score}, p.budget);
    }
    return m;
  }

 private:
  template <class Rows>
  void rank(Rows const& shape, typename budget::params const& p) {
    budget::rankings(p, shape, [&](counts::ranking const& r) {
      index most = r.total;
      if constexpr (shared_ranking<budget>) most = budget::room(p, shape.heads(), shape.tokens(r.first));
      if constexpr (curves) most *= shape.heads();
      if constexpr (splits) {
        most = 0;
        for (int v = r.first; v < r.last; ++v) most += index{shape.heads()} * shape.tokens(v);
      }
      if (ranking != nullptr) ranking[rankings] = r;
      index const of_head = curves ? r.total : most;
      for (int v = r.first; longest != nullptr && v < r.last; ++v)
        longest[v] = of_head < shape.tokens(v) ? static_cast<int>(of_head) : shape.tokens(v);
      room += most;
      ++rankings;
    });
  }
  /// Sequences, and what they keep together where shapes tell, a head; -1: they do not.
  template <class Rows>
  void list_sequences(Rows const& shape, typename budget::params const& p) {
    int const step = shape.views() == 0 ? 1 : budget::step(p, shape.views());
    for (int first = 0; first < shape.views(); first += step) {
      index total = -1, most = 0;
      if constexpr (requires { budget::total(p, shape, first); }) total = budget::total(p, shape, first);
      for (int v = first; v < first + step; ++v) {
        int const tokens = shape.tokens(v);
        most += tokens;
        if (longest != nullptr) longest[v] = total >= 0 && total < tokens ? static_cast<int>(total) : tokens;
      }
      if (ranking != nullptr) ranking[rankings] = {first, first + step, total};
      room += index{shape.heads()} * (total >= 0 ? total : most);
      ++rankings;
    }
  }
  template <class Rows>
  void take_curves(arena& device, Rows const& shape) {
    auto const views = static_cast<std::size_t>(shape.views());
    index places = 0;
    for (int v = 0; v < shape.views(); ++v) places += score_stride(shape.tokens(v));
    for (unsigned*& keys : key) keys = device.template take<unsigned>(static_cast<std::size_t>(places * shape.heads()));
    curve = device.template take<float>(static_cast<std::size_t>(places));
    curve_of = device.template take<curve_row>(views);
    count_of_view = device.template take<int>(views);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
