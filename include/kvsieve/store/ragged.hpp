// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ragged storage: the rows of each head behind those of the head before, as many as it keeps.
#pragma once
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// Packed rows with a table of where each head begins (make_ragged, layout_ragged), in the element type of the cache.
/// Holds any counts. One view's part of token_plan::offset is such a table.
struct ragged : policy_base<stages::store> {
  static constexpr uniformity accepts = uniformity::F;  ///< the least alike kept lists it can hold

  /// Bytes of the keys and values of one layer whose heads have `rows` rows together, and of its table of offsets.
  [[nodiscard]] static constexpr unsigned long long bytes(int heads, index rows, int head_dim, int element_bytes) {
    return 2ull * static_cast<unsigned long long>(rows) * static_cast<unsigned>(head_dim) *
               static_cast<unsigned>(element_bytes) +
           (static_cast<unsigned>(heads) + 1ull) * sizeof(index);
  }
};
}  // namespace store
}  // namespace kvsieve::inline v0
