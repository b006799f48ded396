// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A comparison as one self-contained page: curves, kept-token strips and the table, without anything from outside.
#pragma once
#include <string>

#include "comparison.hpp"

namespace kvsieve::tool {

/// The most columns a kept-token strip has; more tokens share a column, which then shows the share kept.
inline constexpr int strip_columns = 1024;

/// The page. Text from the dump is data to it, never markup.
[[nodiscard]] std::string html_report(comparison const& all);

/// One head's kept tokens as text, a character per column: 64 levels from none ('A') to all ('/') in base64's alphabet.
[[nodiscard]] std::string strip_text(std::vector<int> const& kept, int tokens);

}  // namespace kvsieve::tool
