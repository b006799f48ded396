// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

namespace kvsieve::tool::safetensors {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian, and so must the machine");

constexpr std::array<element_type, 15> element_types{{{"F64", 8},
                                                      {"F32", 4},
                                                      {"F16", 2},
                                                      {"BF16", 2},
                                                      {"F8_E4M3", 1},
                                                      {"F8_E5M2", 1},
                                                      {"I64", 8},
                                                      {"I32", 4},
                                                      {"I16", 2},
                                                      {"I8", 1},
                                                      {"U64", 8},
                                                      {"U32", 4},
                                                      {"U16", 2},
                                                      {"U8", 1},
                                                      {"BOOL", 1}}};

/// Names go into one-line messages: control characters are shown as '?', and long names are cut.
std::string shown(std::string_view text) {
  constexpr std::size_t longest = 80;
  std::string out{text.substr(0, longest)};
  for (auto& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.size() > longest) out += "...";
  return "\"" + out + "\"";
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// Parses JSON without exceptions. A key that occurs twice in one object, and nesting that no header has, are found
/// on the way, because the parsed value no longer shows them.
message parse_json(std::string_view text, json& out) {
  constexpr int deepest = 4;
  std::vector<std::set<std::string>> seen;
  message failed;
  auto const watch = [&](int depth, json::parse_event_t event, json& value) {
    if (failed) return false;
    if (depth > deepest) {
      failed = "header: nested deeper than " + std::to_string(deepest) + " levels";
    } else if (event == json::parse_event_t::object_start) {
      seen.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      seen.pop_back();
    } else if (event == json::parse_event_t::key) {
      auto const& key = value.get_ref<std::string const&>();
      if (!seen.back().insert(key).second) failed = "header: key " + shown(key) + " occurs twice";
    }
    return !failed;
  };
  out = json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (failed) return failed;
  if (out.is_discarded()) return "header: not valid JSON";
  if (!out.is_object()) return "header: a JSON " + std::string{out.type_name()} + " where an object is needed";
  return {};
}

message parse_shape(json const& value, std::string const& where, std::vector<std::int64_t>& out) {
  if (!value.is_array()) return where + "shape is a JSON " + value.type_name() + ", not an array";
  if (value.size() > rank_limit)
    return where + "shape has " + std::to_string(value.size()) + " axes, more than " + std::to_string(rank_limit);
  for (auto const& extent : value) {
    if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > std::uint64_t{INT64_MAX})
      return where + "shape " + value.dump() + " holds " + extent.dump() + ", not a count";
    out.push_back(extent.get<std::int64_t>());
  }
  return {};
}

/// Bytes of a tensor, or a message when the product does not fit. An axis of length 0 makes it 0 whatever the others
/// are.
message tensor_bytes(std::vector<std::int64_t> const& shape, element_type const& type, std::string const& where,
                     std::size_t& out) {
  out = type.bytes;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    out = 0;
    return {};
  }
  for (auto const extent : shape)
    if (__builtin_mul_overflow(out, static_cast<std::size_t>(extent), &out))
      return where + "shape " + to_text(shape) + " of " + std::string{type.name} + " overflows a 64-bit byte count";
  return {};
}

message parse_entry(std::string const& name, json const& value, std::size_t data_bytes, entry& out) {
  auto const where = "tensor " + shown(name) + ": ";
  if (name.empty()) return "tensor \"\": an empty name";
  if (has_control(name)) return where + "its name holds a control character";
  if (!value.is_object()) return where + "a JSON " + value.type_name() + " where an object is needed";
  for (auto const* field : {"dtype", "shape", "data_offsets"})
    if (!value.contains(field)) return where + field + " is missing";
  if (value.size() != 3)
    return where + std::to_string(value.size()) + " fields where dtype, shape, data_offsets are known";

  auto const& type = value["dtype"];
  if (!type.is_string()) return where + "dtype is a JSON " + type.type_name() + ", not a string";
  auto const* const known = find_element_type(type.get_ref<std::string const&>());
  if (known == nullptr) return where + "dtype " + shown(type.get_ref<std::string const&>()) + " is unknown";
  out.name = name;
  out.type = *known;
  if (auto failed = parse_shape(value["shape"], where, out.shape)) return failed;

  auto const& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    return where + "data_offsets is not a pair of counts";
  auto const begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
  if (begin > end)
    return where + "data_offsets begin " + std::to_string(begin) + " is after end " + std::to_string(end);
  if (end > data_bytes)
    return where + "data_offsets end " + std::to_string(end) + " is beyond the " + std::to_string(data_bytes) +
           " bytes of data in the file";
  out.begin = begin;
  out.end = end;

  std::size_t needed = 0;
  if (auto failed = tensor_bytes(out.shape, out.type, where, needed)) return failed;
  if (needed != out.size_bytes())
    return where + "data_offsets span " + std::to_string(out.size_bytes()) + " bytes, shape " + to_text(out.shape) +
           " of " + std::string{out.type.name} + " needs " + std::to_string(needed);
  return {};
}

message parse_metadata(json const& value, std::map<std::string, std::string>& out) {
  if (!value.is_object())
    return "__metadata__: a JSON " + std::string{value.type_name()} + " where an object is needed";
  for (auto const& [key, text] : value.items()) {
    if (!text.is_string()) return "__metadata__: " + shown(key) + " is a JSON " + text.type_name() + ", not a string";
    out[key] = text.get<std::string>();
  }
  return {};
}

