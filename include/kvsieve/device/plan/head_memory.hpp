// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What scores that look at all rows of a head are made in. Views follow one another in it.
#pragma once
#include <cstddef>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/score/head_rows.hpp>
#include <kvsieve/score/cap_kv.hpp>
#include <kvsieve/score/expected_attention.hpp>
#include <kvsieve/score/leverage.hpp>
#include <kvsieve/score/non_causal_attention.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// True for the scores that look at moments of a head.
template <class Score>
inline constexpr bool reads_moments = cs::is_same_v<Score, score::leverage> || cs::is_same_v<Score, score::cap_kv>;
/// @cond
template <class Statistics>
inline constexpr bool reads_moments<score::expected_attention<Statistics>> = true;
/// @endcond

/// Query heads of a view that such a score looks at: of its table, or of the queries.
template <class Score>
[[nodiscard]] index heads_of_statistics([[maybe_unused]] typename Score::params const& p, [[maybe_unused]] index views,
                                        [[maybe_unused]] int head_dim, index query_heads) {
  if constexpr (requires { p.statistics.mean; })
    return static_cast<index>(p.statistics.mean.size()) / (views * head_dim < 1 ? 1 : views * head_dim);
  else
    return query_heads;
}

/// The memory of such a score. Forms have D rows, or as many as the sketch has columns.
struct head_memory {
  index room = 0;               ///< rows of a view, rounded up
  double* frequency = nullptr;  ///< [D / 2]: of the model's rotation
  double* turn = nullptr;       ///< [2, D / 2]: its mean over positions to come
  float* cosine = nullptr;      ///< [room, D / 2]: of the positions of a view
  float* sine = nullptr;        ///< the same
  float* usable = nullptr;      ///< [heads, room]: keys that take part
  float* weight = nullptr;      ///< [query heads, room]: queries that do, or what values count
  double* partial = nullptr;    ///< [query heads, segments, D + 1]
  double* mean = nullptr;       ///< [query heads, D + 1]
  double* second = nullptr;     ///< [query heads, D, D]
  double* product = nullptr;    ///< [query heads, rows of a form, D], where moments are factored
  double* sketch = nullptr;     ///< [heads, D, rows of a form], where they are sketched
  double* gram = nullptr;       ///< [heads, rows of a form, the same]
  float* table = nullptr;       ///< [query heads, rows of a form, D]
  float* offset = nullptr;      ///< [query heads, D]
  float* logit = nullptr;       ///< [query heads, room]
  float* form = nullptr;        ///< the same, where there are forms beside them

  /// Carves it for views of up to `tokens` rows.
  template <class Score>
  static head_memory carve(arena& device, [[maybe_unused]] typename Score::params const& p, index tokens, index heads,
                           index query_heads, index D) {
    constexpr bool sketches = cs::is_same_v<Score, score::leverage>, weighs = cs::is_same_v<Score, score::cap_kv>;
    index size = D;
    if constexpr (sketches) size = p.sketch;
    auto const floats = [&](index n) { return device.template take<float>(static_cast<std::size_t>(n)); };
    auto const doubles = [&](index n) { return device.template take<double>(static_cast<std::size_t>(n)); };
    head_memory m;
    m.room = round_up<index>(tokens, 16);
    m.frequency = doubles(D / 2);
    m.turn = doubles(D);
    m.cosine = floats(m.room * (D / 2));
    m.sine = floats(m.room * (D / 2));
    m.usable = floats(heads * m.room);
    m.weight = floats(query_heads * m.room);
    m.partial = doubles(query_heads * (tokens / moment_rows + 1) * (D + 1));
    m.mean = doubles(query_heads * (D + 1));
    m.second = doubles(query_heads * D * D);
    m.product = doubles(sketches || weighs ? query_heads * size * D : 0);
    m.sketch = doubles(sketches ? heads * size * D : 0);
    m.gram = doubles(sketches ? heads * size * size : 0);
    m.table = floats(query_heads * size * D);
    m.offset = floats(query_heads * D);
    m.logit = floats(query_heads * m.room);
    m.form = floats(weighs ? query_heads * m.room : 0);
    return m;
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
