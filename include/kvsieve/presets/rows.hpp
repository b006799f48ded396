// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods that score tokens by rows of keys and values, chunk by chunk, by position or by chance.
#pragma once
#include <kvsieve/aggregate/heads.hpp>
#include <kvsieve/budget/retrieval_heads.hpp>
#include <kvsieve/compressor.hpp>
#include <kvsieve/score/cur.hpp>
#include <kvsieve/score/key_diff.hpp>
#include <kvsieve/score/key_norm.hpp>
#include <kvsieve/score/lag_relative.hpp>
#include <kvsieve/score/position.hpp>
#include <kvsieve/score/q_filters.hpp>
#include <kvsieve/score/random.hpp>
#include <kvsieve/score/redundancy.hpp>
#include <kvsieve/score/value_key_ratio.hpp>
#include <kvsieve/select/block_wise.hpp>
#include <kvsieve/select/pages.hpp>
#include <kvsieve/select/threshold.hpp>
#include <kvsieve/select/top_k.hpp>
#include <kvsieve/select/top_k_in_chunks.hpp>
#include <kvsieve/store/ragged.hpp>

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

/// Short keys stay, the same share of every chunk (kvpress's ChunkPress over key norms).
template <policy... Override>
using chunk_key_norm = compressor<score::key_norm, select::top_k_in_chunks, Override...>;

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

/// Keys against a calibrated direction of their head stay (Q-Filters, arXiv 2503.02812).
template <policy... Override>
using q_filters = compressor<score::q_filters, Override...>;

/// Keys unlike the others stay, of alike ones the newest (R-KV's redundancy by itself, arXiv 2505.24133).
template <policy... Override>
using redundancy = compressor<score::redundancy, Override...>;

/// LagKV as kvpress ranks it, in one shot (arXiv 2504.04704).
template <policy... Override>
using lag_kv = compressor<score::lag_relative, Override...>;

/// LagKV as its authors stream it: budget.keep is the fraction kept of every partition (arXiv 2504.04704).
template <policy... Override>
using lag_kv_streaming = compressor<score::lag_relative_streaming, select::top_k_in_partitions, Override...>;

/// The first tokens and the newest (StreamingLLM, arXiv 2309.17453); keys keep their old rotation.
template <policy... Override>
using streaming_llm = compressor<score::position, Override...>;

/// Retrieval heads keep everything, streaming heads the first tokens and the newest (DuoAttention, arXiv 2410.10819);
/// score.sink and budget.sink are the same number.
template <policy... Override>
using duo_attention = compressor<score::position, budget::retrieval_heads, store::ragged, Override...>;

/// Tokens drawn at random, from a seed.
template <policy... Override>
using random = compressor<score::random, Override...>;

/// Tokens behind the newest stay by a threshold on any score, the first policy (DMS's inference form, kvpress).
template <policy_of<stages::score> Score, policy... Override>
using dms = compressor<Score, select::threshold, store::ragged, Override...>;
}  // namespace kvsieve::inline v0
