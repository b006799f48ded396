// expected-error: kv_layer: keys and values have the same head dimension
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

float rows[256];
#if defined(KVSIEVE_SHOULD_COMPILE)
constexpr int of_values = 64;
#else
constexpr int of_values = 128;
#endif
kvsieve::kv_layer const cache{kvsieve::make_rows<64>(rows, 1, 2), kvsieve::make_rows<of_values>(rows, 1, 2)};
