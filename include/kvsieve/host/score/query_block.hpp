// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The inner pieces of attention scoring: up to 64 query positions of a query group against 64 keys at a time. Queries
// lie in the lanes, so maxima and sums over the keys need no shuffles, and keys are read as they lie in memory.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/query_set.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/host/score/tile_logits.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

inline constexpr int query_block_positions = 64;
inline constexpr int key_block = 64;

/// Rows are worked on in strips of up to two fragments, each contiguous in memory: the packed queries of a strip, 16 KB
/// at D 128, leave room in the first cache for the keys.
inline constexpr int strip_rows = 2 * fragment::lanes;

/// Queries of one KV head packed for the lanes, scaled by 1 / sqrt(D) (and by log2(e) where exponentials follow); row =
/// g * row_stride + w. The strip that starts at row r lies at packed + r * D as [D, rows of the strip].
struct query_block {
  float* packed;      ///< [D * padded]
  float* row_weight;  ///< [padded]: the accumulator's weight; 0 for padding and for queries that are not finite
  int* row_position;  ///< [padded]: the last token a row sees
  seen_keys* seen;    ///< [query_block_positions]: what a position sees
  cs::uint16_t* pairs = nullptr;  ///< [D * padded]: the same queries for the tiles, not scaled; nullptr: not in tiles
  float scale = 1;                ///< what the lanes' queries are scaled by
  int positions = 0, row_stride = 0, padded = 0;
  bool restricted = false;  ///< some position does not see all keys up to its last

  /// Rows in the strip that starts at `first_row`.
  [[nodiscard]] int strip(int first_row) const {
    return padded - first_row < strip_rows ? padded - first_row : strip_rows;
  }
  /// One past the last key that some position sees.
  [[nodiscard]] index visible() const {
    int most = -1;
    for (int w = 0; w < positions; ++w) most = most < seen[w].last ? seen[w].last : most;
    return most + 1;
  }
  /// True when some position sees some key of [first, first + key_block).
  [[nodiscard]] bool sees_some(index first) const {
    if (!restricted) return true;
    for (int w = 0; w < positions; ++w)
      if (seen[w].sees_some(static_cast<int>(first), static_cast<int>(first) + key_block)) return true;
    return false;
  }
  /// True when every position sees all of them.
  [[nodiscard]] bool sees_all(index first) const {
    for (int w = 0; w < positions; ++w)
      if (!seen[w].sees_all(static_cast<int>(first), static_cast<int>(first) + key_block)) return false;
    return true;
  }
  /// What a row sees; rows of padding as the last position.
  [[nodiscard]] seen_keys const& seen_of(int row) const {
    int const w = row % row_stride;
    return seen[w < positions ? w : positions - 1];
  }
};

/// Packs query positions [first, first + positions) of the group of `head`; query 0 is row `query_row` of `queries`.
/// `row_stride` >= positions; query i of query head g counts weight(g, i). block.seen holds what each position sees.
/// Where block.pairs is set, bf16 queries of D % 32 == 0 are packed there too.
template <class Queries, class Weight>
void pack_queries(Queries const& queries, index head, int group, index query_row, index first, int positions,
                  int row_stride, double unit, Weight const& weight, query_block& block) {
  constexpr int D = head_dim_of<Queries>;
  float const scale = static_cast<float>(unit / __builtin_sqrt(static_cast<double>(D)));
  block.scale = scale;
  block.positions = positions;
  block.row_stride = row_stride;
  block.padded = round_up(group * row_stride, fragment::lanes);
  for (int row = 0; row < block.padded; ++row) {
    int const g = row / row_stride, w = row % row_stride;
    int const first_row = row / strip_rows * strip_rows, width = block.strip(first_row);
    float* const packed = block.packed + first_row * D + (row - first_row);
    bool usable = g < group && w < positions;
    auto const row_at = [&] { return row_of(queries, head * group + g, query_row + first + w); };
    if (usable) {
      auto const q = row_at();
      for (int d = 0; d < D; ++d) usable = usable && finite(to_float(q[d]));
      if (usable)
        for (int d = 0; d < D; ++d) packed[d * width] = to_float(q[d]) * scale;
    }
    if (!usable)
      for (int d = 0; d < D; ++d) packed[d * width] = 0.0f;
    if constexpr (cs::is_same_v<element_of<Queries>, bf16>)
      if (block.pairs != nullptr)
        for (int d = 0; d < D; ++d)
          block.pairs[first_row * D + pair_place(row - first_row, d, width)] = usable ? row_at()[d].bits : 0;
    block.row_weight[row] = usable ? weight(g, static_cast<int>(first) + w) : 0.0f;
    block.row_position[row] = block.seen_of(row).last;
  }
}

