// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods that look at the attention of other queries: all of them, the last one, a history, proxies, a
// draft.
#pragma once
#include <kvsieve/aggregate/count_above.hpp>
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/aggregate/heads.hpp>
#include <kvsieve/aggregate/last.hpp>
#include <kvsieve/aggregate/mean_visible.hpp>
#include <kvsieve/aggregate/sum.hpp>
#include <kvsieve/budget/lazy_layers.hpp>
#include <kvsieve/compressor.hpp>
#include <kvsieve/score/attention.hpp>
#include <kvsieve/score/observe.hpp>
#include <kvsieve/select/gumbel.hpp>
#include <kvsieve/select/threshold.hpp>
#include <kvsieve/select/top_k.hpp>
#include <kvsieve/smooth/max.hpp>
#include <kvsieve/store/ragged.hpp>

namespace kvsieve::inline v0 {

/// Mean attention over the queries that could see a token (kvpress's one-shot form of H2O).
template <policy... Override>
using observed_attention = compressor<score::attention<observe::all>, aggregate::mean_visible, Override...>;

/// Accumulated attention of all queries; half of the budget goes to recent tokens (H2O, arXiv 2306.14048).
template <policy... Override>
using h2o = compressor<score::attention<observe::all>, aggregate::sum, select::heavy_hitters, Override...>;

/// What the last query attends to, one choice for all heads of a layer (TOVA, arXiv 2401.06104).
template <policy... Override>
using tova = compressor<score::attention<observe::last>, aggregate::last, aggregate::heads_mean, Override...>;

/// Layers whose last query looks at sinks and recent tokens keep these, the others everything (SimLayerKV,
/// arXiv 2410.13846).
template <policy... Override>
using sim_layer_kv = compressor<score::attention<observe::last>, aggregate::last, budget::lazy_layers, Override...>;

/// What a history of queries attends to (Scissorhands, arXiv 2305.17118).
template <policy... Override>
using scissorhands = compressor<score::attention<observe::history>, aggregate::sum, Override...>;

/// Tokens to which any of the recent queries, in any head of the group, gave their uniform share stay, however many
/// they are (CORM, arXiv 2404.15949).
template <policy... Override>
using corm = compressor<score::attention<observe::history>, aggregate::count_above, aggregate::group_max,
                        select::threshold, store::ragged, Override...>;

/// What proxy queries without a mask attend to; a part of the budget is drawn (NACL, arXiv 2408.03675).
template <policy... Override>
using nacl = compressor<score::attention<observe::proxy>, aggregate::sum, select::gumbel, Override...>;

/// What the queries of a draft behind the cache attend to, and the last of the prompt, max-pooled (Lookahead Q-Cache,
/// arXiv 2505.20334).
template <policy... Override>
using lookahead_q = compressor<score::attention<observe::lookahead>, aggregate::sum, smooth::max, Override...>;
}  // namespace kvsieve::inline v0
