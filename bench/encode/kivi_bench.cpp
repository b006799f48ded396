// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KIVI in 4 and 2 bits: attention and encoding.
#include <kvsieve/encode/kivi.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
auto const registered = register_format<encode::kivi_keys<4>, encode::kivi_values<4>>("kivi4", 0.4, 0.7) +
                        register_format<encode::kivi_keys<2>, encode::kivi_values<2>>("kivi2", 0.25, 0.7);
}  // namespace
}  // namespace kvsieve::bench
