// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace kvsieve::tool {
namespace {

namespace fs = std::filesystem;

std::string quoted(fs::path const& file) { return "'" + file.string() + "'"; }

std::string reason(int error) { return std::strerror(error); }

/// Where a name leads: links are followed, so that writing through a link replaces the file and not the link.
fs::path destination(fs::path const& file) {
  std::error_code failed;
  if (fs::is_symlink(fs::symlink_status(file, failed))) {
    auto const target = fs::weakly_canonical(file, failed);
    if (!failed) return target;
  }
  return file;
}

fs::path folder_of(fs::path const& file) { return file.has_parent_path() ? file.parent_path() : fs::path{"."}; }

/// A device or a pipe must not be replaced by a regular file, nor a folder.
message refuse_target(fs::path const& target) {
  if (target.filename().empty()) return "cannot write " + quoted(target) + ": not a file name";
  std::error_code failed;
  auto const kind = fs::status(target, failed).type();
  if (kind != fs::file_type::not_found && kind != fs::file_type::none && kind != fs::file_type::regular)
    return "cannot write " + quoted(target) + ": exists and is not a regular file";
  return {};
}

message write_all(int descriptor, std::span<std::byte const> bytes, fs::path const& file) {
  while (!bytes.empty()) {
    auto const written = ::write(descriptor, bytes.data(), std::min<std::size_t>(bytes.size(), std::size_t{1} << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return "cannot write " + quoted(file) + ": " + reason(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

/// The rename itself lasts only once the folder is on disk; file systems that cannot sync one are left alone.
void sync_folder(fs::path const& folder) {
  if (int const descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); descriptor >= 0) {
    ::fsync(descriptor);
    ::close(descriptor);
  }
}

}  // namespace

input_file::~input_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

message input_file::open(fs::path const& file) {
  name_ = file.string();
  // O_NONBLOCK: opening a pipe without a writer must not wait for ever.
  descriptor_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) return "cannot open " + quoted(file) + ": " + reason(errno);
  struct stat facts{};
  if (::fstat(descriptor_, &facts) != 0) return "cannot read " + quoted(file) + ": " + reason(errno);
  if (!S_ISREG(facts.st_mode)) return "cannot read " + quoted(file) + ": not a regular file";
  size_ = static_cast<std::size_t>(facts.st_size);
  return {};
}

message input_file::read(std::size_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    auto const got = ::pread(descriptor_, to.data(), std::min<std::size_t>(to.size(), std::size_t{1} << 30),
                             static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return "cannot read '" + name_ + "': " + reason(errno);
    if (got == 0)
      return "cannot read '" + name_ + "': it ends at byte " + std::to_string(offset) + ", " +
             std::to_string(to.size()) + " bytes early";
    offset += static_cast<std::size_t>(got);
    to = to.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

std::shared_ptr<std::byte> aligned_bytes(std::size_t size) {
  constexpr std::align_val_t alignment{64};
  auto* const memory = static_cast<std::byte*>(::operator new(std::max<std::size_t>(size, 1), alignment, std::nothrow));
  if (memory == nullptr) return nullptr;
  return {memory, [](std::byte* p) { ::operator delete(p, alignment); }};
}

mapped_file::~mapped_file() {
  if (data_ != nullptr) ::munmap(const_cast<unsigned char*>(data_), file_.size());
}

message mapped_file::open(fs::path const& file) {
  if (auto failed = file_.open(file)) return failed;
  if (file_.size() == 0) return {};
  void* const memory = ::mmap(nullptr, file_.size(), PROT_READ, MAP_PRIVATE, file_.descriptor_, 0);
  if (memory == MAP_FAILED) return "cannot map " + quoted(file) + ": " + reason(errno);
  data_ = static_cast<unsigned char const*>(memory);
  return {};
}

output_file::~output_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

message output_file::open(fs::path const& file) {
  file_ = file;
  target_ = destination(file);
  if (auto refused = refuse_target(target_)) return failed_ = refused;
  static std::atomic<unsigned> serial{0};
  auto temporary = folder_of(target_) / ("." + target_.filename().string() + "." + std::to_string(::getpid()) + "." +
                                         std::to_string(serial++) + ".part");
  descriptor_ = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) return failed_ = "cannot write " + quoted(file) + ": " + reason(errno);
  temporary_ = std::move(temporary);
  return {};
}

message output_file::write(std::span<std::byte const> bytes) {
  if (!failed_) failed_ = write_all(descriptor_, bytes, file_);
  return failed_;
}

message output_file::commit() {
  auto const fault = [&] { return failed_ = "cannot write " + quoted(file_) + ": " + reason(errno); };
  if (failed_) return failed_;
  if (::fsync(descriptor_) != 0) return fault();
  if (::close(std::exchange(descriptor_, -1)) != 0) return fault();
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) return fault();
  temporary_.clear();
  sync_folder(folder_of(target_));
  return {};
}

message write_file(fs::path const& file, std::span<std::span<std::byte const> const> pieces) {
  output_file to;
  if (auto failed = to.open(file)) return failed;
  for (auto const piece : pieces)
    if (auto failed = to.write(piece)) return failed;
  return to.commit();
}

message write_file(fs::path const& file, std::string_view text) {
  std::span<std::byte const> const piece = std::as_bytes(std::span{text});
  return write_file(file, std::span{&piece, 1});
}

message check_writable(fs::path const& file) {
  auto const target = destination(file);
  if (auto refused = refuse_target(target)) return refused;
  auto const folder = folder_of(target);
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    return "cannot write " + quoted(file) + ": folder " + quoted(folder) + ": " + reason(errno);
  std::error_code failed;
  if (!fs::is_directory(folder, failed))
    return "cannot write " + quoted(file) + ": " + quoted(folder) + " is not a folder";
  return {};
}

}  // namespace kvsieve::tool
