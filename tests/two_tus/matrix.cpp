// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// compile-flags: -march=sapphirerapids
// Built for a CPU with a matrix unit: bf16 queries are observed in its tiles.
#include "snap_kv_targets.hpp"

static_assert(kvsieve::host::amx_tiles::exist);

bool matrix_granted() { return kvsieve::host::amx_tiles::granted(); }
std::vector<int> observed_matrix(kvsieve::bf16* keys, kvsieve::bf16* queries) { return snap_quarter(keys, queries); }
