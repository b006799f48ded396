// expected-error: constraints not satisfied
// expected-error: half_a_policy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

// A type that names no stage is no policy.
struct half_a_policy {
#if defined(KVSIEVE_SHOULD_COMPILE)
  using stage = kvsieve::stages::smooth;
  static constexpr bool pools = false;
#endif
  using params = kvsieve::no_params;
  static constexpr kvsieve::needs reads = kvsieve::needs::nothing;
};
using strategy = kvsieve::compressor<kvsieve::score::key_norm, half_a_policy>;
strategy::params const numbers{};
