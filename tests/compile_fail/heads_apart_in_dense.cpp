// expected-error: holds one count per layer: choose a budget of class U2 or below, or kvsieve::store::ragged
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

// AdaKV's heads keep counts of their own, which dense storage cannot hold.
#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::ada_kv<>;
#else
using strategy = kvsieve::ada_kv<kvsieve::store::dense>;
#endif
kvsieve::uniformity check() { return strategy::uniformity_class; }
