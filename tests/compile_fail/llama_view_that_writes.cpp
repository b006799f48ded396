// expected-error: kvsieve: views of a state are only read
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/engine/llama_cpp.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using element = kvsieve::f16 const;
#else
using element = kvsieve::f16;
#endif
auto check(kvsieve::engine::llama_state const& state, kvsieve::rows<element, 64>& keys) {
  return kvsieve::engine::see_llama_keys(state.cache, 0, keys);
}
