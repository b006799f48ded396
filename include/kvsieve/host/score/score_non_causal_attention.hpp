// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How score::non_causal_attention looks at a KV head: chunk after chunk.
#pragma once
#include <kvsieve/host/score/own_chunk.hpp>
#include <kvsieve/host/score/score_per_head.hpp>
#include <kvsieve/score/non_causal_attention.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <>
struct head_scorer<score::non_causal_attention> {
  using score_policy = score::non_causal_attention;
  using params = score_policy::params;

  /// Scratch of a worker.
  using room = chunk_room;
  /// Takes it from an arena.
  template <class Extents>
  static room carve(arena& a, Extents const& e, params const& p) {
    return room::carve(a, e, p.chunk);
  }

  /// Scores one KV head.
  template <class Head>
  static void score_head(params const& p, Head const& h, room const& r, float* score) {
    index const tokens = h.tokens(), last = tokens - p.recent;
    for (index t = 0; t < tokens; ++t) score[t] = 0;
    for (index from = p.sink; from < last; from += p.chunk) {
      index const to = last - from < p.chunk ? last : from + p.chunk;
      attend_in_chunk(h, from, to, p.as_source ? p.chunk - static_cast<int>(to - from) : 0, r, score);
    }
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
