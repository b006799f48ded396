// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NVFP4 with one scale of 1 for all: attention and encoding.
#include <kvsieve/encode/nvfp4.hpp>
#include <kvsieve/reference/small_float.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
using row = std::span<float const>;
auto const registered =
    register_format<encode::nvfp4>("nvfp4", 0.4, 0.7, [](row x) { return reference::nvfp4(x, 1.0); });
}  // namespace
}  // namespace kvsieve::bench
