// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Signed bytes with a scale for each row: attention and encoding.
#include <kvsieve/encode/int8_row.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
auto const registered = register_format<encode::int8_row>("int8_row", 0.55, 0.7);
}  // namespace
}  // namespace kvsieve::bench
