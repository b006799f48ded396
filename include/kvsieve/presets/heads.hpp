// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods that score all tokens of a head together: leverage, statistics of queries.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/score/cap_kv.hpp>
#include <kvsieve/score/compactor.hpp>
#include <kvsieve/score/expected_attention.hpp>
#include <kvsieve/score/leverage.hpp>
#include <kvsieve/score/non_causal_attention.hpp>
#include <kvsieve/smooth/average.hpp>
#include <kvsieve/weigh/value_norm.hpp>

namespace kvsieve::inline v0 {

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
}  // namespace kvsieve::inline v0
