// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Floats of 8 bits: attention and encoding.
#include <kvsieve/encode/fp8.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
auto const registered = register_format<encode::fp8<encode::e4m3>>("fp8_e4m3", 0.55, 0.7) +
                        register_format<encode::fp8<encode::e5m2>>("fp8_e5m2", 0.55, 0.7);
}  // namespace
}  // namespace kvsieve::bench
