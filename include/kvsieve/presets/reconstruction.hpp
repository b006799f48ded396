// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Methods that look at the attention of a pass which repeats the context.
#pragma once
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/aggregate/group_max_weighed.hpp>
#include <kvsieve/aggregate/heads.hpp>
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/budget/composite.hpp>
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/compressor.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/score/attention.hpp>
#include <kvsieve/score/observe_sets.hpp>
#include <kvsieve/store/ragged.hpp>

namespace kvsieve::inline v0 {

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

/// Kvsieve's own composition: mixed_queries ranks, and the value of a token that goes merges by score into the nearest
/// kept key of its head, with an attention bias. What stays is stored in levels of precision by the same scores
/// (store/level_sets.hpp), all from one budget of bytes. Values may be moved before they are encoded, so that the same
/// queries read from them what they read from all (evict::refit_values).
template <policy... Override>
using graded = mixed_queries<evict::merge_nearest, Override...>;
}  // namespace kvsieve::inline v0
