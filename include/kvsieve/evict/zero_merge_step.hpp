// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ZeroMerge while generating: a token in, one slot merged into another. "ZeroMerge: Parameter-Free KV Cache Compression
// for Memory-Efficient Long-Context LLMs", arXiv 2503.10714.
#pragma once
#include <cuda/std/cmath>

#include <kvsieve/core/range.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// What ZeroMerge adds to the logits of its slots: alpha times the logarithm of the tokens that a slot stands for, in
/// nats; the bias of a kv_layer.
struct zero_merge_bias {
  float const* weight = nullptr;  ///< [Hkv, capacity]
  index capacity = 0;             ///< from a head to the next
  float alpha = 1.0f;             ///< what the logarithm is multiplied with
  /// Of an entry.
  [[nodiscard]] KVSIEVE_HD float operator()(index head, index token) const {
    return alpha * cs::log(weight[head * capacity + token]);
  }
};

/// What ZeroMerge remembers of one layer of one sequence, in memory of the caller.
struct zero_merge_state {
  float* data = nullptr;   ///< tokens that a slot stands for [Hkv, capacity], then scores [Hkv, capacity]
  int heads = 0;           ///< KV heads, Hkv
  int capacity = 0;        ///< slots of a head, C
  int used = 0;            ///< of them filled, the first ones
  int turn = 0;            ///< place in the ring of the newest slots that the next token takes
  int* counter = nullptr;  ///< device [1], or null: the launches keep `turn` there, and read nothing of it here, so
                           ///< that a CUDA graph may replay the steps of full slots; 0 before the first

  /// Floats that it takes; 4 bytes each.
  [[nodiscard]] static constexpr index floats(int heads, int capacity) { return index{2} * heads * capacity; }
  /// Tokens that the slots of a head stand for, [capacity].
  [[nodiscard]] KVSIEVE_HD constexpr float* weight(int head) const { return data + index{head} * capacity; }
  /// Scores of the slots of a head, [capacity].
  [[nodiscard]] KVSIEVE_HD constexpr float* score(int head) const { return data + (index{heads} + head) * capacity; }
  /// The bias of the slots.
  [[nodiscard]] constexpr zero_merge_bias bias(float alpha = 1.0f) const { return {data, capacity, alpha}; }
};

namespace evict {

/// A step of ZeroMerge, behind the attention over slots and token. Scores fade, s <- decay s, and grow by the token's
/// attention, its own being its first score. While there is room the token is appended. Then, of C slots of which the
/// first R are residual and the last T - 1 a ring of the newest tokens: the slot i of the lowest score in [R, C - T +
/// 1) merges into the residual slot j that is nearest, x_j <- (w_i x_i + w_j x_j) / (w_i + w_j) for keys, as rotated,
/// and values, with w_j <- w_i + w_j and s_j <- max(s_i, s_j); the oldest slot of the ring takes its place, and the
/// token that of the ring's. Ties go to the smaller slot. A slot whose rows are not finite merges into none and is
/// lost; a residual slot like that is the nearest of none, and where all are the first becomes the merged slot.
struct zero_merge_step {
  /// Its numbers.
  struct params {
    int residual = 1;          ///< R, slots that others merge into; that of evict::zero_merge behind the prompt
    int tail = 16;             ///< T; T - 1 tokens are the newest as they were
    float decay = 0.98f;       ///< of the scores, at each step
    bool by_distance = false;  ///< nearest by distance of the keys; else by their product
    bool sums = false;         ///< a merged slot's score is the sum; else the larger one
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("residual", self.residual, "rows", "slots that others merge into");
      visit("tail", self.tail, "tokens", "one more than are kept as the newest");
      visit("decay", self.decay, "", "of the scores, at each step");
      visit("by_distance", self.by_distance, "", "nearest by distance of the keys, else by their product");
      visit("sums", self.sums, "", "a merged slot's score is the sum, else the larger one");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("residual", residual, 1), range::at_least("tail", tail, 2),
                        range::within("decay", static_cast<double>(decay), 0, 1));
    }
  };
};
}  // namespace evict
}  // namespace kvsieve::inline v0
