// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// D2O while generating: whenever entries exceed the layer's budget, some leave, and merge where they are alike enough.
// Wan et al., "D2O: Dynamic Discriminative Operations for Efficient Generative Inference of LLMs", arXiv 2406.13035.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// What D2O remembers of one layer of one sequence: scores, in memory of the caller, and the threshold.
struct d2o_state {
  float* score = nullptr;                ///< [Hkv, capacity] attention that entries had
  int heads = 0;                         ///< KV heads, Hkv
  int capacity = 0;                      ///< entries of a head, at most; from a head's scores to the next
  int used = 0;                          ///< entries of a head that have scores
  float threshold = __builtin_nanf("");  ///< least similarity that merged last time; NaN before the first
  float* stored = nullptr;               ///< of a state on the device [1], there: this threshold, in place of it

  /// Floats that the scores take; 4 bytes each.
  [[nodiscard]] static constexpr index floats(int heads, int capacity) { return index{heads} * capacity; }
  /// Scores of a head, [capacity].
  [[nodiscard]] KVSIEVE_HD constexpr float* row(int head) const { return score + index{head} * capacity; }
};

namespace evict {

/// A step of D2O, behind the attention over all entries, new ones included. Scores grow by the attention of the step.
/// Where a head has more than heavy + recent entries, the first `sink` get the score +inf; the `heavy` largest scores
/// in front of the last `recent` stay (equal ones: the smaller index), as do these, in their order. Each other entry e
/// has a nearest one j among those that stay, by the cosine m of the keys, and merges into it where m is at least the
/// threshold:
///   x_j <- (x_j + sum over e of m x_e) / (1 + number of e)  for keys, as rotated, and values
/// The threshold is the mean of m over all heads, and from the second time on decay * the last one + share * that mean.
/// What does not pass is dropped, and so is an entry whose key or value is not finite. Scores of those that stay do not
/// change.
struct d2o_step {
  /// Its numbers.
  struct params {
    int heavy = 76;         ///< entries of a head that stay by score, sinks among them
    int recent = 76;        ///< last entries that stay
    int sink = 4;           ///< first entries that have the largest scores
    float decay = 0.5f;     ///< of the threshold before
    float share = 0.5f;     ///< of the new mean similarity
    bool together = false;  ///< the e-th that leave of all heads share a decision, by their mean, as in the source
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("heavy", self.heavy, "entries", "of a head that stay by score, sinks among them");
      visit("recent", self.recent, "entries", "last ones that stay");
      visit("sink", self.sink, "entries", "first ones that have the largest scores");
      visit("decay", self.decay, "", "of the threshold before");
      visit("share", self.share, "", "of the new mean similarity");
      visit("together", self.together, "", "the e-th that leave of all heads share a decision, as in the source");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("heavy", heavy, 0, 1 << 30), range::within("recent", recent, 0, 1 << 30),
                        range::at_least("heavy and recent", heavy + recent, 1), range::at_least("sink", sink, 0),
                        range::within("decay", static_cast<double>(decay), 0, 1),
                        range::within("share", static_cast<double>(share), 0, 1));
    }
  };
};
}  // namespace evict
}  // namespace kvsieve::inline v0
