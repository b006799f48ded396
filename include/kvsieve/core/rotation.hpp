// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How keys are turned from a position to another (rotary embedding): as rotations compose, by the difference alone.
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/status.hpp>

namespace kvsieve::inline v0 {

/// The model's rotation as it is undone and done again. A factor that rotated rows were multiplied by (YaRN) is in the
/// keys already and stays there. Frequencies that depend on the length (dynamic NTK) do not compose, and are not meant.
struct rotation {
  double base = 10000;                   ///< pair i turns by base^(-2 i / channels) from a position to the next
  cs::span<double const> frequencies{};  ///< [channels / 2]: these turns themselves, for models that stretch them
  bool interleaved = false;              ///< pair i is channels 2 i and 2 i + 1, else i and i + channels / 2
  int channels = 0;                      ///< the first so many are rotated (partial rotary); 0: all of the row

  /// Rotated channels of a row of D.
  [[nodiscard]] constexpr int rotated(int D) const { return channels == 0 ? D : channels; }
  /// Ok, or the number that is out of range, for rows of D channels.
  [[nodiscard]] constexpr status check(int D) const {
    int const n = rotated(D);
    if (n < 2 || n > D) return fail(errc::bad_params, "rotation.channels", n, "must be 2 to the channels of a row,", D);
    if (n % 2 != 0) return fail(errc::bad_params, "rotation.channels", n, "must be a multiple of", 2);
    return range::all(range::within("rotation.base", base, 1, 1e12),
                      frequencies.empty()
                          ? status{}
                          : range::entries("rotation.frequencies", static_cast<double>(frequencies.size()), n / 2));
  }
};

namespace check {
/// Ok where keys are given for each view of a plan, of as many heads, and rows(view, keys) finds what stays in them.
template <class Plan, class Keys, class Rows>
[[nodiscard]] status keys_of_plan(Plan const& plan, cs::span<Keys const> keys, Rows const& rows) {
  if (!plan) return plan.state;
  if (static_cast<int>(keys.size()) != plan.views)
    return fail(errc::bad_shape, "keys", static_cast<double>(keys.size()), "must equal plan.views,", plan.views);
  for (int v = 0; v < plan.views; ++v) {
    Keys const& k = keys[static_cast<cs::size_t>(v)];
    if (k.extent(0) != plan.heads)
      return fail(errc::bad_shape, "keys.heads", static_cast<double>(k.extent(0)), "must equal the heads of the plan,",
                  plan.heads, v);
    if (status const s = rows(v, k); !s) return s;
  }
  return {};
}
}  // namespace check
}  // namespace kvsieve::inline v0
