// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A sum in double over the threads of a block.
#pragma once
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The sum over the block's threads, added in their order, for all of them; ends with a sync. `part` is shared memory.
template <block Block>
KVSIEVE_HD inline double sum_of_all(Block& b, double x, double (&part)[Block::threads]) {
  part[b.rank()] = x;
  b.sync();
  double sum = 0;
  for (int t = 0; t < Block::threads; ++t) sum += part[t];
  b.sync();
  return sum;
}
}  // namespace device
}  // namespace kvsieve::inline v0
