// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The report as a picture.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "report.hpp"

namespace kvsieve::llama_example {

/// A point of the plot.
struct cost {
  double bytes = 0, kl = 0;
};
/// The points that no other beats: none has as few bytes or fewer and a lower KL, or the same KL with fewer bytes. By
/// bytes, ascending; of equal points the first.
[[nodiscard]] std::vector<std::size_t> frontier(std::span<cost const> points);

/// Mean KL over bytes of one text, both logarithmic, as a picture (SVG) that stands alone, on light and dark paper: a
/// line for each strategy and storage, whiskers up to the 99 % point, the frontier as a broad line, and beside each
/// other what was compressed without and with the question, as far as there is either. A divergence of 0 has no place
/// on a logarithmic scale: its rows are named below the picture.
/// @param source  the text; rows of others, of tasks and those that failed are left out
[[nodiscard]] std::string divergence_svg(report const& all, std::string_view source);

}  // namespace kvsieve::llama_example
