// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KIVI in 4 and 2 bits: attention and encoding.
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/reference/affine_block.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
using row = std::span<float const>;
template <int B>
int register_kivi(std::string const& format, double attend_goal) {
  return register_formats<encode::kivi_keys<B>, encode::kivi_values<B>>(
      format, attend_goal, 0.7, [](row x) { return reference::kivi_keys(x, B, head_dim); },
      [](row x) { return reference::kivi_values(x, B, 32); });
}
auto const registered = register_kivi<4>("kivi4", 0.4) + register_kivi<2>("kivi2", 0.25);
}  // namespace
}  // namespace kvsieve::bench
