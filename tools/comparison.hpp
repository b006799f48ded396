// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Strategies side by side on one dump, and the forms such a comparison is written in.
#pragma once
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "dump.hpp"
#include "fidelity.hpp"
#include "strategy.hpp"

namespace kvsieve::tool {

/// One strategy at one keep in one form; either it ran or `failure` says why not.
struct comparison_row {
  std::string strategy, title;
  double keep = 0;      ///< as asked for: a share of the tokens, or of the cache's bytes
  std::string store;    ///< the storage, where one was asked for
  std::string failure;  ///< empty: it ran
  outcome result;
  fidelity judged;
};

struct comparison {
  std::string file, model;
  int num_layers = 0, tokens = 0, query_heads = 0, kv_heads = 0, head_dim = 0;
  int queries = 0;  ///< judged, the last positions of the dump
  std::vector<int> layers;
  std::string type;  ///< "f32"
  std::size_t bytes = 0;
  bool by_bytes = false;  ///< whether rows are asked for a share of the bytes, not of the tokens
  std::vector<comparison_row> rows;
};

/// The facts of a dump that a comparison states; no rows yet.
[[nodiscard]] comparison describe(std::string const& file, cache_dump const& dump);

/// What a row is called beside others: the strategy, and the storage unless it is dense.
[[nodiscard]] std::string series_name(comparison_row const& row);
/// What a row was asked for: "keep 0.25", "10.0 % of the bytes".
[[nodiscard]] std::string goal_text(comparison const& all, comparison_row const& row);
/// Share of the cache's bytes that is left.
[[nodiscard]] double bytes_kept(outcome const& result);
/// Seconds for a million tokens of one layer, all its heads.
[[nodiscard]] double seconds_per_million(outcome const& result, int tokens);

/// `plan.json`: which tokens are kept.
[[nodiscard]] nlohmann::ordered_json plan_json(outcome const& result, int tokens);
/// Bytes, time and fidelity of one outcome, without the kept sets.
[[nodiscard]] nlohmann::ordered_json outcome_json(outcome const& result, fidelity const& judged, int tokens);
/// Model, shape and layers of the dump.
[[nodiscard]] nlohmann::ordered_json dump_json(comparison const& all);
/// Everything but the kept sets, for scripts.
[[nodiscard]] std::string comparison_json(comparison const& all);
/// One line per row, a header line first; RFC 4180 quoting.
[[nodiscard]] std::string comparison_csv(comparison const& all);

/// JSON text; NaN becomes null, and bytes that are not UTF-8 the replacement character.
[[nodiscard]] std::string to_text(nlohmann::ordered_json const& value, int indent = 2);

/// Parameters as JSON: numbers where the text is one.
[[nodiscard]] nlohmann::ordered_json params_json(outcome const& result);

}  // namespace kvsieve::tool
