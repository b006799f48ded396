// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// compile-flags: -march=x86-64-v4
// Built for one instruction set; its neighbour is built for another. Both have to keep their own code.
#include "key_diff_targets.hpp"

int kept_wide(float* keys, float* values) { return keep_half(keys, values); }
int lanes_wide() { return kvsieve::host::fragment::lanes; }
