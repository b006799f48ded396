// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The nearest kept row of evicted rows: a matrix product, blocked, whose results are met as they come and never stored.
// Bound by multiply-adds. Evicted rows lie turned, one in each lane, so the running maximum takes no shuffles.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/host/row/block_product.hpp>
#include <kvsieve/host/row/row_math.hpp>
#include <kvsieve/host/select/run_links.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Searches for up to `rows` evicted rows at a time.
template <class Nearest, row_view Keys>
class nearest_kept {
  static constexpr int D = head_dim_of<Keys>, lanes = fragment::lanes;
  static constexpr int blocks = 4;  ///< of evicted rows that one panel of kept rows meets
  static constexpr int panel = 32;  ///< kept rows; with a block they stay in the first cache

 public:
  static constexpr index rows = index{blocks} * product_rows;
  /// Floats of scratch that a worker needs.
  static constexpr index room = rows * D + index{panel} * D + panel + 3 * rows;

  /// For evicted[i], i in [0, count): the index into `kept` of the nearest one and how similar it is; -1 and -inf where
  /// there is none. @pre count <= rows
  static void find(Keys const& keys, index head, int const* kept, index kept_count, int const* evicted, index count,
                   float* scratch, int* target, float* similarity) {
    float* const turned = scratch;
    float* const rows_of_panel = turned + rows * D;
    float* const start = rows_of_panel + index{panel} * D;
    float *const square = start + panel, *const best = square + rows, *const at = best + rows;
    index const filled = (count + product_rows - 1) / product_rows;
    for (index b = 0; b < filled; ++b) {
      index const first = b * product_rows, here = count - first < product_rows ? count - first : product_rows;
      for (index i = 0; i < here; ++i)
        square[first + i] = prepare(keys, head, evicted[first + i], rows_of_panel + i * D);
      turn_rows([&](index i) { return static_cast<float const*>(rows_of_panel + i * D); }, here, 0, D,
                turned + first * D);
    }
    for (index i = 0; i < filled * product_rows; ++i) {
      best[i] = -__builtin_huge_valf();
      at[i] = cs::bit_cast<float>(-1);
    }
    for (index k = 0; k < kept_count; k += panel) {
      index const here = kept_count - k < panel ? kept_count - k : panel;
      for (index i = 0; i < here; ++i)
        start[i] = Nearest::start(prepare(keys, head, kept[k + i], rows_of_panel + i * D));
      for (index b = 0; b < filled; ++b)
        meet({rows_of_panel, D, 1}, here, static_cast<int>(k), turned + b * product_rows * D, start,
             best + b * product_rows, at + b * product_rows);
    }
    for (index i = 0; i < count; ++i) {
      target[i] = cs::bit_cast<int>(at[i]);
      similarity[i] = target[i] < 0 ? -__builtin_huge_valf() : Nearest::similarity(best[i], square[i]);
    }
  }

 private:
  static_assert(panel >= product_rows, "evicted rows are prepared where the panel lies");

  // Copies a row, times its factor; its sum of squares. Of a row that is not finite all is NaN, so it is never larger.
  static float prepare(Keys const& keys, index head, index token, float* to) {
    auto const row = row_of(keys, head, token);
    fragment squares(0.0f);
    for (int d = 0; d < D; d += lanes) {
      fragment const x = load_row(row, d);
      squares = fma(x, x, squares);
      store(to + d, x);
    }
    float const square = sum(squares);
    bool const finite = square - square == 0.0f;
    fragment const factor(finite ? Nearest::factor(square) : __builtin_nanf(""));
    for (int d = 0; d < D; d += lanes) store(to + d, load(to + d) * factor);
    return square;
  }

  static void meet(product_table const& of, index here, int first, float const* turned, float const* start, float* best,
                   float* at) {
    fragment most[product_columns], which[product_columns];
    KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c) {
      most[c] = load(best + c * lanes);
      which[c] = load(at + c * lanes);
    }
    block_product(
        of, here, turned, D, product_rows, [&](index j, int) { return fragment(start[j]); },
        [&](index j, int c, fragment sum) {
          auto const better = most[c] < sum;
          most[c] = where(better, sum, most[c]);
          which[c] = where(better, fragment(cs::bit_cast<float>(first + static_cast<int>(j))), which[c]);
        });
    KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c) {
      store(best + c * lanes, most[c]);
      store(at + c * lanes, which[c]);
    }
  }
};