/// Logits of KJ keys against V fragments of queries, into tile[key][V * lanes].
template <int D, int KJ, int V>
KVSIEVE_INLINE void logits(float const* packed, float const* keys, index stride, float* tile) {
  constexpr int lanes = fragment::lanes;
  fragment sum[KJ][V];
  KVSIEVE_UNROLL for (int j = 0; j < KJ; ++j) KVSIEVE_UNROLL for (int v = 0; v < V; ++v) sum[j][v] = fragment(0.0f);
  for (int d = 0; d < D; ++d) {
    fragment q[V];
    KVSIEVE_UNROLL for (int v = 0; v < V; ++v) q[v] = pinned(load(packed + (d * V + v) * lanes));
    KVSIEVE_UNROLL for (int j = 0; j < KJ; ++j) {
      fragment const k(keys[j * stride + d]);
      KVSIEVE_UNROLL for (int v = 0; v < V; ++v) sum[j][v] = fma(q[v], k, sum[j][v]);
    }
  }
  KVSIEVE_UNROLL for (int j = 0; j < KJ; ++j) KVSIEVE_UNROLL for (int v = 0; v < V; ++v)
      store(tile + (j * V + v) * lanes, sum[j][v]);
}

/// One block of keys as floats, and which of them are not finite.
struct key_tile {
  float const* keys;
  index stride;
  int count;               ///< keys of the block that exist
  unsigned long long bad;  ///< bit j: key j is not finite
};

/// Keys [first, first + 64) of a head: where they lie when they are floats in rows and all there, else a copy in
/// `room`.
template <class Keys>
key_tile load_keys(Keys const& keys, index head, index first, float* room) {
  constexpr int D = head_dim_of<Keys>, lanes = fragment::lanes;
  int const count = static_cast<int>(keys.extent(1) - first < key_block ? keys.extent(1) - first : key_block);
  key_tile tile{room, D, count, 0};
  bool copy = true;
  constexpr int run = strided_run<Keys>;
  if constexpr (contiguous_rows<Keys> && cs::is_same_v<element_of<Keys>, float> && run % key_block == 0) {
    if (count == key_block && (run == 0 || first % key_block == 0)) {
      tile.keys = row_of(keys, head, first);
      tile.stride = token_stride_of(keys);
      copy = false;
    }
  }
  for (int j0 = 0; j0 < key_block; j0 += lanes) {
    fragment zeros[lanes];  // 0 for finite keys, NaN for others
    for (int j = 0; j < lanes; ++j) {
      zeros[j] = fragment(0.0f);
      if (j0 + j >= count) {
        for (int c = 0; c < D; c += lanes) store(room + (j0 + j) * D + c, fragment(0.0f));
        continue;
      }
      auto const row = row_of(keys, head, first + j0 + j);
      KVSIEVE_UNROLL for (int c = 0; c < D; c += lanes) {
        fragment const k = load_row(row, c);
        zeros[j] = fma(k, fragment(0.0f), zeros[j]);
        if (copy) store(room + (j0 + j) * D + c, k);
      }
    }
    fragment const sums = sum_rows(zeros);
    for (int j = 0; j < lanes && j0 + j < count; ++j)
      if (!(sums[j] == 0.0f)) tile.bad |= 1ull << (j0 + j);
  }
  return tile;
}

