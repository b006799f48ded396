// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Groups of 32 channels in 2 to 6 bits: attention and encoding.
#include <kvsieve/encode/bits.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
auto const registered =
    register_format<encode::bits<2>>("b2", 0.2, 0.7) + register_format<encode::bits<3>>("b3", 0.3, 0.7) +
    register_format<encode::bits<4>>("b4", 0.4, 0.7) + register_format<encode::bits<6>>("b6", 0.45, 0.7);
}  // namespace
}  // namespace kvsieve::bench
