// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ranges of a policy's numbers, for the check() of its params. Written so that NaN fails.
#pragma once
#include <kvsieve/core/status.hpp>

namespace kvsieve::inline v0 {
namespace range {
/// ok when `value` >= `limit`.
[[nodiscard]] constexpr status at_least(char const* argument, double value, double limit) {
  return value >= limit ? status{} : fail(errc::bad_params, argument, value, "must be at least", limit);
}
/// ok when `value` <= `limit`.
[[nodiscard]] constexpr status at_most(char const* argument, double value, double limit) {
  return value <= limit ? status{} : fail(errc::bad_params, argument, value, "must be at most", limit);
}
/// ok when `from` <= `value` <= `to`.
[[nodiscard]] constexpr status within(char const* argument, double value, double from, double to) {
  status const s = at_least(argument, value, from);
  return s ? at_most(argument, value, to) : s;
}
/// ok when `value` > `limit`.
[[nodiscard]] constexpr status above(char const* argument, double value, double limit) {
  return value > limit ? status{} : fail(errc::bad_params, argument, value, "must be greater than", limit);
}
/// ok when `value` is a multiple of `step`, from `step` to `most`.
[[nodiscard]] constexpr status multiple(char const* argument, int value, int step, int most) {
  status const s = within(argument, value, step, most);
  if (!s || value % step == 0) return s;
  return fail(errc::bad_params, argument, value, "must be a multiple of", step);
}
/// ok when a table the caller brings has `wanted` entries.
[[nodiscard]] constexpr status entries(char const* argument, double got, double wanted) {
  return got == wanted ? status{} : fail(errc::bad_shape, argument, got, "entries; it must have", wanted);
}
/// The first of several that is not ok.
template <class... S>
[[nodiscard]] constexpr status all(S... each) {
  status first{};
  ((first = first ? each : first), ...);
  return first;
}
}  // namespace range
}  // namespace kvsieve::inline v0
