// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compaction: tokens that are not kept are dropped and the kept rows move together, in ascending order.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace evict {

/// Row i of a compacted head is row kept[i] of the cache. Keys stay rotated for their old positions, so the engine
/// goes on counting positions from the logical number of tokens (token_plan::tokens), not from the rows kept.
struct compact : policy_base<stages::evict> {};
}  // namespace evict
}  // namespace kvsieve::inline v0
