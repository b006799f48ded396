// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums over the threads of a block, of an order that is the same on every machine.
#pragma once
#include <kvsieve/core/strands.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The sum over the block's threads, added in their order, for all of them; ends with a sync. `part` is shared memory.
template <block Block, class T>
KVSIEVE_HD inline T sum_of_all(Block& b, T x, T (&part)[Block::threads]) {
  part[b.rank()] = x;
  b.sync();
  T sum = 0;
  for (int t = 0; t < Block::threads; ++t) sum += part[t];
  b.sync();
  return sum;
}

/// What sum_of_strands(n, add) gives on the host, for all threads; ends with a sync. `part` is shared memory.
template <block Block, class Add>
KVSIEVE_HD inline double sum_of_strands(Block& b, int n, Add const& add, double (&part)[strands]) {
  for (int s = b.rank(); s < strands; s += Block::threads) {
    double sum = 0;
    for (index i = s; i < n; i += strands) sum = add(sum, static_cast<int>(i));
    part[s] = sum;
  }
  b.sync();
  double sum = 0;
  for (int s = 0; s < strands && s < n; ++s) sum += part[s];
  b.sync();
  return sum;
}
}  // namespace device
}  // namespace kvsieve::inline v0
