// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods that evict while a model generates. Every alias takes further policies that override its own; the
// schedules in their comments are what their authors evict by.
#pragma once
#include <kvsieve/aggregate/deviation.hpp>
#include <kvsieve/aggregate/last.hpp>
#include <kvsieve/aggregate/last_above_with_gap.hpp>
#include <kvsieve/aggregate/sum.hpp>
#include <kvsieve/online/policy.hpp>
#include <kvsieve/select/two_stage.hpp>

namespace kvsieve::inline v0 {
namespace online {

/// Accumulated attention, half of the budget to recent tokens; at every step (H2O, arXiv 2306.14048).
template <policy... Override>
using h2o = online_policy<aggregate::sum, select::heavy_hitters, Override...>;

/// What the newest query attends to, one choice for all heads of a layer; at every step (TOVA, arXiv 2401.06104).
/// select.recent 1 keeps that query's own token.
template <policy... Override>
using tova = online_policy<aggregate::last, aggregate::heads_mean, Override...>;

/// Tokens that are looked at unsteadily stay, of the others those that are looked at most; at every step. RoCo ("On the
/// Efficacy of Eviction Policy for Key-Value Constrained Generative Language Model Inference") has select.first 0.3
/// and select.recent 10.
template <policy... Override>
using roco = online_policy<aggregate::deviation, select::two_stage, Override...>;

/// How likely a token is to be looked at again, by when it last was and by the longest time between; every W steps,
/// with select.recent W (LazyEviction, arXiv 2506.15969).
template <policy... Override>
using lazy_eviction = online_policy<aggregate::last_above_with_gap, aggregate::group_max, Override...>;
}  // namespace online
}  // namespace kvsieve::inline v0
