// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods, a line each. Every alias takes further policies that override its own.
#pragma once
#include <kvsieve/aggregate/count_above.hpp>
#include <kvsieve/aggregate/decayed_sum.hpp>
#include <kvsieve/aggregate/group_chosen.hpp>
#include <kvsieve/aggregate/group_max_weighed.hpp>
#include <kvsieve/aggregate/last.hpp>
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/aggregate/mean_share.hpp>
#include <kvsieve/aggregate/mean_variance_entropy.hpp>
#include <kvsieve/aggregate/mean_visible.hpp>
#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/aggregate/sum.hpp>
#include <kvsieve/aggregate/worst_case_and_mean.hpp>
#include <kvsieve/budget/arithmetic.hpp>
#include <kvsieve/budget/composite.hpp>
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/head_importance.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/budget/lazy_layers.hpp>
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/budget/over_heads.hpp>
#include <kvsieve/budget/pyramid.hpp>
#include <kvsieve/budget/retrieval_heads.hpp>
#include <kvsieve/budget/uncertainty.hpp>
#include <kvsieve/compressor.hpp>
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/lift/mean.hpp>
#include <kvsieve/protect/mass.hpp>
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/score/attention.hpp>
#include <kvsieve/score/cap_kv.hpp>
#include <kvsieve/score/compactor.hpp>
#include <kvsieve/score/cur.hpp>
#include <kvsieve/score/expected_attention.hpp>
#include <kvsieve/score/gate.hpp>
#include <kvsieve/score/key_diff.hpp>
#include <kvsieve/score/key_norm.hpp>
#include <kvsieve/score/kv_zap.hpp>
#include <kvsieve/score/lag_relative.hpp>
#include <kvsieve/score/leverage.hpp>
#include <kvsieve/score/non_causal_attention.hpp>
#include <kvsieve/score/page_bound.hpp>
#include <kvsieve/score/position.hpp>
#include <kvsieve/score/q_filters.hpp>
#include <kvsieve/score/r_kv.hpp>
#include <kvsieve/score/random.hpp>
#include <kvsieve/score/redundancy.hpp>
#include <kvsieve/score/value_key_ratio.hpp>
#include <kvsieve/select/block_wise.hpp>
#include <kvsieve/select/chunks.hpp>
#include <kvsieve/select/gumbel.hpp>
#include <kvsieve/select/page_representatives.hpp>
#include <kvsieve/select/pages.hpp>
#include <kvsieve/select/query_pages.hpp>
#include <kvsieve/select/runs.hpp>
#include <kvsieve/select/threshold.hpp>
#include <kvsieve/select/top_k_in_chunks.hpp>
#include <kvsieve/select/top_k_in_spans.hpp>
#include <kvsieve/select/two_stage.hpp>
#include <kvsieve/select/windows.hpp>
#include <kvsieve/smooth/average.hpp>
#include <kvsieve/smooth/average_by.hpp>
#include <kvsieve/smooth/max.hpp>
#include <kvsieve/store/ragged.hpp>
#include <kvsieve/weigh/projected_value.hpp>
#include <kvsieve/weigh/value_norm.hpp>

