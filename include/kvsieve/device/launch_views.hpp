// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A grouped call as launches, for any launcher: device::on launches them on a stream, a test runs the same launches on
// emulated blocks. A launcher has `threads` (of a block), and `status launch<Body>(grid, args)`.
#pragma once
#include <kvsieve/core/status.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Launches a body over all views, as many in a launch as its parameters hold. fill(view, part) describes a view and
/// returns its number of blocks along x; a launch has the largest of them, `y` blocks along y, and `z` for each view.
template <class Body, class Args, class Launcher, class Fill>
[[nodiscard]] status launch_views(Launcher const& on, int views, int y, int z, Args& args, Fill const& fill) {
  constexpr int limit = decltype(args.views)::limit;
  for (int first = 0; first < views; first += limit) {
    int const count = views - first < limit ? views - first : limit;
    int x = 0;
    for (int i = 0; i < count; ++i) {
      int const blocks = fill(first + i, args.views.part[i]);
      x = x < blocks ? blocks : x;
    }
    if (x == 0 || y == 0) continue;
    if (status const s = on.template launch<Body>(grid{x, y, z * count}, args); !s) return s;
  }
  return {};
}
}  // namespace device
}  // namespace kvsieve::inline v0
