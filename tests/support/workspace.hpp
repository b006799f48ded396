// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Memory with a guard on either side, to see who writes where.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace support {

/// Bytes aligned to 64, between two guards of 64 bytes.
class workspace {
 public:
  static constexpr std::size_t guard = 64;
  static constexpr std::byte mark{0xa5};

  explicit workspace(std::size_t bytes)
      : bytes_(bytes), memory_(new(std::align_val_t{64}) std::byte[(bytes + 63) / 64 * 64 + 2 * guard]) {
    std::memset(memory_.get(), static_cast<int>(mark), size());
  }

  [[nodiscard]] std::span<std::byte> span() { return {memory_.get() + guard, bytes_}; }
  /// True when nothing outside of the span was written.
  [[nodiscard]] bool guards_hold() const {
    bool hold = true;
    for (std::size_t i = 0; i < size(); ++i)
      if (i < guard || i >= guard + bytes_) hold = hold && memory_.get()[i] == mark;
    return hold;
  }
  /// True when nothing was written at all.
  [[nodiscard]] bool untouched() const {
    bool hold = true;
    for (std::size_t i = 0; i < size(); ++i) hold = hold && memory_.get()[i] == mark;
    return hold;
  }

 private:
  struct release {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  [[nodiscard]] std::size_t size() const { return (bytes_ + 63) / 64 * 64 + 2 * guard; }

  std::size_t bytes_;
  std::unique_ptr<std::byte[], release> memory_;
};
}  // namespace support
