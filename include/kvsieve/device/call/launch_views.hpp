// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A grouped call as launches, for any launcher: device::on launches them on a stream, a test runs the same launches on
// emulated blocks. A launcher has `threads` (of a block), and `status launch<Body>(grid, args)`.
#pragma once
#include <cuda/std/cstdint>

#include <kvsieve/core/status.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Blocks of a grid along y and z.
inline constexpr int most_blocks_across = 65535;
/// A grid that a launch takes. Calls refuse what would need another before they launch anything; this is the last
/// guard.
[[nodiscard]] constexpr status fits_launch(grid const& g) {
  if (g.y > most_blocks_across) return fail(errc::bad_shape, "grid.y", g.y, "must be at most", most_blocks_across);
  if (g.z > most_blocks_across) return fail(errc::bad_shape, "grid.z", g.z, "must be at most", most_blocks_across);
  return {};
}

/// Memory that kernels read or write, as far as the launcher can tell: one with reaches(pointer), as device::on has
/// where KVSIEVE_CHECK_POINTERS is 1.
template <class Launcher>
[[nodiscard]] status within_reach([[maybe_unused]] Launcher const& on, [[maybe_unused]] void const* p,
                                  [[maybe_unused]] char const* name, [[maybe_unused]] int view = -1) {
  if constexpr (requires { on.reaches(p); })
    if (p != nullptr && !on.reaches(p))
      return fail(errc::bad_pointer, name, static_cast<double>(reinterpret_cast<cs::uintptr_t>(p)),
                  "an address in memory of the host that kernels do not reach: its cudaMemoryType is", 0, view);
  return {};
}
/// The same of the rows of a view and of its tables.
template <class Launcher, row_view V>
[[nodiscard]] status rows_within_reach(Launcher const& on, V const& v, char const* name, int view) {
  status s;
  auto const& m = v.mapping();
  auto const look = [&](void const* p) { s = s ? within_reach(on, p, name, view) : s; };
  if constexpr (cs::is_pointer_v<typename V::data_handle_type>) look(v.data_handle());
  if constexpr (requires { m.table; }) look(m.table);
  if constexpr (requires { m.list, m.first, m.length; }) {
    look(m.list);
    look(m.first);
    look(m.length);
  }
  if constexpr (requires { m.offset; }) look(m.offset);
  return s;
}
/// The same of the keys and values of a layer.
template <class Launcher, class Layer>
[[nodiscard]] status layer_within_reach(Launcher const& on, Layer const& l, char const* keys, char const* values,
                                        int view) {
  status const s = rows_within_reach(on, l.keys, keys, view);
  return s ? rows_within_reach(on, l.values, values, view) : s;
}

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
