// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Row i of one head of `to` becomes row kept[i] of the same head of `from`, bit for bit. The two do not overlap.
void compact(row_view auto const& from, index head, std::span<int const> kept, row_view auto const& to) {
  for (std::size_t i = 0; i < kept.size(); ++i)
    for (int d = 0; d < head_dim_of<std::decay_t<decltype(from)>>; ++d)
      to(head, static_cast<index>(i), d) = from(head, kept[i], d);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
