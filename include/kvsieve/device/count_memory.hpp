// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The memory of counts that differ between heads, and of those that kernels make from scores.
#pragma once
#include <cstddef>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/counts.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/count_best.hpp>
#include <kvsieve/select/whole_pieces.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The rows of scores of a call, of which only shapes are known.
template <class Score, class Layer>
struct shape_rows {
  cs::span<Layer const> layers;
  typename Score::params const& score;
  index* held = nullptr;

  [[nodiscard]] int views() const { return static_cast<int>(layers.size()); }
  [[nodiscard]] int heads() const { return layers.empty() ? 0 : layers[0].heads(); }
  [[nodiscard]] int tokens(int v) const {
    return describe<Score>(score, layers[static_cast<std::size_t>(v)].tokens()).tokens;
  }
  /// Memory of a budget's own, [views * heads].
  [[nodiscard]] index* scratch() const { return held; }
  /// Bytes of a token of a head, its key and its value.
  [[nodiscard]] static constexpr int row_bytes() { return token_bytes<Layer>(); }
};

/// What a head of a ranking keeps on average, at most its tokens.
[[nodiscard]] inline int average(counts::ranking const& r, int heads, int tokens) {
  index const rows = index{r.last - r.first} * heads, each = rows == 0 ? 0 : r.total / rows;
  return each < tokens ? static_cast<int>(each) : tokens;
}

/// What a plan counts in. Empty where all heads of a view keep the same number of tokens.
template <class C>
struct count_memory {
  using budget = typename C::budget_policy;
  /// The selection tells how many tokens stay, and asks no budget.
  static constexpr bool floats =
      counts_float<typename C::select_policy> && !select::in_whole_pieces<typename C::select_policy>;
  static constexpr bool splits = splits_ranking<budget> && !floats;
  static constexpr bool ranks = (ranked_budget<budget> || splits) && !floats;
  /// The host makes the counts of all views together.
  static constexpr bool shaped = shape_budget<budget> && !floats;
  /// The device alone knows how many tokens heads keep.
  static constexpr bool open = ranks || floats;
  /// Heads of a view keep different numbers of tokens.
  static constexpr bool by_head = open || shaped || budget::uniformity_class > uniformity::U2;

  index* device_offset = nullptr;      ///< device [views * heads + 1], where heads differ
  counts::ranking* ranking = nullptr;  ///< host [views], of a budget that ranks
  int* longest = nullptr;              ///< host [views], as open_plan has it
  index* equal = nullptr;              ///< host [views * heads], scratch
  int rankings = 0;                    ///< how many there are
  index room = 0;                      ///< tokens that all heads keep at most
  counted_row* row = nullptr;          ///< device [views * heads]
  int* count = nullptr;                ///< device [views * heads]: what they keep
  index* scratch = nullptr;            ///< device [views * heads]
  int* allotted = nullptr;             ///< host [views * heads], where the host makes them
  int* layout = nullptr;               ///< device [views, 3]: tokens, sinks and recent tokens, where rankings are split
  unsigned* at_least = nullptr;        ///< device [views * heads, key_bins]
  index* partial_sums = nullptr;       ///< device [parts, key_bins + 1], of rankings that blocks share
  ranking_state* state = nullptr;      ///< device [views]

  /// Carves it, and notes the rankings where there is memory.
  template <class Layer>
  static count_memory carve(arena& device, arena& host, cs::span<Layer const> layers, typename C::params const& p) {
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
      m.row = device.template take<counted_row>(rows);
      m.count = device.template take<int>(rows);
      m.scratch = device.template take<index>(rows);
      m.at_least = device.template take<unsigned>(rows * key_bins);
      m.state = device.template take<ranking_state>(views);
      if (rows > rows_to_share)
        m.partial_sums = device.template take<index>((rows / rows_of_part + views + 1) * (key_bins + 1));
      if constexpr (splits) m.layout = device.template take<int>(views * 3);
      m.rank(shape_rows<typename C::score_policy, Layer>{layers, p.score}, p.budget);
    }
    return m;
  }

 private:
  template <class Rows>
  void rank(Rows const& shape, typename budget::params const& p) {
    budget::rankings(p, shape, [&](counts::ranking const& r) {
      index most = r.total;
      if constexpr (shared_ranking<budget>) most = budget::room(p, shape.heads(), shape.tokens(r.first));
      if constexpr (splits) {
        most = 0;
        for (int v = r.first; v < r.last; ++v) most += index{shape.heads()} * shape.tokens(v);
      }
      if (ranking != nullptr) ranking[rankings] = r;
      for (int v = r.first; longest != nullptr && v < r.last; ++v)
        longest[v] = most < shape.tokens(v) ? static_cast<int>(most) : shape.tokens(v);
      room += most;
      ++rankings;
    });
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
