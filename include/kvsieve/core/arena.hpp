// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A workspace is the caller's memory. The same carve function first counts its bytes and later hands them out.
#pragma once
#include <cstddef>
#include <span>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {

/// Hands out pieces of a caller's memory, each aligned to 64 bytes; default-constructed it only counts.
class arena {
 public:
  static constexpr std::size_t alignment = 64;  ///< of every piece, in bytes

  constexpr arena() noexcept = default;
  /// Hands out `memory`, which should start at a multiple of `alignment`.
  explicit arena(std::span<std::byte> memory) noexcept : base_(memory.data()), size_(memory.size()) {}

  /// Room for `count` objects of trivial type T. Null while counting, or once the memory is spent.
  template <class T>
  T* take(std::size_t count) noexcept {
    constexpr std::size_t limit = static_cast<std::size_t>(-1) / 4;
    used_ = (used_ + alignment - 1) / alignment * alignment;
    if (count > limit / sizeof(T) || used_ > limit) {
      used_ = limit + 1;  // saturates: no caller owns that much, so fits() fails
      return nullptr;
    }
    std::size_t const at = used_;
    used_ += count * sizeof(T);
    return base_ != nullptr && used_ <= size_ ? reinterpret_cast<T*>(base_ + at) : nullptr;
  }

  /// Bytes asked for so far.
  [[nodiscard]] constexpr std::size_t used() const noexcept { return used_; }
  /// False once more was asked for than the caller owns.
  [[nodiscard]] constexpr bool fits() const noexcept {
    return base_ == nullptr ? size_ == 0 && used_ == 0 : used_ <= size_;
  }

 private:
  std::byte* base_ = nullptr;
  std::size_t size_ = 0, used_ = 0;
};
}  // namespace kvsieve::inline v0
