// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Floats of 8 bits: attention and encoding.
#include <kvsieve/encode/fp8.hpp>
#include <kvsieve/reference/small_float.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
using row = std::span<float const>;
auto const registered = register_format<encode::fp8<encode::e4m3>>(
                            "fp8_e4m3", 0.55, 0.7, [](row x) { return reference::fp8(x, reference::e4m3, 1.0); }) +
                        register_format<encode::fp8<encode::e5m2>>(
                            "fp8_e5m2", 0.55, 0.7, [](row x) { return reference::fp8(x, reference::e5m2, 1.0); });
}  // namespace
}  // namespace kvsieve::bench
