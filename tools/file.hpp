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
  friend class mapped_file;
  int descriptor_ = -1;
  std::size_t size_ = 0;
  std::string name_;
};

/// A file whose bytes are memory, read from disk as they are touched. They stay those of the file that was opened, also
/// when another takes its name; a file that is cut short meanwhile ends the program, as with any mapped file.
class mapped_file {
 public:
  mapped_file() = default;
  mapped_file(mapped_file const&) = delete;
  mapped_file& operator=(mapped_file const&) = delete;
  ~mapped_file();

  /// Opens and maps a regular file, as input_file does.
  [[nodiscard]] message open(std::filesystem::path const& file);
  [[nodiscard]] std::span<unsigned char const> bytes() const { return {data_, file_.size()}; }
  [[nodiscard]] std::string const& name() const { return file_.name(); }

 private:
  input_file file_;
  unsigned char const* data_ = nullptr;
};

/// A file that appears under its name complete or not at all: written to a temporary name in the same folder, synced
/// and renamed by commit(). Without one the temporary file goes with the object.
class output_file {
 public:
  output_file() = default;
  output_file(output_file const&) = delete;
  output_file& operator=(output_file const&) = delete;
  ~output_file();

  [[nodiscard]] message open(std::filesystem::path const& file);
  /// Bytes behind those before.
  [[nodiscard]] message write(std::span<std::byte const> bytes);
  /// Gives the file its name. After a write that failed this fails too.
  [[nodiscard]] message commit();

 private:
  std::filesystem::path file_, target_, temporary_;
  int descriptor_ = -1;
  message failed_;
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
