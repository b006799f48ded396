// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Shapes for property tests: mostly small, sometimes large, every awkward value likely. What RapidCheck makes of common
// types is compiled once, in generators.cpp: it is a third of what a small test compiles.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <ostream>
#include <type_traits>
#include <vector>

#include <rapidcheck.h>

#include "cache.hpp"

namespace support {

struct shape {
  int kv_heads = 1, group = 1, combination = 0;
  std::vector<int> tokens{1};  ///< of each view: one view, or a group of up to three
  layout where = layout::packed;
  content what = content::normal;
  int executor = 0;
  std::uint32_t seed = 0;

  [[nodiscard]] int views() const { return static_cast<int>(tokens.size()); }
  [[nodiscard]] int shortest() const { return *std::min_element(tokens.begin(), tokens.end()); }

  friend std::ostream& operator<<(std::ostream& out, shape const& s);
};

/// Numbers of tokens from `least` to `most`: half of them below 40.
rc::Gen<int> token_counts(int least, int most);

rc::Gen<std::vector<int>> views_of(int least, int most);

rc::Gen<shape> shapes(int least_tokens = 1, int most_tokens = 3001);

/// A fraction of [0, 1], its ends likely.
rc::Gen<double> fractions();

namespace detail {
[[nodiscard]] bool holds(char const* what, int cases, std::function<void()> const& property);
}

/// Checks a property with a number of cases that keeps the whole suite short, drawn the same in every run.
/// RC_PARAMS="max_success=..." sets another number, RC_PARAMS="seed=..." draws others.
template <class Property>
[[nodiscard]] bool holds(char const* what, int cases, Property const& property) {
  static_assert(std::is_void_v<std::invoke_result_t<Property const&>>, "say it with RC_ASSERT");
  return detail::holds(what, cases, [&] { property(); });
}
}  // namespace support

extern template class rc::Gen<bool>;
extern template class rc::Gen<int>;
extern template class rc::Gen<long>;
extern template class rc::Gen<std::uint32_t>;
extern template class rc::Gen<std::uint64_t>;
extern template class rc::Gen<float>;
extern template class rc::Gen<double>;
extern template class rc::Gen<std::vector<int>>;
extern template class rc::Gen<support::shape>;
extern template rc::Gen<int> rc::gen::inRange<int>(int, int);
extern template rc::Gen<long> rc::gen::inRange<long>(long, long);
extern template rc::Gen<std::uint64_t> rc::gen::inRange<std::uint64_t>(std::uint64_t, std::uint64_t);
extern template rc::Gen<int> rc::gen::resize<int>(int, rc::Gen<int>);
