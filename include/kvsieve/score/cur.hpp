// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CUR: tokens whose keys and values carry much of what their block carries stay. Sengupta et al., "Value-Guided KV
// Compression for LLMs via Approximated CUR Decomposition" (CurDKV), arXiv 2509.15038.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {

/// Whose squared norms make the leverage of a token.
namespace leverage_of {
/// Keys alone.
struct keys {
  static constexpr needs reads = needs::keys;  ///< what it reads
};
/// Values alone.
struct values {
  static constexpr needs reads = needs::values;  ///< what it reads
};
/// The mean of both shares.
struct mean {
  static constexpr needs reads = needs::keys | needs::values;  ///< what it reads
  /// The leverage from both shares.
  template <class S>
  KVSIEVE_HD static S joined(S key, S value) {
    return (key + value) * S(0.5f);
  }
};
/// The product of both shares.
struct product {
  static constexpr needs reads = needs::keys | needs::values;  ///< what it reads
  /// The leverage from both shares.
  template <class S>
  KVSIEVE_HD static S joined(S key, S value) {
    return key * value;
  }
};
}  // namespace leverage_of

namespace score {

/// a[t] = ||k_t||^2 and c[t] = ||v_t||^2 as shares of their block of tokens; score[t] = a, c, their mean or their
/// product, over the sum of the head. The first tokens stay. Reads each key and value once. Squared norms below the
/// range of float count as 0, a block of zeros scores 0. A token that is not finite, or longer than 1.8e19, scores NaN
/// and takes no part in any sum.
template <class Of = leverage_of::product>
struct cur : policy_base<stages::score, Of::reads> {
  using pattern = patterns::per_row;         ///< how it walks the cache
  static constexpr bool summarises = false;  ///< one pass
  static constexpr bool shares = true;       ///< scores are shares of a head

  /// Its numbers.
  struct params {
    int sink = 4;         ///< first tokens that always stay
    int block_size = 16;  ///< tokens of a block; 0: norms count as they are
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first tokens that always stay");
      visit("block_size", self.block_size, "tokens", "a norm is a share of so many; 0: it counts as it is");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("score.sink", sink, 0),
                        range::within("score.block_size", block_size, 0, 1 << 24));
    }
  };

  /// What stays whatever the scores.
  KVSIEVE_HD static constexpr forced_ends forced(params const& p, int) { return {p.sink, 0}; }
  /// Tokens of a block.
  KVSIEVE_HD static constexpr int block(params const& p) { return p.block_size; }
  /// What a fragment of a key adds to its row's sum ...
  template <class F>
  KVSIEVE_HD static F term(F key) {
    return key * key;
  }
  /// ... and one of a value to its own.
  template <class F>
  KVSIEVE_HD static F value_term(F value) {
    return value * value;
  }
  /// The score from one share ...
  template <class S>
  KVSIEVE_HD static S score(S share) {
    return where(share - share == S(0.0f), share, S(__builtin_nanf("")));
  }
  /// ... or from both.
  template <class S>
  KVSIEVE_HD static S score(S key, S value) {
    S const joined = Of::joined(key, value);
    return where(joined - joined == S(0.0f), joined, S(__builtin_nanf("")));
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
