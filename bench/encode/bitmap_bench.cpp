// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Half of the channels of a row: attention and encoding.
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/reference/bitmap.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
using row = std::span<float const>;
auto const registered = register_format<encode::bitmap<head_dim / 2>>(
    "bitmap", 0.55, 0.7, [](row x) { return reference::bitmap_row(x, head_dim / 2); });
}  // namespace
}  // namespace kvsieve::bench
