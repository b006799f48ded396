// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Dense storage: kept rows one behind another, as they were.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// Rows at any head and token stride, in the element type of the cache. Holds counts per layer: up to class U2.
struct dense : policy_base<stages::store> {
  static constexpr uniformity accepts = uniformity::U2;  ///< the least alike kept lists it can hold

  /// Bytes of the keys and values of one layer with `heads` KV heads and `tokens` tokens; there is no metadata.
  [[nodiscard]] static constexpr unsigned long long bytes(int heads, int tokens, int head_dim, int element_bytes) {
    return 2ull * static_cast<unsigned>(heads) * static_cast<unsigned>(tokens) * static_cast<unsigned>(head_dim) *
           static_cast<unsigned>(element_bytes);
  }
};
}  // namespace store
}  // namespace kvsieve::inline v0
