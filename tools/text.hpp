// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a person reads: numbers with the right digits, tables, and colours where a terminal shows them.
#pragma once
#include <cstddef>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kvsieve/core/status.hpp>

namespace kvsieve::tool {

/// "2.95 MB"; powers of 1000.
[[nodiscard]] std::string format_bytes(std::size_t bytes);
/// Four decimals, or an exponent below 0.0001; "-" for NaN.
[[nodiscard]] std::string format_number(double value);
/// "25.0 %"; "-" for NaN.
[[nodiscard]] std::string format_percent(double fraction);
/// The shortest text that reads back as the same number: "0.25".
[[nodiscard]] std::string format_exact(double value);
/// "1.24 ms"
[[nodiscard]] std::string format_seconds(double seconds);

/// A field of a CSV line, quoted where RFC 4180 wants it.
[[nodiscard]] std::string csv_field(std::string const& text);

/// What a status says, in one line.
[[nodiscard]] std::string text_of(status const& s);

/// How a piece of text is set off on a terminal.
enum class look { plain, bold, dim, good, bad };
[[nodiscard]] std::string styled(std::string_view text, look as, bool colour);

/// A table with a header line; columns are as wide as their widest cell.
class text_table {
 public:
  struct column {
    std::string title;
    bool right = false;  ///< numbers align to the right
  };
  struct cell {
    std::string text;
    look as = look::plain;
  };

  explicit text_table(std::vector<column> columns) : columns_{std::move(columns)} {}
  /// A row with fewer cells than columns lets its last cell run on to the right, without a say in the widths.
  void add(std::vector<cell> cells) { rows_.push_back(std::move(cells)); }
  void print(std::ostream& out, bool colour) const;

 private:
  std::vector<column> columns_;
  std::vector<std::vector<cell>> rows_;
};

/// The items of a comma-separated list, without surrounding blanks; an empty text has none.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text);
/// A number that fills the whole text, or nothing.
[[nodiscard]] std::optional<double> parse_double(std::string_view text);
[[nodiscard]] std::optional<int> parse_int(std::string_view text);

}  // namespace kvsieve::tool
