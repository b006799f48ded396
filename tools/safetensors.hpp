// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes without a gap.
// Files come from anywhere, so nothing in a header is believed before it was checked against the file's size.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dump.hpp"
#include "file.hpp"

namespace kvsieve::tool::safetensors {

/// The longest header that is read, in bytes; real ones have kilobytes.
inline constexpr std::size_t header_limit = std::size_t{16} << 20;
/// The most axes a tensor may have.
inline constexpr std::size_t rank_limit = 16;

/// One element type of the format, by its name there.
struct element_type {
  std::string_view name;  ///< "F32"
  std::size_t bytes = 0;  ///< of one element
};

/// The element type of that name, or null.
[[nodiscard]] element_type const* find_element_type(std::string_view name);

/// One tensor as the header describes it; all fields were checked.
struct entry {
  std::string name;
  element_type type;
  std::vector<std::int64_t> shape;
  std::size_t begin = 0, end = 0;  ///< bytes, counted from the start of the data section

  [[nodiscard]] std::size_t size_bytes() const { return end - begin; }
};

/// What a file holds, without its data.
struct contents {
  std::vector<entry> entries;  ///< in the order of their bytes
  std::map<std::string, std::string> metadata;
  std::size_t data_offset = 0, data_bytes = 0;

  /// The tensor of that name, or null.
  [[nodiscard]] entry const* find(std::string_view name) const;
};

/// Checks a header's text against the size of the data section that follows it. On failure `out` is left as it was.
[[nodiscard]] message parse_header(std::string_view json, std::size_t data_bytes, contents& out);

/// Reads and checks the header of an open file. On failure `out` is left as it was.
[[nodiscard]] message read_contents(input_file const& file, contents& out);

/// Reads the bytes of one tensor into memory aligned to 64 bytes.
[[nodiscard]] message read_tensor(input_file const& file, contents const& all, entry const& which,
                                  std::shared_ptr<std::byte const>& out);

/// One tensor to be written; `bytes` stay the caller's.
struct item {
  std::string name;
  std::string_view type;  ///< "F32"
  std::vector<std::int64_t> shape;
  std::span<std::byte const> bytes;
};

/// Writes a file that the reader above accepts, the data section aligned to 64 bytes.
/// The file appears complete or not at all.
[[nodiscard]] message write(std::filesystem::path const& file, std::vector<item> const& items,
                            std::map<std::string, std::string> const& metadata);

/// A shape as text, "[3, 768, 64]".
[[nodiscard]] std::string to_text(std::span<std::int64_t const> shape);

}  // namespace kvsieve::tool::safetensors
