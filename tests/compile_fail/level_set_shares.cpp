// expected-error: kvsieve::store::level_set: shares add up to 100 percent
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/store/level_sets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
constexpr int rest = 60;
#else
constexpr int rest = 50;
#endif
using eight = kvsieve::encode::q8_0;
int levels() {
  return kvsieve::store::level_set<kvsieve::store::level_formats<40, eight, eight>,
                                   kvsieve::store::level_formats<rest, eight, eight>>::count;
}
