// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is done with the state of an online policy beside attention, as launches: entries that begin, and scores.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/device/attend/attend.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Makes entries [first, last) of all heads of a state such as no query has seen.
template <accumulator A, class Launcher>
[[nodiscard]] status begin_entries(Launcher const& on, observed_state<A> const& state, typename A::params const& params,
                                   index first, index last) {
  auto const at = [](index x) { return static_cast<double>(x); };
  if constexpr (requires { params.check(); })
    if (status const s = params.check(); !s) return s;
  if (state.data == nullptr) return fail(errc::bad_pointer, "state", 0, "must not be null;", 0);
  if (status const s = within_reach(on, state.data, "state"); !s) return s;
  if (first < 0) return fail(errc::bad_params, "first", at(first), "must be at least", 0);
  if (last < first || last > state.capacity)
    return fail(errc::bad_params, "last", at(last), "must be at least the first one and at most the capacity,",
                at(state.capacity));
  begin_entries_args<A> const args{state, params, first, last};
  int const blocks = pieces(static_cast<int>(last - first), fold_entries_of_block);
  return on.template launch<begin_entries_body<A>>(grid{blocks, observed_state<A>::rows, state.heads}, args);
}

/// Scores of the entries of each KV head from what was remembered; `score` [heads, score_stride(entries)].
template <class Group, accumulator A, class Launcher>
[[nodiscard]] status score_entries(Launcher const& on, observed_state<A> const& state, typename A::params const& params,
                                   typename Group::params const& grouping, int heads, int entries,
                                   cs::span<float> score) {
  static_assert(!weighs_tokens<Group> && !weighs_heads<Group>,
                "kvsieve::observed_scores on the device does not weigh query heads: use "
                "kvsieve::aggregate::group_mean, group_sum or group_max");
  auto const at = [](index x) { return static_cast<double>(x); };
  if (heads < 1 || state.heads % heads != 0)
    return fail(errc::bad_shape, "heads", heads, "must divide the query heads of the state,", state.heads);
  if (entries < 0 || entries > state.capacity)
    return fail(errc::bad_shape, "entries", entries, "must be at most the capacity of the state,", at(state.capacity));
  index const needed = heads * score_stride(entries);
  if (static_cast<index>(score.size()) < needed)
    return fail(errc::bad_shape, "score", at(static_cast<index>(score.size())), "floats; it must be at least",
                at(needed));
  if (state.data == nullptr || score.data() == nullptr)
    return fail(errc::bad_pointer, state.data == nullptr ? "state" : "score", 0, "must not be null;", 0);
  for (void const* const p : {static_cast<void const*>(state.data), static_cast<void const*>(state.counter),
                              static_cast<void const*>(score.data())})
    if (status const s = within_reach(on, p, p == score.data() ? "score" : "state"); !s) return s;
  observed_scores_args<Group, A> args{{}, params, grouping};
  return launch_views<observed_scores_body<Group, A>>(on, 1, heads, 1, args, [&](int, observed_scores_part<A>& part) {
    part = {state, score.data(), heads, entries};
    return pieces(entries, fold_entries_of_block);
  });
}
}  // namespace device
}  // namespace kvsieve::inline v0
