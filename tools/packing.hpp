// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What becomes of the tokens that a plan of a dump keeps. It depends on no strategy and is compiled once.
#pragma once
#include <vector>

#include "choice.hpp"
#include "dump.hpp"
#include "strategy.hpp"

namespace kvsieve::tool {

/// Bytes of keys and values before and after, in the file's element type. Heads with counts of their own lie ragged.
void count_bytes(token_plan const& plan, cache_dump const& dump, outcome& out);

/// Compacts what was not merged, stores it where a form is asked for, and tells `out` all of it.
/// @param seconds  spent until here
/// @param merged   per layer and head what the rows were merged to; empty: rows are as they were
[[nodiscard]] message pack(team_executor const& on, token_plan const& plan, cache_dump const& dump,
                           run_options const& options, double seconds, std::vector<std::vector<stored_head>> merged,
                           outcome& out);

}  // namespace kvsieve::tool
