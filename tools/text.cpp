// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ostream>

namespace kvsieve::tool {

std::string text_of(status const& s) {
  std::array<char, 256> line{};
  return std::string{s.message(line)};
}

namespace {

template <class... A>
std::string printed(char const* format, A... arguments) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, arguments...);
  return buffer.data();
}

/// Characters of UTF-8 text: bytes that do not continue one.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }));
}

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  auto const [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string format_bytes(std::size_t bytes) {
  constexpr std::array units{"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  auto value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < units.size(); ++unit) value /= 1000;
  return printed(value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

std::string format_number(double value) {
  if (std::isnan(value)) return "-";
  return printed(value != 0 && std::abs(value) < 1e-4 ? "%.1e" : "%.4f", value);
}

std::string format_percent(double fraction) { return std::isnan(fraction) ? "-" : printed("%.1f %%", 100 * fraction); }

std::string format_exact(double value) {
  std::array<char, 32> buffer{};
  auto const [stop, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), stop};
}

std::string format_seconds(double seconds) {
  if (seconds < 1e-3) return printed("%.1f us", seconds * 1e6);
  if (seconds < 1) return printed("%.2f ms", seconds * 1e3);
  return printed("%.2f s", seconds);
}

std::string csv_field(std::string const& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (auto const c : text) out += c == '"' ? std::string{"\"\""} : std::string{c};
  return out + "\"";
}

std::string styled(std::string_view text, look as, bool colour) {
  if (!colour || as == look::plain || text.empty()) return std::string{text};
  char const* const code = as == look::bold ? "1" : as == look::dim ? "2" : as == look::good ? "32" : "31";
  return "\x1b[" + std::string{code} + "m" + std::string{text} + "\x1b[0m";
}

void text_table::print(std::ostream& out, bool colour) const {
  std::vector<std::size_t> widths;
  for (auto const& c : columns_) widths.push_back(width_of(c.title));
  for (auto const& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i)
      if (row.size() == columns_.size() || i + 1 < row.size()) widths[i] = std::max(widths[i], width_of(row[i].text));

  auto const line = [&](std::vector<cell> const& row) {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      bool const runs_on = row.size() < columns_.size() && i + 1 == row.size();
      std::string const pad(runs_on ? 0 : widths[i] - width_of(row[i].text), ' ');
      auto const shown = styled(row[i].text, row[i].as, colour);
      text += (i == 0 ? "" : "  ") + (columns_[i].right && !runs_on ? pad + shown : shown + pad);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out << text << '\n';
  };
  std::vector<cell> titles;
  for (auto const& c : columns_) titles.push_back({c.title, look::bold});
  line(titles);
  for (auto const& row : rows_) line(row);
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  for (std::size_t at = 0; at <= text.size();) {
    auto const comma = std::min(text.find(',', at), text.size());
    auto item = text.substr(at, comma - at);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    out.emplace_back(item);
    at = comma + 1;
  }
  return out;
}

std::optional<double> parse_double(std::string_view text) { return parse_whole<double>(text); }
std::optional<int> parse_int(std::string_view text) { return parse_whole<int>(text); }

}  // namespace kvsieve::tool
