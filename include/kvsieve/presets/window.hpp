// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods that look at the attention of the last window of queries.
#pragma once
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/aggregate/group_chosen.hpp>
#include <kvsieve/aggregate/heads.hpp>
#include <kvsieve/aggregate/mean.hpp>
#include <kvsieve/aggregate/mean_share.hpp>
#include <kvsieve/aggregate/mean_variance_entropy.hpp>
#include <kvsieve/aggregate/sum.hpp>
#include <kvsieve/aggregate/worst_case_and_mean.hpp>
#include <kvsieve/budget/arithmetic.hpp>
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/head_importance.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/budget/over_heads.hpp>
#include <kvsieve/budget/pyramid.hpp>
#include <kvsieve/budget/uncertainty.hpp>
#include <kvsieve/compressor.hpp>
#include <kvsieve/lift/mean.hpp>
#include <kvsieve/protect/mass.hpp>
#include <kvsieve/score/attention.hpp>
#include <kvsieve/score/observe.hpp>
#include <kvsieve/score/r_kv.hpp>
#include <kvsieve/select/chunks.hpp>
#include <kvsieve/select/page_representatives.hpp>
#include <kvsieve/select/top_k_in_chunks.hpp>
#include <kvsieve/select/top_k_in_spans.hpp>
#include <kvsieve/select/two_stage.hpp>
#include <kvsieve/select/windows.hpp>
#include <kvsieve/smooth/average.hpp>
#include <kvsieve/store/ragged.hpp>
#include <kvsieve/weigh/none.hpp>
#include <kvsieve/weigh/projected_value.hpp>
#include <kvsieve/weigh/value_norm.hpp>

namespace kvsieve::inline v0 {

/// What the last window of queries attends to, average-pooled; the window stays (SnapKV, arXiv 2404.14469).
template <policy... Override>
using snap_kv = compressor<score::attention<observe::window>, aggregate::mean, smooth::average, Override...>;

/// Whole pages by the last window's attention, the same ones for all heads of a layer; a part of them stands for the
/// pages that go (KVCrush, as OpenVINO GenAI ships it).
template <policy... Override>
using kv_crush = snap_kv<aggregate::sum, aggregate::heads_sum, select::page_representatives, Override...>;

/// SnapKV with fewer tokens from layer to layer, as kvpress counts them (PyramidKV, arXiv 2406.02069).
template <policy... Override>
using pyramid_kv = snap_kv<budget::pyramid, Override...>;

/// SnapKV with one ranking over the heads of a layer, as kvpress has it (AdaKV, arXiv 2407.11550).
template <policy... Override>
using ada_kv = snap_kv<budget::over_heads, store::ragged, Override...>;

/// Mean and variance over the window, and layers that spread and shift their attention keep more (CAKE, ICLR 2025); at
/// the end, or with host::cascade while the layers arrive. The paper observes 32 queries and has tau1, tau2 by model.
template <policy... Override>
using cake = snap_kv<aggregate::mean_variance_entropy, budget::entropy_variance, Override...>;

/// SnapKV where layers keep more that need more tokens for nine tenths of their mass (ZigZagKV, arXiv 2412.09036; our
/// definition where its text could not be read).
template <policy... Override>
using zigzag_kv = snap_kv<budget::uncertainty, Override...>;

/// SnapKV's sums with one ranking over the layers (DynamicKV, arXiv 2412.14838); its stages with host::cascade.
template <policy... Override>
using dynamic_kv = snap_kv<aggregate::sum, budget::layer_scores, Override...>;

/// SnapKV with a budget for each head by a table of importances (HeadKV, arXiv 2410.19258).
template <policy... Override>
using head_kv = snap_kv<budget::head_importance, store::ragged, Override...>;

/// SnapKV's scores for whole chunks, one choice for all heads of a layer, as kvpress has it (ChunkKV, arXiv
/// 2502.00299).
template <policy... Override>
using chunk_kv = snap_kv<aggregate::heads_sum, select::chunks, Override...>;

/// SnapKV inside each of the caller's spans, in fair shares (arXiv 2510.00231).
template <policy... Override>
using fair_eviction = snap_kv<select::top_k_in_spans, Override...>;

/// SnapKV with half of the budget by the score and half by the score times what the value adds to the layer's result,
/// the L1 norm behind the output projection (CriticalKV, arXiv 2502.03805). weigh.output is a table of the caller.
template <policy... Override>
using critical_kv = snap_kv<weigh::projected_value<>, select::two_stage, Override...>;

/// The same under AdaKV's budget (CriticalAdaKV, arXiv 2502.03805).
template <policy... Override>
using critical_ada_kv = critical_kv<budget::over_heads, store::ragged, Override...>;

/// CriticalKV where there is no table: by the length of the value itself.
template <policy... Override>
using critical_kv_by_norm = critical_kv<weigh::value_norm, Override...>;

/// Whole windows of the prompt by the attention of its suffix, shared in groups of layers, with fewer tokens from group
/// to group (WindowKV, arXiv 2503.17922, its averages).
template <policy... Override>
using window_kv = compressor<score::attention<observe::window>, aggregate::sum, aggregate::heads_mean,
                             budget::arithmetic, select::windows, Override...>;

/// What the last window attends to, in units of the uniform share; the same share of every chunk stays (FINCH, TACL
/// 2024, without its re-rotation of keys).
template <policy... Override>
using finch =
    compressor<score::attention<observe::window>, aggregate::mean_share, select::top_k_in_chunks, Override...>;

/// What the last window of a few chosen query heads attends to, average-pooled, one choice for the layer (CompressKV).
template <policy... Override>
using compress_kv = compressor<score::attention<observe::window>, aggregate::sum, aggregate::group_chosen,
                               smooth::average, aggregate::heads_sum, Override...>;

/// What the last queries look at, max-pooled, less what other keys say too (R-KV, arXiv 2505.24133, its token form).
template <policy... Override>
using r_kv = compressor<score::r_kv, Override...>;

/// The worst case over the window and the group, times the token's share of its layer's values behind the output
/// projection; tokens that hold nine tenths of a head's mean attention get the largest score; one ranking over the
/// heads of a layer (DefensiveKV). weigh.output is a table of the caller. The authors observe 32 queries, have
/// budget.safeguard 0 and protect.as_source.
template <policy... Override>
using defensive_kv =
    compressor<score::attention<observe::window>, aggregate::worst_case_and_mean, aggregate::group_max, lift::mean,
               protect::mass, weigh::projected_value<projected::magnitudes, aggregate::group_mean, true>,
               budget::over_heads, store::ragged, Override...>;

/// The same with one ranking over all layers and heads (Layer-DefensiveKV).
template <policy... Override>
using layer_defensive_kv = defensive_kv<budget::over_all, Override...>;

/// DefensiveKV where there is no table: the worst case by itself.
template <policy... Override>
using defensive_kv_unweighed = defensive_kv<weigh::none, Override...>;

/// Layer-DefensiveKV where there is no table.
template <policy... Override>
using layer_defensive_kv_unweighed = layer_defensive_kv<weigh::none, Override...>;
}  // namespace kvsieve::inline v0
