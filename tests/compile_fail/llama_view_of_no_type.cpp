// expected-error: kvsieve: no type of ggml has rows of this format
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/int8_row.hpp>
#include <kvsieve/engine/llama_cpp.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using format = kvsieve::encode::q8_0;
#else
using format = kvsieve::encode::int8_row;
#endif
auto check(kvsieve::engine::llama_state const& state, kvsieve::engine::llama_rows<format, 64>& keys) {
  return kvsieve::engine::see_llama_keys(state.cache, 0, keys);
}
