// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What can become of the tokens that do not stay, chosen at run time behind any plan.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "choice.hpp"

namespace kvsieve::tool {

/// One policy of the stage evict.
struct evict_choice {
  std::string name;
  std::vector<field> fields;  ///< `evict.*`
  /// Merges what a plan does not keep, [views][heads]; adds its bytes to the outcome. Empty: it is dropped.
  std::function<message(team_executor const&, token_plan const&, cache_dump const&, run_options const&, outcome&,
                        std::vector<std::vector<stored_head>>&)>
      run;
};

/// evict::low_rank_state with the networks of the dump, layers.<i>.less.*.
[[nodiscard]] evict_choice low_rank_choice();
/// Every policy, `compact` first.
[[nodiscard]] std::vector<evict_choice> const& evict_choices();
/// The policy of that name; a message that lists the names where there is none.
[[nodiscard]] message find_evict_choice(std::string const& name, evict_choice const*& found);

}  // namespace kvsieve::tool
