// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "evict_choice.hpp"

#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>

#include "evict_choice_row.hpp"

namespace kvsieve::tool {

std::vector<evict_choice> const& evict_choices() {
  static std::vector<evict_choice> const all{
      {"compact", {}, {}},
      make_evict_choice<evict::merge_nearest>("merge_nearest"),
      make_evict_choice<evict::merge_on_evict>("merge_on_evict"),
      make_evict_choice<evict::look_m_pivot>("look_m_pivot"),
      make_evict_choice<evict::look_m_weighted>("look_m_weighted"),
      make_evict_choice<evict::look_m_averaged>("look_m_averaged"),
      make_evict_choice<evict::d2o_merge>("d2o_merge"),
      make_evict_choice<evict::elastic_merge>("elastic_merge"),
      make_evict_choice<evict::cam>("cam"),
      make_evict_choice<evict::cam_prefill>("cam_prefill"),
      make_evict_choice<evict::zero_merge>("zero_merge"),
      make_evict_choice<evict::merge_runs>("merge_runs"),
      low_rank_choice(),
  };
  return all;
}

message find_evict_choice(std::string const& name, evict_choice const*& found) {
  std::string names;
  for (auto const& c : evict_choices()) {
    if (c.name == name) {
      found = &c;
      return {};
    }
    names += (names.empty() ? "" : ", ") + c.name;
  }
  return "--evict " + name + ": there is " + names;
}
}  // namespace kvsieve::tool
