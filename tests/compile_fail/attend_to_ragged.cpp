// expected-error: kvsieve::attend reads dense views
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

// Heads of a ragged cache have numbers of tokens of their own.
std::size_t check(float const* data, kvsieve::index const* offset) {
  auto const query = kvsieve::make_rows<64>(data, 2, 1);
#if defined(KVSIEVE_SHOULD_COMPILE)
  (void)offset;
  auto const rows = kvsieve::make_rows<64>(data, 2, 9);
#else
  auto const rows = kvsieve::make_ragged<64>(data, 2, offset);
#endif
  return kvsieve::attend_workspace_bytes(kvsieve::host::on{}, query, kvsieve::kv_layer{rows, rows});
}
