// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// compile-flags: -march=x86-64
// Built for one instruction set; its neighbours are built for others. All have to keep their own code.
#include "key_diff_targets.hpp"
#include "snap_kv_targets.hpp"

int kept_base(float* keys, float* values) { return keep_half(keys, values); }
int lanes_base() { return kvsieve::host::fragment::lanes; }
std::vector<int> observed_base(kvsieve::bf16* keys, kvsieve::bf16* queries) { return snap_quarter(keys, queries); }
