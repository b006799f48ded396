// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scales that are held apart from the rows: one for all, or one a head.
#pragma once
#include <kvsieve/core/encoded.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// State of formats with a scale per tensor or per head. A row's head is (row / head_rows) % heads, with rows counted
/// from the view's first byte: head_rows is 1 where the heads of a token lie one behind another, and the rows of a head
/// where its tokens do. No scales, and a scale of 0, count as 1.
struct head_scales {
  float const* scale = nullptr;  ///< [heads], of the caller, readable wherever rows are read
  index head_rows = 1;           ///< rows from a head to the next
  index heads = 1;               ///< scales; 1: one for all rows
  /// The scale of a row.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float at(index row) const {
    if (scale == nullptr) return 1.0f;
    float const s = scale[heads > 1 ? row / head_rows % heads : 0];
    return s == 0.0f ? 1.0f : s;
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
