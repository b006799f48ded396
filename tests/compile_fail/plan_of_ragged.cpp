// expected-error: ragged views are only a target of kvsieve::apply
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

// A plan needs heads with the same number of tokens.
std::size_t check(float const* data, kvsieve::index const* offset) {
#if defined(KVSIEVE_SHOULD_COMPILE)
  (void)offset;
  auto const rows = kvsieve::make_rows<64>(data, 2, 9);
#else
  auto const rows = kvsieve::make_ragged<64>(data, 2, offset);
#endif
  return kvsieve::workspace_bytes<kvsieve::key_norm<>>(kvsieve::host::on{}, kvsieve::kv_layer{rows, rows}, {});
}
