// expected-error: kvsieve: pages have 16 to 256 tokens, a multiple of 16
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/paged.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
constexpr int page = 48;
#else
constexpr int page = 24;
#endif
auto check(float* data, kvsieve::page_pool_view const& pool, kvsieve::page_table const& table) {
  return kvsieve::make_paged<page, 64>(data, 2, 9, pool, table);
}
