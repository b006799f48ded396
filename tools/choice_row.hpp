// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From a budget and a selection to a row that runs behind any scores.
#pragma once
#include "choice.hpp"
#include "field_text.hpp"

namespace kvsieve::tool {

/// The row of a budget and a selection.
template <class Budget, class Select>
choice make_choice(char const* budget_name, char const* select_name) {
  choice c{budget_name, select_name, name_of(class_of<Select>(Budget::uniformity_class, false)), {}, {}};
  auto const each_field = [](auto& budget, auto& select, auto const& visit) {
    std::remove_cvref_t<decltype(budget)>::each(
        budget, [&](char const* name, auto& member, char const* unit, char const* meaning) {
          visit("budget." + std::string(name), member, unit, meaning);
        });
    std::remove_cvref_t<decltype(select)>::each(
        select, [&](char const* name, auto& member, char const* unit, char const* meaning) {
          visit("select." + std::string(name), member, unit, meaning);
        });
  };
  typename Budget::params budget_defaults;
  typename Select::params select_defaults;
  each_field(budget_defaults, select_defaults,
             [&](std::string const& key, auto& member, char const* unit, char const* meaning) {
               c.fields.push_back({key, to_text(member), unit, meaning});
             });
  c.run = [each_field](team_executor const& on, token_scores const& scores, cache_dump const& dump,
                       run_options const& options, outcome& out, chosen_plan& chosen) -> message {
    list_memory lists;
    typename Budget::params budget;
    typename Select::params select;
    if (message m = fill_budget(dump, options, budget, lists)) return m;
    fill_layers(dump, select, lists);
    for (auto const& [key, text] : options.set) {
      if (!key.starts_with("budget.") && !key.starts_with("select.")) continue;
      bool known = false, read = false;
      each_field(budget, select, [&, &key = key, &text = text](std::string const& k, auto& member, auto, auto) {
        if (k != key) return;
        known = true;
        read = set_member(member, text, lists);
      });
      if (!known) return "--set " + key + ": this budget and selection have no such field";
      if (!read) return "--set " + key + ": '" + text + "' is not a value of that field";
    }
    each_field(budget, select, [&](std::string const& key, auto& member, auto, auto) {
      out.params.emplace_back(key, to_text(member));
    });
    std::size_t const size = choose_tokens_workspace_bytes<Budget, Select>(on, scores, budget, select);
    chosen.memory = allocate(size);
    if (chosen.memory == nullptr) return "out of memory: the workspace takes " + std::to_string(size) + " bytes";
    chosen.plan = choose_tokens<Budget, Select>(on, scores, budget, select, std::span(chosen.memory.get(), size));
    if constexpr (requires(scored_view const& seen) { Budget::forced(budget, seen); })
      chosen.forced = [budget](scored_view const& seen) { return Budget::forced(budget, seen); };
    if (chosen.plan) return {};
    char line[256];
    return std::string(chosen.plan.state.message(line));
  };
  return c;
}

/// Adds the selections that go behind the counts of any budget to `rows`, which has every budget with top_k.
void add_selections(std::vector<choice>& rows);
}  // namespace kvsieve::tool
