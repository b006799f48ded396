// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of selections in two rounds: what the first takes is forced in the second.
#pragma once
#include <kvsieve/device/call/scores_part.hpp>
#include <kvsieve/device/select/select.hpp>
#include <kvsieve/select/gumbel.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Block (segment, head, view): what draws go by, from the scores.
struct noisy_scores_body {
  using args = scores_args<select::gumbel::params>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    float const* const score = view.score + w.y * view.stride;
    float* const result = view.result + w.y * view.stride;
    each_score(b, w.x, view.tokens,
               [&](int t) { result[t] = select::gumbel::noisy(a.params, score[t], t, view.first_head + w.y); });
  }
};

/// One view of a selection in two rounds.
struct twice_part {
  float* score;         ///< [heads] rows of `stride`, of the first round; forced tokens are marked +inf
  float const* second;  ///< the same, of the second
  int* list;            ///< [heads] lists of `keep` tokens, or what offsets count from
  int* first;           ///< the same, for what the first round takes
  index const* offset;  ///< [heads + 1]: where the list of each head begins and ends; null: all keep the same
  index stride;
  int tokens, keep, sink, recent;
};
template <class Select>
struct twice_args {
  batch<twice_part> views;
  typename Select::params params;
};

/// Block (0, head, view): the forced tokens and the best of the first scores, then the best of the second, ascending.
/// How many the first round takes depends on the white list, which lies on the device.
template <class Select>
struct select_twice_body {
  template <block Block>
  using shared = row_pick::shared<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, twice_args<Select> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    bool const apart = view.offset != nullptr;
    index const at = apart ? view.offset[w.y] : index{w.y} * view.keep;
    int const keep = apart ? static_cast<int>(view.offset[w.y + 1] - at) : view.keep;
    int* const first = view.first + at;
    forced_set const asked{view.tokens, view.sink, view.recent, a.params.white_list.data(),
                           static_cast<int>(a.params.white_list.size())};
    if (keep > 0) {
      int const taken = Select::first_round(a.params, keep, asked.size());
      if (taken > 0) row_pick::run(b, score, 0, view.tokens, taken, asked.cut(taken), first, s);
      b.sync();
      row_pick::run(b, view.second + w.y * view.stride, 0, view.tokens, keep,
                    forced_set{view.tokens, 0, 0, first, taken}, view.list + at, s);
    }
    row_pick::mark(b, score, 0, view.tokens, asked);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
