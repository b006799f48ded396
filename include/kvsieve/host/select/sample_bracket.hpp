// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Between which keys a place of a sorted row lies, as a sample of the row says.
#pragma once
#include <kvsieve/host/select/sort_scores.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// A bracket of keys, both ends inside.
struct key_range {
  unsigned low = 0, high = ~0u;
};

/// Keys of `n` sorted samples, the largest first, four and a half standard deviations to either side of place `at` of
/// them, more where few are above; open where that is beyond the last one.
[[nodiscard]] inline key_range sample_bracket(unsigned const* sample, index n, double at) {
  auto const size = static_cast<double>(n);
  double const inside = at < 0 ? 0.0 : at < size ? at : size;
  double const spread = 4.5 * __builtin_sqrt(inside * (1 - inside / (n > 0 ? size : 1)) + 3);
  key_range r;
  if (at + spread < size - 1) r.low = sample[static_cast<index>(at + spread)];
  if (at - spread >= 1) r.high = sample[static_cast<index>(at - spread)];
  return r;
}

/// The middle one of every `step` of n keys, sorted, the largest first; returns how many. `sample` has room for twice
/// as many.
inline index sample_keys(unsigned const* key, index n, index step, unsigned* sample) {
  index q = 0;
  for (index t = step / 2; t < n; t += step) sample[q++] = key[t];
  sort_keys(sample, sample + q, q);
  return q;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
