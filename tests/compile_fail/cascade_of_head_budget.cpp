// expected-error: kvsieve: a cascade needs a budget that gives the heads of a layer the same
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/host/cascade.hpp>
#include <kvsieve/kvsieve.hpp>

struct by_head : kvsieve::budget::entropy_variance {
#if !defined(KVSIEVE_SHOULD_COMPILE)
  static constexpr kvsieve::uniformity uniformity_class = kvsieve::uniformity::U3;
#endif
};
using cascade = kvsieve::host::cascade<by_head>;
std::size_t bytes() { return cascade::state_bytes({}, {}, 1, 1); }
