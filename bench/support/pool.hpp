// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Cold memory: a large buffer of normally distributed numbers for each element type, handed out in turn, so that what
// is read next left every cache long ago.
#pragma once
#include <kvsieve/core/dtype.hpp>

#include <cstddef>
#include <cstdint>

namespace kvsieve::bench {

/// Bytes of the largest last-level cache that the system reports; 32 MB where it reports none.
[[nodiscard]] std::size_t last_level_cache();

/// Memory on 2 MB pages where the system grants them, zero until touched; lives as long as the program.
[[nodiscard]] void* huge_memory(std::size_t bytes);

/// Regions of one buffer, one after the other.
template <class T>
class ring {
 public:
  ring(T* base, std::size_t size) : base_(base), size_(size) {}

  /// The next `count` elements that follow each other, on a 64-byte boundary.
  [[nodiscard]] T* take(std::size_t count) {
    if (next_ + count > size_) next_ = 0;
    T* const p = base_ + next_;
    next_ += (count + 63) / 64 * 64;
    return p;
  }

 private:
  T* base_;
  std::size_t size_, next_ = 0;
};

/// The pool of an element type: at least four times the last-level cache where 1.2 GB allow it.
template <element T>
[[nodiscard]] ring<T>& pool();

/// Where results go: written before, larger than the cache.
[[nodiscard]] ring<std::byte>& sink();
}  // namespace kvsieve::bench
