// expected-error: kvsieve::apply in place on the device moves encoded rows that stand by themselves
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/device/evict/compactor.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/presets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using rows = kvsieve::encoded_rows<kvsieve::encode::q8_0, 64, kvsieve::byte>;
#else
using rows = kvsieve::encoded_rows<kvsieve::encode::kivi_keys<2>, 64, kvsieve::byte>;
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
