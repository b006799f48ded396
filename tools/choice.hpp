// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Budgets and selections that can be put behind any scores at run time.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <kvsieve/kvsieve.hpp>

#include "strategy.hpp"

namespace kvsieve::tool {

/// Memory of a plan or of scores, aligned to 64 bytes; null when there is none to be had.
using bytes_ptr = std::unique_ptr<std::byte, void (*)(void*)>;
[[nodiscard]] bytes_ptr allocate(std::size_t size);

/// What the program runs on.
using team_executor = decltype(host::on(std::declval<host::team&>()));

/// A plan and the memory it lies in.
struct chosen_plan {
  bytes_ptr memory{nullptr, std::free};
  token_plan plan;
  std::function<forced_ends(scored_view const&)> forced;  ///< what its budget itself keeps; empty: nothing
};

/// One budget with one selection, for any scores.
struct choice {
  std::string budget, select;
  std::string uniformity;     ///< class of its plans
  std::vector<field> fields;  ///< `budget.*` and `select.*`
  std::function<message(team_executor const&, token_scores const&, cache_dump const&, run_options const&, outcome&,
                        chosen_plan&)>
      run;
};

/// Every budget with every selection.
[[nodiscard]] std::vector<choice> const& choices();
/// The choice of those names; a message that lists the names where there is none.
[[nodiscard]] message find_choice(std::string const& budget, std::string const& select, choice const*& found);

}  // namespace kvsieve::tool
