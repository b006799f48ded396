// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "field_text.hpp"

#include <charconv>

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

std::string to_text(number_ref const& member) {
  return std::visit([](auto const* value) { return to_text(*value); }, member);
}

bool set_member(number_ref const& member, std::string const& text, list_memory& lists) {
  auto const set = [&]<class T>(T* value) {
    if constexpr (requires { typename T::element_type; }) {
      std::vector<std::remove_const_t<typename T::element_type>> list;
      if (!from_text(text, list)) return false;
      *value = lists.hold(std::move(list));
      return true;
    } else {
      return from_text(text, *value);
    }
  };
  return std::visit(set, member);
}

std::vector<field> rows_of(field_refs const& fields) {
  std::vector<field> rows;
  for (auto const& f : fields) rows.push_back({f.key(), to_text(f.member), f.unit, f.meaning});
  return rows;
}

message set_field(field_refs const& fields, std::string const& key, std::string const& text, list_memory& lists,
                  char const* owner) {
  bool known = false;
  for (auto const& f : fields) {
    if (f.key() != key) continue;
    known = true;
    if (!set_member(f.member, text, lists)) return "--set " + key + ": '" + text + "' is not a value of that field";
  }
  if (!known) return "--set " + key + ": " + owner + " no such field";
  return {};
}
}  // namespace kvsieve::tool
