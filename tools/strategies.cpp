// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "strategy.hpp"

#include <charconv>
#include <cstdio>

#include "preset.hpp"

namespace kvsieve::tool {
namespace {
template <class T>
bool read_number(std::string const& text, T& value) {
  T read{};
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), read);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return false;
  value = read;
  return true;
}
template <class T>
bool read_list(std::string const& text, std::vector<T>& value) {
  std::vector<T> read;
  for (std::size_t at = 0; !text.empty() && at <= text.size();) {
    std::size_t const comma = std::min(text.find(',', at), text.size());
    T x{};
    if (!read_number(text.substr(at, comma - at), x)) return false;
    read.push_back(x);
    at = comma + 1;
  }
  value = std::move(read);
  return true;
}
template <class T>
std::string number_text(T value) {
  char buffer[40];
  auto const [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return error == std::errc{} ? std::string(buffer, end) : std::string("?");
}
template <class T>
std::string list_text(cuda::std::span<T const> const& v) {
  std::string text;
  for (T const x : v) text += (text.empty() ? "" : ",") + number_text(x);
  return text;
}
}  // namespace

bool from_text(std::string const& text, bool& value) {
  if (text != "0" && text != "1" && text != "false" && text != "true") return false;
  value = text == "1" || text == "true";
  return true;
}
bool from_text(std::string const& text, int& value) { return read_number(text, value); }
bool from_text(std::string const& text, float& value) { return read_number(text, value); }
bool from_text(std::string const& text, double& value) { return read_number(text, value); }
bool from_text(std::string const& text, std::uint64_t& value) { return read_number(text, value); }
bool from_text(std::string const& text, std::int64_t& value) { return read_number(text, value); }
bool from_text(std::string const& text, std::vector<int>& value) { return read_list(text, value); }
bool from_text(std::string const& text, std::vector<float>& value) { return read_list(text, value); }
bool from_text(std::string const& text, std::vector<double>& value) { return read_list(text, value); }

template <>
std::string to_text(bool const& v) {
  return v ? "true" : "false";
}
template <>
std::string to_text(int const& v) {
  return number_text(v);
}
template <>
std::string to_text(float const& v) {
  return number_text(v);
}
template <>
std::string to_text(double const& v) {
  return number_text(v);
}
template <>
std::string to_text(cuda::std::uint64_t const& v) {
  return number_text(v);
}
template <>
std::string to_text(cuda::std::int64_t const& v) {
  return number_text(v);
}
template <>
std::string to_text(cuda::std::span<int const> const& v) {
  return list_text(v);
}
template <>
std::string to_text(cuda::std::span<float const> const& v) {
  return list_text(v);
}
template <>
std::string to_text(cuda::std::span<double const> const& v) {
  return list_text(v);
}

std::vector<strategy> const& strategies() {
  static std::vector<strategy> const all = [] {
    std::vector<strategy> rows;
    for (auto const& family :
         {key_presets(), row_presets(), lag_presets(), window_presets(), layer_budget_presets(), observed_presets(),
          piece_presets(), page_presets(), round_presets(), full_attention_presets(), moment_presets(),
          merging_presets(), table_presets(), pass_presets(), position_presets()})
      rows.insert(rows.end(), family.begin(), family.end());
    return rows;
  }();
  return all;
}

strategy const* find_strategy(std::string const& name) {
  for (auto const& s : strategies())
    if (s.name == name) return &s;
  return nullptr;
}
}  // namespace kvsieve::tool
