// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Selections behind the counts of any budget. The forced tokens of these do not depend on a count, so a budget allots
// what it would with top_k, and a selection is built for counts that are known instead of for every budget.
#include "choice_row.hpp"

namespace kvsieve::tool {
namespace {

/// Counts that another plan has found, and what its budget forces.
struct counts_of : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U3;
  struct params {
    std::vector<int> const* count = nullptr;
    chosen_plan const* plan = nullptr;
    template <class Self, class Visit>
    static constexpr void each(Self&, Visit&&) {}
  };
  static constexpr std::int64_t room(params const&, int heads, int tokens) { return std::int64_t{heads} * tokens; }
  static forced_ends forced(params const& p, scored_view const& seen) {
    return p.plan->forced ? p.plan->forced(seen) : forced_ends{};
  }
  template <class Rows>
  static void allot(params const& p, Rows const&, int* count) {
    std::copy(p.count->begin(), p.count->end(), count);
  }
};

template <class Select>
choice behind(choice const& budget, char const* name) {
  auto const ends = budget.uniformity == name_of(uniformity::U3)   ? uniformity::U3
                    : budget.uniformity == name_of(uniformity::U2) ? uniformity::U2
                                                                   : uniformity::U1;
  choice c{budget.budget, name, name_of(class_of<Select>(ends, false)), {}, {}};
  for (auto const& f : budget.fields)
    if (f.key.starts_with("budget.")) c.fields.push_back(f);
  typename Select::params defaults;
  field_refs own;
  add_fields(own, "select", defaults);
  for (auto& row : rows_of(own)) c.fields.push_back(std::move(row));
  c.run = [first = budget.run](team_executor const& on, token_scores const& scores, cache_dump const& dump,
                               run_options const& options, outcome& out, chosen_plan& chosen) -> message {
    list_memory lists;
    typename Select::params select;
    fill_layers(dump, select, lists);
    field_refs fields;
    add_fields(fields, "select", select);
    for (auto const& [key, text] : options.set)
      if (key.starts_with("select."))
        if (message m = set_field(fields, key, text, lists, "this selection has")) return m;
    // The budget sees the same forced tokens, those of the selection's defaults among them.
    run_options counting = options;
    std::erase_if(counting.set, [](auto const& s) { return s.first.starts_with("select."); });
    counting.set.emplace_back("select.sink", to_text(select.sink));
    counting.set.emplace_back("select.recent", to_text(select.recent));
    counting.set.emplace_back("select.white_list", to_text(select.white_list));
    outcome counted;
    chosen_plan plan;
    if (message m = first(on, scores, dump, counting, counted, plan)) return m;
    std::vector<int> count;
    for (int v = 0; v < plan.plan.views; ++v)
      for (int h = 0; h < plan.plan.heads; ++h) count.push_back(plan.plan.count(v, h));
    for (auto const& p : counted.params)
      if (p.first.starts_with("budget.")) out.params.push_back(p);
    for (auto const& f : fields) out.params.emplace_back(f.key(), to_text(f.member));
    counts_of::params const known{&count, &plan};
    std::size_t const size = choose_tokens_workspace_bytes<counts_of, Select>(on, scores, known, select);
    chosen.memory = allocate(size);
    if (chosen.memory == nullptr) return "out of memory: the workspace takes " + std::to_string(size) + " bytes";
    chosen.plan = choose_tokens<counts_of, Select>(on, scores, known, select, std::span(chosen.memory.get(), size));
    chosen.plan.uniformity_class = class_of<Select>(plan.plan.uniformity_class, false);
    if (!chosen.plan) return text_of(chosen.plan.state);
    return {};
  };
  return c;
}

template <class Select>
void add(std::vector<choice>& rows, std::vector<choice> const& budgets, char const* name) {
  for (auto const& b : budgets)
    // Of this one a selection of pieces asks the exact share.
    rows.push_back(b.budget == "uniform" ? make_choice<budget::uniform, Select>("uniform", name)
                                         : behind<Select>(b, name));
}
}  // namespace

void add_selections(std::vector<choice>& rows) {
  std::vector<choice> budgets;
  for (auto const& row : rows)
    if (row.select == "top_k") budgets.push_back(row);
  add<select::threshold>(rows, budgets, "threshold");
  add<select::chunks>(rows, budgets, "chunks");
  add<select::windows>(rows, budgets, "windows");
  add<select::pages>(rows, budgets, "pages");
  add<select::page_representatives>(rows, budgets, "page_representatives");
  add<select::top_k_in_chunks>(rows, budgets, "top_k_in_chunks");
  add<select::top_k_in_spans>(rows, budgets, "top_k_in_spans");
  add<select::gumbel>(rows, budgets, "gumbel");
  add<select::two_stage>(rows, budgets, "two_stage");
}
}  // namespace kvsieve::tool
