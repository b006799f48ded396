// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's q5_1: blocks of 32 channels, f16 scale and minimum, codes of 5 bits; 6 bits a number.
#pragma once
#include <kvsieve/encode/ggml_block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Codes of 5 bits between the least and the largest number of a block. Error at most half a scale.
struct q5_1 : ggml_block<5, true> {
  static constexpr char const* name = "q5_1";  ///< as in ggml
};
}  // namespace encode
}  // namespace kvsieve::inline v0
