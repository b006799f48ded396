// expected-error: this budget or selection gives heads counts of their own
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

// A threshold keeps what it keeps in each head, which dense storage cannot hold.
#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::key_norm<kvsieve::select::threshold, kvsieve::store::ragged>;
#else
using strategy = kvsieve::key_norm<kvsieve::select::threshold>;
#endif
strategy::params params;
