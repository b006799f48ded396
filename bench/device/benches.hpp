// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The families of benchmarks; each appends to records().
#pragma once

namespace kvsieve::bench::gpu {
void time_rows();
void time_queries();
void time_lists();
void time_attend();
}  // namespace kvsieve::bench::gpu