/// The tensors must tile the data section: bytes that two tensors share or none owns are how a file smuggles.
message check_tiling(std::vector<entry>& entries, std::size_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](entry const& a, entry const& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::size_t at = 0;
  for (auto const& e : entries) {
    if (e.begin < at)
      return "tensor " + shown(e.name) + ": data_offsets begin " + std::to_string(e.begin) +
             " overlaps the tensor before it, which ends at " + std::to_string(at);
    if (e.begin > at)
      return "tensor " + shown(e.name) + ": data_offsets begin " + std::to_string(e.begin) +
             " leaves a hole after byte " + std::to_string(at);
    at = e.end;
  }
  if (at != data_bytes)
    return "header: the tensors end at byte " + std::to_string(at) + ", the file holds " + std::to_string(data_bytes) +
           " bytes of data";
  return {};
}

}  // namespace

element_type const* find_element_type(std::string_view name) {
  auto const found =
      std::find_if(element_types.begin(), element_types.end(), [&](element_type const& t) { return t.name == name; });
  return found == element_types.end() ? nullptr : &*found;
}

entry const* contents::find(std::string_view name) const {
  auto const found = std::find_if(entries.begin(), entries.end(), [&](entry const& e) { return e.name == name; });
  return found == entries.end() ? nullptr : &*found;
}

std::string to_text(std::span<std::int64_t const> shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) out += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return out + "]";
}

message parse_header(std::string_view text, std::size_t data_bytes, contents& out) {
  if (text.empty() || text.front() != '{') return "header: does not begin with '{'";
  // The JSON parser takes a NUL for the end of its input, and would not see what follows.
  if (auto const nul = text.find('\0'); nul != std::string_view::npos)
    return "header: a NUL byte at offset " + std::to_string(nul);
  json header;
  if (auto failed = parse_json(text, header)) return failed;
  contents result;
  for (auto const& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (auto failed = parse_metadata(value, result.metadata)) return failed;
      continue;
    }
    entry e;
    if (auto failed = parse_entry(name, value, data_bytes, e)) return failed;
    result.entries.push_back(std::move(e));
  }
  if (auto failed = check_tiling(result.entries, data_bytes)) return failed;
  result.data_bytes = data_bytes;
  out = std::move(result);
  return {};
}

message read_contents(input_file const& file, contents& out) {
  auto const where = "'" + file.name() + "': ";
  std::uint64_t length = 0;
  if (file.size() < sizeof length)
    return where + "not a safetensors file: " + std::to_string(file.size()) +
           " bytes, fewer than the 8 of its header length";
  if (auto failed = file.read(0, std::as_writable_bytes(std::span{&length, 1}))) return failed;
  if (length > header_limit)
    return where + "not a safetensors file: header length " + std::to_string(length) + " is more than the limit of " +
           std::to_string(header_limit) + " bytes";
  if (length > file.size() - sizeof length)
    return where + "header length " + std::to_string(length) + " is more than the " +
           std::to_string(file.size() - sizeof length) + " bytes that follow it";
  std::string text(length, '\0');
  if (auto failed = file.read(sizeof length, std::as_writable_bytes(std::span{text}))) return failed;
  auto const data_offset = sizeof length + static_cast<std::size_t>(length);
  contents result;
  if (auto failed = parse_header(text, file.size() - data_offset, result)) return where + *failed;
  result.data_offset = data_offset;
  out = std::move(result);
  return {};
}

message read_tensor(input_file const& file, contents const& all, entry const& which,
                    std::shared_ptr<std::byte const>& out) {
  auto memory = aligned_bytes(which.size_bytes());
  if (!memory)
    return "tensor " + shown(which.name) + ": no memory for its " + std::to_string(which.size_bytes()) + " bytes";
  if (auto failed = file.read(all.data_offset + which.begin, {memory.get(), which.size_bytes()})) return failed;
  out = std::move(memory);
  return {};
}

message write(std::filesystem::path const& file, std::vector<item> const& items,
              std::map<std::string, std::string> const& metadata) {
  constexpr std::size_t alignment = 64;
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::vector<std::span<std::byte const>> pieces(1);
  std::size_t at = 0;
  for (auto const& i : items) {
    if (header.contains(i.name)) return "tensor " + shown(i.name) + " is to be written twice";
    header[i.name] = {{"dtype", std::string{i.type}}, {"shape", i.shape}, {"data_offsets", {at, at + i.bytes.size()}}};
    pieces.push_back(i.bytes);
    at += i.bytes.size();
  }
  auto text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.resize((text.size() + sizeof(std::uint64_t) + alignment - 1) / alignment * alignment - sizeof(std::uint64_t),
              ' ');
  // What was asked to be written is checked by the reader's own rules: a wrong shape never reaches the disk.
  contents check;
  if (auto failed = parse_header(text, at, check)) return failed;
  std::uint64_t const length = text.size();
  std::string head(sizeof length, '\0');
  std::memcpy(head.data(), &length, sizeof length);
  head += text;
  pieces[0] = std::as_bytes(std::span{head});
  return write_file(file, pieces);
}

}  // namespace kvsieve::tool::safetensors
