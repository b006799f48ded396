// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = -||k_t||, for one KV head; `score` holds N. NaN in a key gives NaN, an infinity gives -inf.
/// Devoto et al., "A Simple and Effective L2 Norm-Based Strategy for KV Cache Compression", arXiv 2406.11430.
void key_norm(row_view auto const& keys, index head, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) score[t] = -norm_of(keys, head, static_cast<index>(t));
}
}  // namespace reference
}  // namespace kvsieve::inline v0
