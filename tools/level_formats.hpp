// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Levels of precision with their rows rotated, as the library has them, or as they are.
#pragma once
#include <kvsieve/store/level_sets.hpp>

namespace kvsieve::tool {

namespace detail {
template <class Set>
struct unrotated;
template <int... Percent, class... Keys, class... Values>
struct unrotated<store::level_set<store::level_formats<Percent, Keys, Values>...>> {
  using type = store::level_set<store::level_formats<Percent, typename Keys::stored, typename Values::stored>...>;
};
}  // namespace detail

/// A set of rotated levels with the same shares and bits of rows as they are: what rotation gives is seen against it.
template <class Set>
using unrotated_levels = typename detail::unrotated<Set>::type;

}  // namespace kvsieve::tool
