// expected-error: kvsieve: a cascade needs a selection of as many tokens as the budget allots
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/host/cascade.hpp>
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using selection = kvsieve::select::heavy_hitters;
#else
using selection = kvsieve::select::pages;
#endif
using cascade = kvsieve::host::cascade<kvsieve::budget::entropy_variance, selection>;
std::size_t bytes() { return cascade::state_bytes({}, {}, 1, 1); }
