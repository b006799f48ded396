// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How much of what costs seconds to compile a test takes.
#pragma once

#if !defined(KVSIEVE_TEST_COMBINATIONS)
#define KVSIEVE_TEST_COMBINATIONS 3  // the presets `clang` (tests) and `cuda` (kernels) take all nine
#endif

namespace support {
inline constexpr int combinations = KVSIEVE_TEST_COMBINATIONS;
/// Whether all is tested, or one of each kind: some products cost seconds to compile each.
inline constexpr bool all_combinations = combinations == 9;
}  // namespace support
