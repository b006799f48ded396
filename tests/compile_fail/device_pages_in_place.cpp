// expected-error: kvsieve on the device walks rows by strides
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/paged.hpp>
#include <kvsieve/device/evict/compactor.hpp>
#include <kvsieve/presets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using rows = kvsieve::rows<float, 64>;
#else
using rows = kvsieve::rows<float, 64, kvsieve::layout_ragged_paged<16>>;
#endif
using layer = kvsieve::kv_layer<rows>;

struct launcher {
  static constexpr int threads = 128;
  template <class Body, class Args>
  [[nodiscard]] kvsieve::status launch(kvsieve::device::grid, Args const&) const {
    return {};
  }
};
kvsieve::status check(kvsieve::token_plan const& plan, kvsieve::cs::span<layer const> layers) {
  return kvsieve::device::move_kept<kvsieve::key_norm<>>(launcher{}, plan, layers);
}
