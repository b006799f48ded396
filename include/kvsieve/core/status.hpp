// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a call returns: a code, the argument at fault, and both values. No allocation, no exception.
#pragma once
#include <cfloat>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include <cuda/std/cstdint>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {

/// What kind of argument a call refused.
enum class errc : unsigned char {
  ok,
  bad_shape,            ///< an extent is empty, too large, or does not match another argument
  bad_params,           ///< a number of the strategy is outside its range
  bad_pointer,          ///< null or misaligned
  overlap,              ///< output memory overlaps input memory
  workspace_too_small,  ///< see workspace_bytes
  bad_plan,             ///< the plan failed, or belongs to another cache
  cuda,                 ///< `native` holds the cudaError_t
  bad_file,             ///< bytes that are not what their format says: cut short, altered, or of a later version
  shared_page,          ///< a page that other sequences name too would be written: `got` is the one to copy first
  out_of_pages          ///< a pool has fewer free pages than were asked for
};

namespace detail {
/// Writes a number with all its digits where it is whole and at most 2^53, else with as few as read back as the same
/// number, or as the same float where it came from one.
inline void write_number(char (&out)[32], double x) noexcept {
  if (x >= -0x1p53 && x <= 0x1p53 && x == static_cast<double>(static_cast<long long>(x))) {
    std::snprintf(out, sizeof out, "%lld", static_cast<long long>(x));
    return;
  }
  auto const narrow = [](double y) { return y >= -FLT_MAX && y <= FLT_MAX ? static_cast<float>(y) : 0.0f; };
  bool const single = static_cast<double>(narrow(x)) == x;
  for (int digits = 6; digits <= 17; ++digits) {
    std::snprintf(out, sizeof out, "%.*g", digits, x);
    double const back = std::strtod(out, nullptr);
    if (back == x || (single && narrow(back) == narrow(x))) return;
  }
}
}  // namespace detail

/// The outcome of a call. Converts to true when all went well.
struct [[nodiscard]] status {
  errc code = errc::ok;       ///< what kind of argument was at fault
  int native = 0;             ///< cudaError_t when code == errc::cuda
  int layer = -1;             ///< index of the view in a grouped call; -1: not about one view
  char const* argument = "";  ///< "budget.keep"
  char const* rule = "";      ///< "must be at most"
  double got = 0;             ///< the value given
  double expected = 0;        ///< the value it was held against

  /// True when all went well.
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
      char given[32] = "", limit[32] = "";
      detail::write_number(given, got);
      detail::write_number(limit, expected);
      n = std::snprintf(buffer.data(), buffer.size(), "%s%s is %s, %s %s", where, argument, given, rule, limit);
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
