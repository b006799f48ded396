// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a call returns: a code, the argument at fault, and both values. No allocation, no exception.
#pragma once
#include <cstdio>
#include <span>
#include <string_view>

#include <cuda/std/cstdint>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {

enum class errc : unsigned char {
  ok,
  bad_shape,            ///< an extent is empty, too large, or does not match another argument
  bad_params,           ///< a number of the strategy is outside its range
  bad_pointer,          ///< null or misaligned
  overlap,              ///< output memory overlaps input memory
  workspace_too_small,  ///< see workspace_bytes
  bad_plan,             ///< the plan failed, or belongs to another cache
  cuda                  ///< `native` holds the cudaError_t
};

/// The outcome of a call. Converts to true when all went well.
struct [[nodiscard]] status {
  errc code = errc::ok;
  int native = 0;                ///< cudaError_t when code == errc::cuda
  int layer = -1;                ///< index of the view in a grouped call; -1: not about one view
  char const* argument = "";     ///< "budget.keep"
  char const* rule = "";         ///< "must be at most"
  double got = 0, expected = 0;  ///< the value given and the value it was held against

  constexpr explicit operator bool() const noexcept { return code == errc::ok; }

  /// Writes one line into `buffer` and returns the part written: "view 3: budget.keep is 1.5, must be at most 1".
  std::string_view message(std::span<char> buffer) const noexcept {
    if (buffer.empty()) return {};
    char where[24] = "";
    if (layer >= 0) std::snprintf(where, sizeof where, "view %d: ", layer);
    int n = 0;
    if (code == errc::ok) {
      n = std::snprintf(buffer.data(), buffer.size(), "ok");
    } else if (code == errc::cuda) {
      n = std::snprintf(buffer.data(), buffer.size(), "%s%s: CUDA error %d", where, argument, native);
    } else {
      n = std::snprintf(buffer.data(), buffer.size(), "%s%s is %.10g, %s %.10g", where, argument, got, rule, expected);
    }
    if (n < 0) return {};
    return {buffer.data(),
            static_cast<std::size_t>(n) < buffer.size() ? static_cast<std::size_t>(n) : buffer.size() - 1};
  }
};

/// Builds a failed status: `argument` is `got`, `rule` `expected`.
[[nodiscard]] constexpr status fail(errc code, char const* argument, double got, char const* rule, double expected,
                                    int layer = -1) noexcept {
  return {code, 0, layer, argument, rule, got, expected};
}
}  // namespace kvsieve::inline v0
