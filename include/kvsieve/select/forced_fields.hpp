// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the selections with forced tokens have in common: the check of sink, recent and white_list.
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace select {
namespace detail {
/// Ok, or which of the three numbers that say what is forced is out of range.
template <class Params>
[[nodiscard]] constexpr status check_forced(Params const& p) {
  return range::all(range::at_least("select.sink", p.sink, 0), range::at_least("select.recent", p.recent, 0),
                    range::at_most("select.white_list", static_cast<double>(p.white_list.size()), most_tokens));
}
/// Calls visit for the three.
template <class Self, class Visit>
constexpr void each_forced(Self& self, Visit&& visit) {
  visit("sink", self.sink, "tokens", "first tokens that always stay");
  visit("recent", self.recent, "tokens", "last tokens that always stay");
  visit("white_list", self.white_list, "indices", "further tokens that always stay, ascending");
}
}  // namespace detail
}  // namespace select
}  // namespace kvsieve::inline v0
