// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the GPU can do at best, measured by loops that do nothing else.
#pragma once

namespace kvsieve::bench::gpu {

struct limits {
  double read;    ///< bytes/s of summing up device memory
  double copy;    ///< bytes/s of copying it, read and written bytes
  double ffma;    ///< f32 operations/s of independent multiply-adds in registers
  double tensor;  ///< bf16 operations/s of mma.sync with f32 sums: a note, wgmma reaches more
  double launch;  ///< seconds from one empty kernel of a graph to the next
};

/// Measured once.
limits const& measured_limits();
}  // namespace kvsieve::bench::gpu