/// Logits of the strip of V fragments of rows at `first_row` over one block of keys, into e[key][row].
template <int D, int V>
KVSIEVE_INLINE void block_logits(query_block const& q, int first_row, key_tile const& k, float* e) {
  constexpr int lanes = fragment::lanes;
  constexpr int KJ = paired_sums, rest = key_block % KJ;
  auto const block = [&](auto keys, int j) {
    logits<D, decltype(keys)::value, V>(q.packed + first_row * D, k.keys + j * k.stride, k.stride, e + j * V * lanes);
  };
  for (int j = 0; j + KJ <= key_block; j += KJ) block(cs::integral_constant<int, KJ>{}, j);
  if constexpr (rest > 0) block(cs::integral_constant<int, rest>{}, key_block - rest);
}
/// The same in tiles.
template <int D, int V, class Tiles>
KVSIEVE_INLINE void block_logits(query_block const& q, int first_row, key_pairs<Tiles> const& k, float* e) {
  tile_logits<D, V>(q.pairs + first_row * D, k, q.scale, e);
}

/// The logits that rows see, of the strip of V fragments at `first_row` over one block of keys, a key_tile or
/// key_pairs, into e[key][row]; what a row does not see gives `unseen`. With `Idle`, so do rows without weight.
template <int D, int V, bool Idle, class Block>
KVSIEVE_INLINE void seen_logits(query_block const& q, int first_row, Block const& k, index first_key, float unseen,
                                float* e) {
  constexpr int lanes = fragment::lanes;
  block_logits<D, V>(q, first_row, k, e);

  int const* const position = q.row_position + first_row;
  int lowest = position[0];
  for (int r = 1; r < V * lanes; ++r) lowest = position[r] < lowest ? position[r] : lowest;
  if (k.count < key_block || k.bad != 0 || first_key + key_block - 1 > lowest)
    for (int j = 0; j < key_block; ++j) {
      bool const absent = j >= k.count || (k.bad >> j & 1u) != 0;
      for (int r = 0; r < V * lanes; ++r)
        if (absent || first_key + j > position[r]) e[j * V * lanes + r] = unseen;
    }
  if (q.restricted && !q.sees_all(first_key))
    for (int r = 0; r < V * lanes; ++r) {
      seen_keys const& seen = q.seen_of(first_row + r);
      for (int j = 0; j < key_block; ++j)
        if (!seen.sees(static_cast<int>(first_key) + j)) e[j * V * lanes + r] = unseen;
    }
  if constexpr (Idle)
    for (int r = 0; r < V * lanes; ++r)
      for (int j = 0; j < key_block && q.row_weight[first_row + r] == 0.0f; ++j) e[j * V * lanes + r] = unseen;
}

/// For the strip of V fragments of rows at `first_row`, e[key][row] = 2^(logit - m[row]) over one block of keys; m is
/// the rows' maximum over the block and s the sum. What a row does not see gives 0; a row that sees nothing has m =
/// -inf.
template <int D, int V, class Block>
void exponentials(query_block const& q, int first_row, Block const& k, index first_key, float* e, float* m, float* s) {
  constexpr int lanes = fragment::lanes;
  float const minus_inf = -__builtin_inff();
  seen_logits<D, V, false>(q, first_row, k, first_key, minus_inf, e);
  fragment most[V], total[V];
  KVSIEVE_UNROLL for (int v = 0; v < V; ++v) most[v] = fragment(minus_inf), total[v] = fragment(0.0f);
  for (int j = 0; j < key_block; ++j)
    KVSIEVE_UNROLL for (int v = 0; v < V; ++v) most[v] = max(most[v], load(e + (j * V + v) * lanes));
  for (int j = 0; j < key_block; ++j) KVSIEVE_UNROLL for (int v = 0; v < V; ++v) {
      fragment const x = exp2(load(e + (j * V + v) * lanes) - most[v]);
      total[v] += x;
      store(e + (j * V + v) * lanes, x);
    }
  KVSIEVE_UNROLL for (int v = 0; v < V; ++v) {
    store(m + v * lanes, most[v]);
    store(s + v * lanes, total[v]);
  }
}

/// Asks for the keys of the block after this one, a few lines at a time between the products.
template <class Keys>
void prefetch_keys(Keys const& keys, index head, index first) {
  if constexpr (contiguous_rows<Keys>) {
    constexpr std::size_t bytes = sizeof(element_of<Keys>) * static_cast<std::size_t>(head_dim_of<Keys>);
    for (index t = first; t < first + key_block && t < keys.extent(1); ++t) {
      auto const* p = reinterpret_cast<char const*>(row_of(keys, head, t));
      for (std::size_t b = 0; b < bytes; b += 64) __builtin_prefetch(p + b, 0, 2);
    }
  }
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
