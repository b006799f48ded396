// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's formats of 4 and 5 bits: attention and encoding.
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/reference/affine_block.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
using row = std::span<float const>;
template <class C, int Bits, bool Minimum>
int register_blocks() {
  return register_format<C>(C::name, 0.4, 0.7, [](row x) { return reference::ggml_blocks(x, Bits, Minimum); });
}
auto const registered = register_blocks<encode::q4_0, 4, false>() + register_blocks<encode::q4_1, 4, true>() +
                        register_blocks<encode::q5_0, 5, false>() + register_blocks<encode::q5_1, 5, true>();
}  // namespace
}  // namespace kvsieve::bench
