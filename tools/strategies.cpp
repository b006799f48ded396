// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "strategy.hpp"

#include "preset.hpp"

namespace kvsieve::tool {
message detail::set_fields(field_refs const& fields, run_options const& options,
                           bool (*comes_from_dump)(std::string const&), outcome& out, list_memory& lists) {
  auto const left = [&](std::string const& key) {
    return (options.other != nullptr && (key.starts_with("budget.") || key.starts_with("select."))) ||
           (options.evict != nullptr && key.starts_with("evict."));
  };
  for (auto const& [key, text] : options.set)
    if (!left(key))
      if (message m = set_field(fields, key, text, lists, "this strategy has")) return m;
  for (auto const& f : fields)
    if (std::string const key = f.key(); !left(key) && !comes_from_dump(key))
      out.params.emplace_back(key, to_text(f.member));
  return {};
}

std::vector<strategy> const& strategies() {
  static std::vector<strategy> const all = [] {
    std::vector<strategy> rows;
    for (auto const& family :
         {key_presets(), row_presets(), lag_presets(), window_presets(), layer_budget_presets(), observed_presets(),
          piece_presets(), page_presets(), round_presets(), full_attention_presets(), moment_presets(),
          merging_presets(), table_presets(), pass_presets(), position_presets()})
      rows.insert(rows.end(), family.begin(), family.end());
    return rows;
  }();
  return all;
}

strategy const* find_strategy(std::string const& name) {
  for (auto const& s : strategies())
    if (s.name == name) return &s;
  return nullptr;
}
}  // namespace kvsieve::tool
