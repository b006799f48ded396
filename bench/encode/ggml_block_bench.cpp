// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's formats of 4 and 5 bits: attention and encoding.
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
auto const registered =
    register_format<encode::q4_0>("q4_0", 0.4, 0.7) + register_format<encode::q4_1>("q4_1", 0.4, 0.7) +
    register_format<encode::q5_0>("q5_0", 0.4, 0.7) + register_format<encode::q5_1>("q5_1", 0.4, 0.7);
}  // namespace
}  // namespace kvsieve::bench
