// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where a result was measured.
#pragma once
#include <string>

namespace kvsieve::bench {

/// What a result file says about its origin; an empty string where it is not known.
struct environment {
  std::string date, cpu, compiler, flags, includes, commit;
};
[[nodiscard]] environment const& here();

/// Seconds that g++ takes over a file with nothing but the host umbrella: the best of three. Negative where it did not
/// run, with `why` saying so.
[[nodiscard]] double umbrella_seconds(std::string& why);
}  // namespace kvsieve::bench
