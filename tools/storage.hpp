// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Forms that kept rows can be stored in, behind one run-time interface.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <kvsieve/kvsieve.hpp>

#include "choice.hpp"
#include "dump.hpp"
#include "strategy.hpp"

namespace kvsieve::tool {

/// Kept rows of all layers, merged or not, before they are stored: what a storage starts from.
struct packed_cache {
  token_plan plan;                          ///< of these rows: token i of a head is its i-th kept one
  std::vector<float const*> keys, values;   ///< of each layer [Hkv, rows, D]
  std::vector<int> rows;                    ///< of each layer
  std::vector<std::uint8_t const*> biases;  ///< of each layer [Hkv, rows] codes; null: none
  index bytes = -1;                         ///< that it may take in all; -1: as many as it takes
};

/// One form, for any head dimension of the program.
struct storage {
  std::string name, title;
  std::string source;  ///< what its bytes are checked against
  /// Stores, counts every byte, and reads back into the layers of the outcome what attention would see.
  std::function<message(team_executor const&, packed_cache const&, cache_dump const&, outcome&)> run;
  /// Rows of all layers and heads that so many bytes hold however they are shared out, tables counted, with a byte for
  /// a bias or not; at most those of the dump.
  std::function<message(cache_dump const&, index bytes, bool biased, index& rows)> rows_in;
};

/// What --bytes says to a budget that counts rows as they were: the bytes that as many of these take as the store of
/// the options holds in so many.
[[nodiscard]] message bytes_as_they_were(cache_dump const& dump, run_options const& options, std::int64_t& bytes);

/// The storage that a strategy's row of the method table names; null: rows stay as they were.
[[nodiscard]] storage const* own_storage(strategy const& of);

/// Stores the rows that a plan kept, [Hkv, plan.count(layer), D] of each layer, or what the outcome says they were
/// merged to, in the store of the options, refitted before where these say so, and tells `out` what became of them.
/// What takes more bytes than the options allow is refused.
[[nodiscard]] message store_packed(run_options const& options, team_executor const& on, token_plan const& plan,
                                   std::vector<float const*> keys, std::vector<float const*> values,
                                   cache_dump const& dump, outcome& out);

/// Every form; the first is dense.
[[nodiscard]] std::vector<storage> const& storages();
/// The form of that name; a message that lists the names where there is none.
[[nodiscard]] message find_storage(std::string const& name, storage const*& found);

}  // namespace kvsieve::tool
