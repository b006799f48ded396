// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// XXH3 of 64 bits, the checksum of the program's containers, for kvsieve/io.
#pragma once
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kvsieve::tool {

/// Fulfils kvsieve::io::checksum.
class xxh3 {
 public:
  static constexpr std::string_view name = "XXH3_64";
  xxh3() noexcept { XXH3_64bits_reset(&state_); }
  void update(unsigned char const* bytes, std::size_t count) noexcept {
    if (count > 0) XXH3_64bits_update(&state_, bytes, count);
  }
  [[nodiscard]] std::uint64_t digest() const noexcept { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

}  // namespace kvsieve::tool
