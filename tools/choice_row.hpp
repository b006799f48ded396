// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From a budget and a selection to a row that runs behind any scores.
#pragma once
#include "choice.hpp"
#include "field_text.hpp"
#include "head_dims.hpp"
#include "text.hpp"

namespace kvsieve::tool {

/// The fields of a budget and of a selection.
template <class BudgetParams, class SelectParams>
[[nodiscard]] field_refs fields_of_choice(BudgetParams& budget, SelectParams& select) {
  field_refs fields;
  add_fields(fields, "budget", budget);
  add_fields(fields, "select", select);
  return fields;
}

/// The row of a budget and a selection.
template <class Budget, class Select>
choice make_choice(char const* budget_name, char const* select_name) {
  choice c{budget_name, select_name, name_of(class_of<Select>(Budget::uniformity_class, false)), {}, {}};
  typename Budget::params budget_defaults;
  typename Select::params select_defaults;
  c.fields = rows_of(fields_of_choice(budget_defaults, select_defaults));
  c.run = [](team_executor const& on, token_scores const& scores, cache_dump const& dump, run_options const& options,
             outcome& out, chosen_plan& chosen) -> message {
    list_memory lists;
    typename Budget::params budget;
    typename Select::params select;
    if (message m = fill_budget(dump, options, budget, lists)) return m;
    fill_layers(dump, select, lists);
    auto const fields = fields_of_choice(budget, select);
    for (auto const& [key, text] : options.set)
      if (key.starts_with("budget.") || key.starts_with("select."))
        if (message m = set_field(fields, key, text, lists, "this budget and selection have")) return m;
    for (auto const& f : fields) out.params.emplace_back(f.key(), to_text(f.member));
    std::size_t const size = choose_tokens_workspace_bytes<Budget, Select>(on, scores, budget, select);
    chosen.memory = allocate(size);
    if (chosen.memory == nullptr) return "out of memory: the workspace takes " + std::to_string(size) + " bytes";
    chosen.plan = choose_tokens<Budget, Select>(on, scores, budget, select, std::span(chosen.memory.get(), size));
    if constexpr (requires(scored_view const& seen) { Budget::forced(budget, seen); })
      chosen.forced = [budget](scored_view const& seen) { return Budget::forced(budget, seen); };
    if (!chosen.plan) return text_of(chosen.plan.state);
    return {};
  };
  return c;
}

/// Adds the selections that go behind the counts of any budget to `rows`, which has every budget with top_k.
void add_selections(std::vector<choice>& rows);
}  // namespace kvsieve::tool
