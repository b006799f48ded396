// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of selections of which the scores alone tell how many tokens stay: a head's list is written where a
// whole row has room, and moved to its place when all counts are known.
#pragma once
#include <kvsieve/device/call/open_plan.hpp>
#include <kvsieve/device/call/scores_part.hpp>
#include <kvsieve/device/select/select.hpp>
#include <kvsieve/select/threshold.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of such a selection.
struct floating_part {
  float* score;  ///< [heads] rows of `stride`; forced tokens are marked +inf
  float* link;   ///< the same, cosines of neighbouring keys where the selection reads them
  int* list;     ///< the same: as many tokens as a row has may stay
  int* count;    ///< [heads]: how many do
  index stride;
  int tokens, sink, recent;
};
template <class Select>
struct floating_args {
  batch<floating_part> views;
  typename Select::params select;

  /// What stays whatever it scores.
  [[nodiscard]] KVSIEVE_HD forced_set forced(floating_part const& view) const {
    return {view.tokens, view.sink, view.recent, select.white_list.data(), static_cast<int>(select.white_list.size())};
  }
};

/// Writes the tokens for which stays(t) holds to `out`, ascending; returns how many to all threads. stays is asked once
/// for each token, all of a chunk before any of it is written.
template <block Block, class Stays, class Write>
KVSIEVE_HD inline int list_where(Block& b, int tokens, Stays const& stays, Write const& write,
                                 typename Block::scan_storage& scan) {
  constexpr int per_thread = row_pick::per_thread, chunk = Block::threads * per_thread;
  unsigned written = 0;
  for (index base = 0; base < tokens; base += chunk) {
    index const first = base + b.rank() * per_thread;
    unsigned own = 0, found = 0;
    KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
      bool const in = first + j < tokens && stays(static_cast<int>(first + j));
      own |= in ? 1u << j : 0u;
      found += in ? 1u : 0u;
    }
    unsigned total = 0, at = written + b.exclusive_sum(found, total, scan);
    KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) if (own >> j & 1u)
        write(static_cast<int>(at++), static_cast<int>(first + j));
    written += total;
  }
  return static_cast<int>(written);
}

/// Block (0, head, view): the tokens of which the score is at least the threshold, and the forced ones.
struct at_least_body {
  template <block Block>
  struct shared {
    typename Block::scan_storage scan;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, floating_args<select::threshold> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    int* const list = view.list + w.y * view.stride;
    forced_set const forced = a.forced(view);
    unsigned const least = ordered(a.select.threshold);
    int const count = list_where(
        b, view.tokens, [&](int t) { return ordered(score[t]) >= least || forced.holds(t); },
        [&](int at, int t) { list[at] = t; }, s.scan);
    if (b.rank() == 0) view.count[w.y] = count;
    row_pick::mark(b, score, 0, view.tokens, forced);
  }
};

/// One view of a launch that moves lists to their place.
struct pack_part {
  int const* from;  ///< [heads] rows of `stride`
  index stride;
  index const* offset;  ///< [heads + 1] into `to`
  int* to;
};
struct pack_args {
  batch<pack_part> views;
};

/// Block (segment, head, view): that part of a head's list.
struct pack_lists_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, pack_args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    index const first = view.offset[w.y];
    int const count = static_cast<int>(view.offset[w.y + 1] - first);
    int const* const from = view.from + w.y * view.stride;
    each_score(b, w.x, count, [&](int i) { view.to[first + i] = from[i]; });
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
