// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods that merge what does not stay.
#pragma once
#include <kvsieve/aggregate/decayed_sum.hpp>
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/aggregate/heads.hpp>
#include <kvsieve/aggregate/sum.hpp>
#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/compressor.hpp>
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/presets/window.hpp>
#include <kvsieve/score/attention.hpp>
#include <kvsieve/score/observe.hpp>
#include <kvsieve/select/runs.hpp>
#include <kvsieve/select/top_k.hpp>
#include <kvsieve/store/ragged.hpp>

namespace kvsieve::inline v0 {

/// Any score, the first policy; values of what does not stay merge into the nearest kept key (kvpress's merging press).
template <policy_of<stages::score> Score, policy... Override>
using merge_on_evict = compressor<Score, evict::merge_on_evict, Override...>;

/// SnapKV, what does not stay merging into the nearest kept key, half and half (LOOK-M, arXiv 2406.18139, its pivot
/// form as KVCache-Factory has it, without the rule for images); evict::look_m_weighted is its weighted form.
template <policy... Override>
using look_m = snap_kv<evict::look_m_pivot, Override...>;

/// Accumulated attention, layers by variance, half of the budget recent; what is more alike than the mean merges, the
/// others are dropped (D2O, arXiv 2406.13035, its first compression; a KV head has the sum of its query heads).
template <policy... Override>
using d2o = compressor<score::attention<observe::all>, aggregate::sum, aggregate::group_sum, budget::layer_variance,
                       select::heavy_hitters, evict::d2o_merge, Override...>;

/// Accumulated attention, one choice for a layer, what does not stay averaged into the nearest position (Elastic Cache,
/// arXiv 2407.18121, after the prompt). The first evict.sink and last evict.recent tokens stay as they are where
/// select.sink and select.recent are the same numbers.
template <policy... Override>
using elastic_cache = compressor<score::attention<observe::all>, aggregate::sum, aggregate::heads_mean,
                                 evict::elastic_merge, Override...>;

/// What the last window attends to, one choice for a layer; values of what does not stay are spread over the kept
/// tokens behind them by chance (CaM, ICML 2024, one step of it as kvpress decodes). evict.attention is a table of the
/// attention that tokens had so far; without it the scores, which are then those of the layer.
template <policy... Override>
using cam =
    compressor<score::attention<observe::window>, aggregate::sum, aggregate::heads_mean, evict::cam, Override...>;

/// What the last window attends to; before anything is dropped, values are spread over the window behind them by chance
/// (CaM as KVCache-Factory has it after the prompt). score.window and evict.window are the same number.
template <policy... Override>
using cam_prefill = compressor<score::attention<observe::window>, evict::cam_prefill, Override...>;

/// Runs of alike neighbours become one entry each, around the token with the most accumulated attention (KVMerger,
/// arXiv 2407.08454; our definition where its text could not be read). select.alike and evict.alike are the same
/// number.
template <policy... Override>
using kv_merger = compressor<score::attention<observe::all>, aggregate::sum, aggregate::group_sum, select::runs,
                             evict::merge_runs, store::ragged, Override...>;

/// Decayed attention; what does not stay is averaged into evict.residual slots beside the budget, which count as many
/// tokens (ZeroMerge, arXiv 2503.10714, behind the prompt). The authors have aggregate.decay 0.98, a tenth of the
/// entries recent.
template <policy... Override>
using zero_merge = compressor<score::attention<observe::all>, aggregate::decayed_sum, aggregate::group_sum,
                              evict::zero_merge, Override...>;
}  // namespace kvsieve::inline v0
