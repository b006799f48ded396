// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Folds what a query of decode attention gave the entries of a cache into the state of an online policy.
#pragma once
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/aggregate/observed_state.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/status.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Logits of a query, and of the further heads of its group where an accumulator folds these together; times log2(e).
struct folded_query {
  float const* z;        ///< of the entries
  float const* log_sum;  ///< of the query
  int heads = 1;         ///< query heads
  index z_stride = 0, sum_stride = 0;

  /// Probabilities 2^(z - log_sum) of the entries from `e` on; their mean over the heads.
  [[nodiscard]] fragment at(index e) const {
    fragment p = exp2(load(z + e) - fragment(log_sum[0]));
    for (int g = 1; g < heads; ++g) p = p + exp2(load(z + g * z_stride + e) - fragment(log_sum[g * sum_stride]));
    return heads == 1 ? p : p * fragment(1.0f / static_cast<float>(heads));
  }
};

/// Entries [first, last) of a head of the state, `first` a multiple of the lanes of a fragment, for the query `ahead`
/// places behind those that the state has seen, which sees `visible` entries.
template <class A>
void fold_entries(observed_state<A> const& state, typename A::params const& params, int head, int ahead,
                  folded_query const& query, index first, index last, index visible) {
  constexpr int states = A::states, lanes = fragment::lanes;
  int const number = state.queries + ahead;
  [[maybe_unused]] fragment const keep(kept_of_state<A>(params));
  fragment const weight(A::weight(params, number, number + 1, static_cast<int>(visible)));
  for (index e = first; e < last; e += lanes) {
    fragment const p = query.at(e) * weight;
    fragment part[states];
    for (int k = 0; k < states; ++k) part[k] = load(state.row(head, k) + e);
    if constexpr (A::linear)
      part[0] = fma(part[0], keep, p);
    else if constexpr (A::in_order)
      A::update(params, part, p, number);
    else
      A::update(params, part, p);
    fragment const count = load(state.row(head, states) + e) + fragment(1.0f);
    index const here = last - e < lanes ? last - e : lanes;  // entries to come begin anew: theirs is left alone
    for (int k = 0; k <= states; ++k) {
      float lane[lanes];
      store(lane, k < states ? part[k] : count);
      __builtin_memcpy(state.row(head, k) + e, lane, sizeof(float) * static_cast<std::size_t>(here));
    }
  }
}

/// Scores of `entries` of each KV head: the results of its query heads, joined.
template <class Group, class A>
[[nodiscard]] status observed_results(observed_state<A> const& state, typename A::params const& params,
                                      typename Group::params const& grouping, int heads, index entries,
                                      cs::span<float> score) {
  static_assert(!weighs_tokens<Group>,
                "kvsieve::observed_scores: this group policy weighs the tokens of a whole cache");
  auto const at = [](index x) { return static_cast<double>(x); };
  if (state.counter != nullptr)
    return fail(errc::bad_pointer, "state.counter", 1, "is for the device; here it must be null,", 0);
  if (heads < 1 || state.heads % heads != 0)
    return fail(errc::bad_shape, "heads", heads, "must divide the query heads of the state,", state.heads);
  if (entries < 0 || entries > state.capacity)
    return fail(errc::bad_shape, "entries", at(entries), "must be at most the capacity of the state,",
                at(state.capacity));
  index const stride = score_stride(static_cast<int>(entries));
  if (static_cast<index>(score.size()) < heads * stride)
    return fail(errc::bad_shape, "score", at(static_cast<index>(score.size())), "floats; it must be at least",
                at(heads * stride));
  int const group = state.heads / heads;
  for (int h = 0; h < heads; ++h)
    for (index e = 0; e < entries; ++e) {
      float joined = 0;
      for (int g = 0; g < group; ++g) {
        float part[A::states];
        for (int k = 0; k < A::states; ++k) part[k] = state.row(h * group + g, k)[e];
        observation<float> const seen{static_cast<float>(state.queries), state.row(h * group + g, A::states)[e]};
        float one = A::result(params, part, seen);
        if constexpr (weighs_heads<Group>) one *= Group::head_weight(grouping, 0, h * group + g);
        joined = g == 0 ? one : Group::combine(joined, one);
      }
      score[static_cast<std::size_t>(h * stride + e)] = Group::result(joined, group);
    }
  return {};
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