/// The same by distance in tokens, over `kept` without what lies outside [from, to) tokens.
inline void find_nearest_position(int const* kept, index kept_count, int from, int to, int const* evicted, index count,
                                  int* target, float* similarity) {
  index first = 0, last = kept_count;
  while (first < kept_count && kept[first] < from) ++first;
  while (last > first && kept[last - 1] >= to) --last;
  index next = first;  // the first kept token behind the evicted one
  for (index i = 0; i < count; ++i) {
    while (next < last && kept[next] < evicted[i]) ++next;
    index best = next < last ? next : -1;
    if (next > first && (best < 0 || evicted[i] - kept[next - 1] <= kept[next] - evicted[i])) best = next - 1;
    target[i] = static_cast<int>(best);
    similarity[i] =
        best < 0 ? -__builtin_huge_valf()
                 : -static_cast<float>(kept[best] < evicted[i] ? evicted[i] - kept[best] : kept[best] - evicted[i]);
  }
}

/// The same along runs of linked neighbours: nearest::in_run. Without a target: -1 and -inf.
template <row_view Keys>
void find_in_runs(Keys const& keys, index head, int const* kept, index kept_count, int const* evicted, index count,
                  cs::span<float const> scores, float alike, int* target, float* similarity) {
  auto const score = [&](index k) { return ordered(scores[static_cast<cs::size_t>(kept[k])]); };
  index behind = 0;  // the first kept token behind the tokens looked at
  for (index first = 0, last; first < count; first = last + 1) {
    for (last = first; last + 1 < count && evicted[last + 1] == evicted[last] + 1;) ++last;
    while (behind < kept_count && kept[behind] < evicted[first]) ++behind;
    // From the left with the kept token in front, as far as the links go.
    bool linked = behind > 0;
    for (index i = first; i <= last; ++i) {
      float const link = linked ? cosine_between(keys, head, evicted[i] - 1, evicted[i]) : 0.0f;
      linked = linked && link >= alike;
      target[i] = linked ? static_cast<int>(behind - 1) : -1;
      similarity[i] = linked ? link : -__builtin_huge_valf();
    }
    // And from the right.
    linked = behind < kept_count;
    for (index i = last; i >= first && linked; --i) {
      float const link = cosine_between(keys, head, evicted[i], evicted[i] + 1);
      linked = link >= alike;
      if (!linked || (target[i] >= 0 && score(target[i]) < score(behind))) continue;
      target[i] = static_cast<int>(behind);
      similarity[i] = link;
    }
  }
}

/// Scratch of find_in_exact_runs for rows of up to `tokens` tokens, for each of some workers.
struct run_scratch {
  float *link = nullptr, *value = nullptr;  ///< [workers][room]
  int *safe = nullptr, *joined = nullptr;   ///< [workers][room]
  top_k_scratch top{};
  index room = 0;

  static run_scratch carve(arena& a, index tokens, index workers) {
    run_scratch s;
    s.room = round_up<index>(tokens, 16) + 16;
    auto const all = static_cast<std::size_t>(s.room * workers);
    s.link = a.take<float>(all);
    s.value = a.take<float>(all);
    s.safe = a.take<int>(all);
    s.joined = a.take<int>(all);
    s.top.key = a.take<unsigned>(all);
    s.top.candidate = a.take<unsigned>(all);
    return s;
  }
  /// That of one worker.
  [[nodiscard]] run_scratch of(index worker) const {
    index const at = room * worker;
    return {link + at, value + at, safe + at, joined + at, {top.key + at, top.candidate + at}, room};
  }
};

/// Along runs of as many links as tokens were evicted: nearest::in_run with `exact`. Without a target: -1 and -inf.
template <row_view Keys>
void find_in_exact_runs(Keys const& keys, index head, int const* kept, index kept_count, int const* evicted,
                        index count, cs::span<float const> scores, double heavy_share, run_scratch const& s,
                        int* target, float* similarity) {
  int const tokens = static_cast<int>(scores.size()), heavy = static_cast<int>(heavy_share * tokens);
  int forced = 0;
  for (float const x : scores) forced += x == __builtin_huge_valf() ? 1 : 0;
  int const safe = heavy < tokens - forced ? forced + heavy : tokens;
  top_k(scores.data(), tokens, safe, forced_set{tokens}, 0, s.safe, s.top);
  for (int t = 0; t + 1 < tokens; ++t) s.link[t] = cosine_between(keys, head, t, t + 1);
  int const links = choose_links(s.link, tokens, s.safe, safe, static_cast<int>(count), s.value, s.joined, s.top);
  int next = 0;        // links in front of the token looked at
  index k = 0, e = 0;  // kept and evicted tokens in front of it
  for (int begin = 0, end; begin < tokens; begin = end) {
    for (end = begin + 1; next < links && s.joined[next] == end - 1; ++next) ++end;
    while (k < kept_count && kept[k] < begin) ++k;
    bool const any = k < kept_count && kept[k] < end;
    for (; e < count && evicted[e] < end; ++e) {
      target[e] = any ? static_cast<int>(k) : -1;
      similarity[e] = any ? s.link[evicted[e] < kept[k] ? evicted[e] : evicted[e] - 1] : -__builtin_huge_valf();
    }
  }
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
