// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Groups of 32 channels in 2 to 6 bits: attention and encoding.
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/reference/affine_block.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
using row = std::span<float const>;
template <int B>
int register_bits(double attend_goal) {
  return register_format<encode::bits<B>>(encode::bits<B>::name, attend_goal, 0.7,
                                          [](row x) { return reference::bit_blocks(x, B, false); });
}
auto const registered = register_bits<2>(0.2) + register_bits<3>(0.3) + register_bits<4>(0.4) + register_bits<6>(0.45);
}  // namespace
}  // namespace kvsieve::bench
