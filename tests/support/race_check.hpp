// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whether ThreadSanitizer looks on.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define KVSIEVE_RACE_CHECK 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KVSIEVE_RACE_CHECK 1
#endif
#endif
#if !defined(KVSIEVE_RACE_CHECK)
#define KVSIEVE_RACE_CHECK 0
#endif

namespace kvsieve_test {
/// Under ThreadSanitizer, where a case takes many times as long.
inline constexpr bool race_check = KVSIEVE_RACE_CHECK != 0;
}  // namespace kvsieve_test
