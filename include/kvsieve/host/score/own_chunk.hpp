// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Attention inside one chunk of tokens, all queries of a group against all keys: up to 64 query positions at a time, as
// in query_block.hpp, whose exponentials over the whole chunk are kept.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/host/score/query_block.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Scratch of one worker.
struct chunk_room {
  query_block queries;
  float* e;                 ///< [block of keys, strip, key, row]
  float *most, *total;      ///< [block of keys, row]: the largest logit and the sum of exponentials
  float* keys;              ///< [key, D]
  unsigned long long* bad;  ///< [block of keys]: bit j: key j is not finite

  template <class Extents>
  static chunk_room carve(arena& a, Extents const& x, int chunk) {
    auto const floats = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
    index const longest = chunk < x.tokens ? chunk : x.tokens;
    index const positions = longest < query_block_positions ? longest : query_block_positions;
    index const rows = round_up<index>(x.group * positions, fragment::lanes);
    index const blocks = (longest + key_block - 1) / key_block;
    chunk_room r{};
    r.queries.packed = floats(rows * x.head_dim);
    r.queries.row_weight = floats(rows);
    r.queries.row_position = a.take<int>(static_cast<std::size_t>(rows));
    r.queries.seen = a.take<seen_keys>(query_block_positions);
    r.e = floats(blocks * key_block * rows);
    r.most = floats(blocks * rows);
    r.total = floats(blocks * rows);
    r.keys = floats(index{key_block} * x.head_dim);
    r.bad = a.take<unsigned long long>(static_cast<std::size_t>(blocks));
    return r;
  }
};

namespace detail {
// From maxima and sums of the blocks to what their exponentials are multiplied by. `absent` keys of logit 0 take mass.
inline void chunk_factors(query_block const& q, index blocks, int absent, float share, chunk_room const& r) {
  constexpr int lanes = fragment::lanes;
  for (int row = 0; row < q.padded; row += lanes) {
    fragment most(absent > 0 ? 0.0f : -__builtin_inff()), sum(0.0f);
    for (index b = 0; b < blocks; ++b) most = max(most, load(r.most + b * q.padded + row));
    if (absent > 0) sum = fragment(static_cast<float>(absent)) * exp2(fragment(0.0f) - most);
    for (index b = 0; b < blocks; ++b)
      sum = fma(load(r.total + b * q.padded + row), exp2(load(r.most + b * q.padded + row) - most), sum);
    fragment const factor =
        where(fragment(0.0f) < sum, load(q.row_weight + row) * fragment(share) / sum, fragment(0.0f));
    for (index b = 0; b < blocks; ++b) {
      float* const m = r.most + b * q.padded + row;
      store(m, exp2(load(m) - most) * factor);
    }
  }
}

// Adds the probabilities of `lanes` keys of a block over all rows.
KVSIEVE_INLINE fragment chunk_sums(query_block const& q, float const* e, float const* factor, int key) {
  constexpr int lanes = fragment::lanes;
  fragment part[lanes];
  KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) part[j] = fragment(0.0f);
  for (int strip = 0; strip < q.padded; strip += strip_rows) {
    int const width = q.strip(strip);
    float const* const rows = e + index{strip} * key_block + key * width;
    for (int i = 0; i < width; i += lanes) {
      fragment const f = pinned(load(factor + strip + i));
      KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) part[j] = fma(load(rows + j * width + i), f, part[j]);
    }
  }
  return sum_rows(part);
}
}  // namespace detail

/// Adds to score[t], for t in [from, to), the mean over the group of what the queries of [from, to) give to t; then NaN
/// for keys that are not finite. `absent` more keys and queries of zeros are taken to be there.
template <class Head>
void attend_in_chunk(Head const& h, index from, index to, int absent, chunk_room const& r, float* score) {
  constexpr int D = Head::head_dim, lanes = fragment::lanes;
  auto const& keys = h.layer.keys;
  index const blocks = (to - from + key_block - 1) / key_block;
  float const share = 1.0f / static_cast<float>(h.group);
  for (index t = from; t < to; ++t)
    score[t] = static_cast<float>(absent) / static_cast<float>(to - from + absent);  // of the absent queries
  for (index first = from; first < to; first += query_block_positions) {
    int const positions = static_cast<int>(to - first < query_block_positions ? to - first : query_block_positions);
    query_block q = r.queries;
    for (int w = 0; w < positions; ++w) q.seen[w] = {static_cast<int>(to) - 1, 0, 0, 0, 0};
    // Not divided by sqrt(D).
    double const unit = 1.4426950408889634 * __builtin_sqrt(static_cast<double>(D));
    pack_queries(
        *h.queries, h.head, h.group, h.queries->extent(1) - h.tokens(), first, positions, positions, unit,
        [](int, int) { return 1.0f; }, q);

    for (index b = 0; b < blocks; ++b) {
      key_tile const k = load_keys(keys, h.head, from + b * key_block, r.keys);
      r.bad[b] = k.bad;
      for (int row = 0; row < q.padded; row += strip_rows) {
        float* const e = r.e + b * key_block * q.padded + row * key_block;
        float *const most = r.most + b * q.padded + row, *const total = r.total + b * q.padded + row;
        if (q.strip(row) == strip_rows)
          exponentials<D, 2>(q, row, k, from + b * key_block, e, most, total);
        else
          exponentials<D, 1>(q, row, k, from + b * key_block, e, most, total);
      }
    }
    detail::chunk_factors(q, blocks, absent, share, r);
    for (index b = 0; b < blocks; ++b)
      for (int j0 = 0; j0 < key_block && from + b * key_block + j0 < to; j0 += lanes) {
        fragment const sums = detail::chunk_sums(q, r.e + b * key_block * q.padded, r.most + b * q.padded, j0);
        for (int j = 0; j < lanes && from + b * key_block + j0 + j < to; ++j)
          score[from + b * key_block + j0 + j] += sums[j];
      }
  }
  for (index b = 0; b < blocks; ++b)
    for (int j = 0; r.bad[b] != 0 && j < key_block && from + b * key_block + j < to; ++j)
      if ((r.bad[b] >> j & 1u) != 0) score[from + b * key_block + j] = __builtin_nanf("");
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
