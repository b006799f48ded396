// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Values refitted to what observed queries read from the whole cache, before they are stored.
#pragma once
#include <cstdint>
#include <vector>

#include "choice.hpp"
#include "dump.hpp"
#include "strategy.hpp"

namespace kvsieve::tool {

/// Rows of all layers that a plan kept, merged or not.
struct kept_rows {
  std::vector<float const*> keys, values;   ///< of each layer [Hkv, rows, D]; keys as attention will read them
  std::vector<int> rows;                    ///< of each layer
  std::vector<std::uint8_t const*> biases;  ///< of each layer [Hkv, rows] codes; empty: none
};

/// Whether a strategy's values are fitted: as asked for, or because the preset does so and the dump's pass has values.
[[nodiscard]] bool refits(run_options const& options, cache_dump const& dump);

/// Fits the kept values to the outputs of the pass behind the cache, a chunk of it after another, or without a pass to
/// those of the dump's own queries (evict::refit_values).
/// @param ridge    weight of what values are moved by
/// @param[out] to  of each layer [Hkv, rows, D]
[[nodiscard]] message refit(team_executor const& on, token_plan const& plan, cache_dump const& dump, double ridge,
                            kept_rows const& from, std::vector<std::vector<float>>& to);

}  // namespace kvsieve::tool
