// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Signed bytes with a scale for each row: attention and encoding.
#include <kvsieve/encode/int8_row.hpp>
#include <kvsieve/reference/affine_block.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
using row = std::span<float const>;
auto const registered =
    register_format<encode::int8_row>("int8_row", 0.55, 0.7, [](row x) { return reference::int8_row(x); });
}  // namespace
}  // namespace kvsieve::bench
