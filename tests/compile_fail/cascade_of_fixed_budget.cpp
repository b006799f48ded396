// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// expected-error: kvsieve: a cascade needs a budget for layers that arrive one by one
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/host/cascade.hpp>
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using cascade = kvsieve::host::cascade<kvsieve::budget::entropy_variance>;
#else
using cascade = kvsieve::host::cascade<kvsieve::budget::uniform>;
#endif
std::size_t bytes() { return cascade::state_bytes({}, {}, 1, 1); }
