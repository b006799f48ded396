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

/// Seconds that g++ takes over a file with nothing but the host umbrella: the best of three.
struct umbrella_seconds {
  /// As this machine's include paths have it. CCCL reads the CUDA toolkit's 4 to 16 bit float headers wherever it finds
  /// them.
  double found = -1;
  /// With CCCL's headers alone, which is all that host code needs: its switches keep it from those of the toolkit.
  double cccl_alone = -1;
};

/// Compiles the umbrella; negative seconds where that did not work, with `why` saying so.
[[nodiscard]] umbrella_seconds compile_umbrella(std::string& why);
}  // namespace kvsieve::bench
