// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// True when every channel of a row is a number: 0 times it is 0.
template <row_view View>
[[nodiscard]] bool finite_row(View const& view, index head, index token) {
  auto const row = row_of(view, head, token);
  fragment zeros(0.0f);
  for (int d = 0; d < head_dim_of<View>; d += fragment::lanes) zeros = fma(load_row(row, d), fragment(0.0f), zeros);
  return sum(zeros) == 0.0f;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
