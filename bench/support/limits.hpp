// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the machine can do: loops that only read, only copy, only multiply and add, on all workers.
#pragma once
#include <cstddef>

namespace kvsieve::bench {

/// Adds up `bytes` of memory as floats.
void read_sum(void const* from, std::size_t bytes);
/// Copies past the caches where the machine has such stores.
void copy_streaming(void* to, void const* from, std::size_t bytes);
/// Copies with ordinary stores, which read the line that they overwrite.
void copy_plain(void* to, void const* from, std::size_t bytes);
/// Independent multiply-adds in registers; returns the operations done, about `flops` of them.
double multiply_add(double flops);

/// Best of some rounds over cold memory, measured once when first asked for: GB/s by the wall clock (copies: read and
/// written bytes) and GF/s by the workers' CPU time.
struct limits {
  double read = 0, copy = 0, plain_copy = 0, flops = 0;
};
[[nodiscard]] limits const& measured_limits();
}  // namespace kvsieve::bench
