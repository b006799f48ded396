// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's q8_0: attention and encoding.
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/reference/affine_block.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
using row = std::span<float const>;
auto const registered =
    register_format<encode::q8_0>("q8_0", 0.55, 0.7, [](row x) { return reference::q8_0_blocks(x); });
}  // namespace
}  // namespace kvsieve::bench
