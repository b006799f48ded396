// expected-error: kvsieve::plan on the device has no kernel for a selection of this kind
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/device/plan/planner.hpp>
#include <kvsieve/presets.hpp>

// A selection of somebody's own, by which the scores alone tell how many tokens stay.
struct above_mean : kvsieve::select::threshold {};

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::dms<kvsieve::score::key_norm>;
#else
using strategy = kvsieve::key_norm<above_mean, kvsieve::store::ragged>;
#endif

// A launcher that launches nothing.
struct launcher {
  static constexpr int threads = 32;
  template <class Body, class Args>
  kvsieve::status launch(kvsieve::device::grid, Args const&) const {
    return {};
  }
};
using rows = kvsieve::rows<float, 64>;
using planner =
    kvsieve::device::planner<strategy, launcher, kvsieve::kv_layer<rows, rows>, kvsieve::device::no_queries>;
kvsieve::device::workspace_size check(planner const& p) { return p.bytes(); }
