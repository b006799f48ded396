// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's q4_1: blocks of 32 channels, f16 scale and minimum, codes of 4 bits; 5 bits a number.
#pragma once
#include <kvsieve/encode/ggml_block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Codes of 4 bits between the least and the largest number of a block. Error at most half a scale.
struct q4_1 : ggml_block<4, true> {
  static constexpr char const* name = "q4_1";  ///< as in ggml
};
}  // namespace encode
}  // namespace kvsieve::inline v0