namespace kvsieve::inline v0 {

/// Short keys stay (arXiv 2406.11430).
template <policy... Override>
using key_norm = compressor<score::key_norm, Override...>;

/// Keys unlike the mean key stay (KeyDiff, arXiv 2504.15364).
template <policy... Override>
using key_diff = compressor<score::key_diff, Override...>;

/// KeyDiff a block at a time, as the paper runs it during prefill with bounded memory (arXiv 2504.15364).
template <policy... Override>
using key_diff_block_wise = compressor<score::key_diff, select::block_wise, Override...>;

/// Keys and values that carry much of what their block carries stay (CurDKV, arXiv 2509.15038, as kvpress has it).
template <policy... Override>
using cur = compressor<score::cur<>, Override...>;

/// Long values of short keys stay (the token score of PagedEviction, arXiv 2509.04377).
template <policy... Override>
using value_key_ratio = compressor<score::value_key_ratio, Override...>;

/// Whole pages by that score, the same ones for all heads of a layer (PagedEviction, arXiv 2509.04377, its rule for
/// full pages).
template <policy... Override>
using paged_eviction = compressor<score::value_key_ratio, aggregate::heads_mean, select::pages, Override...>;

/// The pages in which the newest query can find most, and the newest page: a list for one step of attention, of each KV
/// head for itself (Quest, arXiv 2406.10774; its first two layers keep everything, which budget::per_layer says).
template <policy... Override>
using quest = compressor<score::page_bound<>, select::query_pages<>, Override...>;

/// The same with pages of 64 tokens, of which the best quarter speaks (LServe's retrieval heads, arXiv 2502.14866).
template <policy... Override>
using l_serve = compressor<score::page_bound<64, 16>, select::query_pages<64>, Override...>;

/// Keys against a calibrated direction of their head stay (Q-Filters, arXiv 2503.02812).
template <policy... Override>
using q_filters = compressor<score::q_filters, Override...>;

/// Keys unlike the others stay, of alike ones the newest (R-KV's redundancy by itself, arXiv 2505.24133).
template <policy... Override>
using redundancy = compressor<score::redundancy, Override...>;

/// What the last queries look at, max-pooled, less what other keys say too (R-KV, arXiv 2505.24133, its token form).
template <policy... Override>
using r_kv = compressor<score::r_kv, Override...>;

/// What a linear map of the hidden states says of KVzip's scores (KVzap of kvpress).
template <policy... Override>
using kv_zap_linear = compressor<score::kv_zap_linear, Override...>;

/// What a small network says of KVzip's scores (KVzap of kvpress).
template <policy... Override>
using kv_zap = compressor<score::kv_zap, Override...>;

/// The same by a threshold behind a window, as it is meant to run: select.threshold is a natural logarithm, -4 for
/// kvpress's networks (KVzap with DMS's inference form, kvpress).
template <policy... Override>
using kv_zap_threshold = kv_zap<select::threshold, store::ragged, Override...>;

/// What a trained gate says, one ranking over all layers and heads (Fast KVzip of kvpress).
template <policy... Override>
using fast_kv_zip = compressor<score::gate, budget::over_all, store::ragged, Override...>;

/// LagKV as kvpress ranks it, in one shot (arXiv 2504.04704).
template <policy... Override>
using lag_kv = compressor<score::lag_relative, Override...>;

/// LagKV as its authors stream it: budget.keep is the fraction kept of every partition (arXiv 2504.04704).
template <policy... Override>
using lag_kv_streaming = compressor<score::lag_relative_streaming, select::top_k_in_partitions, Override...>;

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

/// Layers whose last query looks at sinks and recent tokens keep these, the others everything (SimLayerKV,
/// arXiv 2410.13846).
template <policy... Override>
using sim_layer_kv = compressor<score::attention<observe::last>, aggregate::last, budget::lazy_layers, Override...>;

/// SnapKV's sums with one ranking over the layers (DynamicKV, arXiv 2412.14838); its stages with host::cascade.
template <policy... Override>
using dynamic_kv = snap_kv<aggregate::sum, budget::layer_scores, Override...>;

/// SnapKV with a budget for each head by a table of importances (HeadKV, arXiv 2410.19258).
template <policy... Override>
using head_kv = snap_kv<budget::head_importance, store::ragged, Override...>;

/// Retrieval heads keep everything, streaming heads the first tokens and the newest (DuoAttention, arXiv 2410.10819);
/// score.sink and budget.sink are the same number.
template <policy... Override>
using duo_attention = compressor<score::position, budget::retrieval_heads, store::ragged, Override...>;

/// SnapKV's scores for whole chunks, one choice for all heads of a layer, as kvpress has it (ChunkKV, arXiv
/// 2502.00299).
template <policy... Override>
using chunk_kv = snap_kv<aggregate::heads_sum, select::chunks, Override...>;

/// Short keys stay, the same share of every chunk (kvpress's ChunkPress over key norms).
template <policy... Override>
using chunk_key_norm = compressor<score::key_norm, select::top_k_in_chunks, Override...>;

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

/// Tokens behind the newest stay by a threshold on any score, the first policy (DMS's inference form, kvpress).
template <policy_of<stages::score> Score, policy... Override>
using dms = compressor<Score, select::threshold, store::ragged, Override...>;

/// Mean attention over the queries that could see a token (kvpress's one-shot form of H2O).
template <policy... Override>
using observed_attention = compressor<score::attention<observe::all>, aggregate::mean_visible, Override...>;

/// Accumulated attention of all queries; half of the budget goes to recent tokens (H2O, arXiv 2306.14048).
template <policy... Override>
using h2o = compressor<score::attention<observe::all>, aggregate::sum, select::heavy_hitters, Override...>;

/// What the last query attends to, one choice for all heads of a layer (TOVA, arXiv 2401.06104).
template <policy... Override>
using tova = compressor<score::attention<observe::last>, aggregate::last, aggregate::heads_mean, Override...>;

/// The most that a query of a reconstruction pass gave a token, one ranking over all layers and heads; the view holds
/// the pass behind the cache (KVzip, arXiv 2505.23416).
template <policy... Override>
using kvzip = compressor<score::attention<observe::reconstruction>, aggregate::max, aggregate::group_max,
                         budget::over_all, store::ragged, Override...>;

/// KVzip weighed by what a value carries and how large the query's input is: group.weight are the norms of the values
/// behind the output projection, score.scale one over the norms of the pass's hidden states (arXiv 2505.23416, as
/// kvpress has it).
template <policy... Override>
using kvzip_normalized = kvzip<aggregate::group_max_weighed, Override...>;

/// KVzip without its softmax: the largest logit (arXiv 2505.23416).
template <policy... Override>
using kvzip_logits = kvzip<score::attention<observe::reconstruction, row_form::logits>, Override...>;

/// The largest probability that a pass over the context gave, mean over the group, each head's own and the mean over
/// the heads; layers compete place by place (KVCompose, its structured form). The paper's pass has one chunk, the whole
/// cache, and score.sink 0.
template <policy... Override>
using kv_compose = compressor<score::attention<observe::reconstruction>, aggregate::max, aggregate::heads_own_and_mean,
                              budget::composite, Override...>;

/// Root mean square over sets of queries with weights: a reconstruction pass and the last window, one ranking over all
/// layers and heads.
template <policy... Override>
using mixed_queries = compressor<score::attention<observe::sets>, aggregate::root_mean_square, budget::over_all,
                                 store::ragged, Override...>;

/// What the queries of a draft behind the cache attend to, and the last of the prompt, max-pooled (Lookahead Q-Cache,
/// arXiv 2505.20334).
template <policy... Override>
using lookahead_q = compressor<score::attention<observe::lookahead>, aggregate::sum, smooth::max, Override...>;

/// What proxy queries without a mask attend to; a part of the budget is drawn (NACL, arXiv 2408.03675).
template <policy... Override>
using nacl = compressor<score::attention<observe::proxy>, aggregate::sum, select::gumbel, Override...>;

/// What a history of queries attends to (Scissorhands, arXiv 2305.17118).
template <policy... Override>
using scissorhands = compressor<score::attention<observe::history>, aggregate::sum, Override...>;

/// Tokens to which any of the recent queries, in any head of the group, gave their uniform share stay, however many
/// they are (CORM, arXiv 2404.15949).
template <policy... Override>
using corm = compressor<score::attention<observe::history>, aggregate::count_above, aggregate::group_max,
                        select::threshold, store::ragged, Override...>;

/// What the last window attends to, in units of the uniform share; the same share of every chunk stays (FINCH, TACL
/// 2024, without its re-rotation of keys).
template <policy... Override>
using finch =
    compressor<score::attention<observe::window>, aggregate::mean_share, select::top_k_in_chunks, Override...>;

/// What the last window of a few chosen query heads attends to, average-pooled, one choice for the layer (CompressKV).
template <policy... Override>
using compress_kv = compressor<score::attention<observe::window>, aggregate::sum, aggregate::group_chosen,
                               smooth::average, aggregate::heads_sum, Override...>;

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

/// Keys that the other keys cannot stand for (leverage alone of Compactor, arXiv 2507.08143).
template <policy... Override>
using leverage = compressor<score::leverage, scale::z_score, Override...>;

/// What the queries of the own chunk look at, behind and before (attention alone of Compactor, arXiv 2507.08143).
template <policy... Override>
using non_causal_attention =
    compressor<score::non_causal_attention, weigh::value_norm, smooth::average_by<3>, scale::z_score, Override...>;

/// Both together (Compactor, arXiv 2507.08143).
template <policy... Override>
using compactor = compressor<score::compactor, Override...>;

/// What queries still to come would look at, from the prompt's own (Expected Attention, arXiv 2510.00636).
template <policy... Override>
using expected_attention = compressor<score::expected_attention<>, weigh::value_norm, Override...>;

/// The same from a table of statistics gathered before.
template <policy... Override>
using expected_attention_stored =
    compressor<score::expected_attention<statistics::stored>, weigh::value_norm, Override...>;

/// Values that the others, as likely as they are looked at, cannot stand for (CapKV, as kvpress has it).
template <policy... Override>
using cap_kv = compressor<score::cap_kv, Override...>;

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

/// The first tokens and the newest (StreamingLLM, arXiv 2309.17453); keys keep their old rotation.
template <policy... Override>
using streaming_llm = compressor<score::position, Override...>;

/// Tokens drawn at random, from a seed.
template <policy... Override>
using random = compressor<score::random, Override...>;
}  // namespace kvsieve::inline v0
