// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Files read whole with a limit, and written so that a reader never meets half of one.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "dump.hpp"

namespace kvsieve::tool {

/// A file opened for reading at any offset; closed with the object.
class input_file {
 public:
  input_file() = default;
  input_file(input_file const&) = delete;
  input_file& operator=(input_file const&) = delete;
  ~input_file();

  /// Opens a regular file; anything else (a folder, a pipe, nothing) is refused with a message.
  [[nodiscard]] message open(std::filesystem::path const& file);
  /// Fills `to` from byte `offset` on; a file too short for it gives a message.
  [[nodiscard]] message read(std::size_t offset, std::span<std::byte> to) const;
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::string const& name() const { return name_; }

 private:
  int descriptor_ = -1;
  std::size_t size_ = 0;
  std::string name_;
};

/// Memory aligned to 64 bytes, or null when there is none; of at least one byte, so that null only means failure.
[[nodiscard]] std::shared_ptr<std::byte> aligned_bytes(std::size_t size);

/// Writes the pieces one after another to a temporary name in the same folder, syncs, and renames.
/// On failure neither the temporary file nor a changed `file` is left behind.
[[nodiscard]] message write_file(std::filesystem::path const& file, std::span<std::span<std::byte const> const> pieces);
[[nodiscard]] message write_file(std::filesystem::path const& file, std::string_view text);

/// Whether `file` could be written now: its folder exists and takes new files, and it is not a folder itself.
/// Asked before a long run, so that a typing error costs no minutes.
[[nodiscard]] message check_writable(std::filesystem::path const& file);

}  // namespace kvsieve::tool
