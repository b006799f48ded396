// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// compile-flags: -march=x86-64
// Built for one instruction set; its neighbour is built for another. Both have to keep their own code.
#include "key_diff_targets.hpp"

int kept_base(float* keys, float* values) { return keep_half(keys, values); }
int lanes_base() { return kvsieve::host::fragment::lanes; }
