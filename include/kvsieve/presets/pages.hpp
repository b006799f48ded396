// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods that choose pages for a step of attention.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/score/page_bound.hpp>
#include <kvsieve/select/query_pages.hpp>

namespace kvsieve::inline v0 {

/// The pages in which the newest query can find most, and the newest page: a list for one step of attention, of each KV
/// head for itself (Quest, arXiv 2406.10774; its first two layers keep everything, which budget::per_layer says).
template <policy... Override>
using quest = compressor<score::page_bound<>, select::query_pages<>, Override...>;

/// The same with pages of 64 tokens, of which the best quarter speaks (LServe's retrieval heads, arXiv 2502.14866).
template <policy... Override>
using l_serve = compressor<score::page_bound<64, 16>, select::query_pages<64>, Override...>;
}  // namespace kvsieve::inline v0
