// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's q4_0: blocks of 32 channels, an f16 scale, codes of 4 bits; 4.5 bits a number.
#pragma once
#include <kvsieve/encode/ggml_block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Codes of 4 bits of which one stands for 0. Error at most half a scale, and a whole one at the end opposite to the
/// largest number.
struct q4_0 : ggml_block<4, false> {
  static constexpr char const* name = "q4_0";  ///< as in ggml
};
}  // namespace encode
}  // namespace kvsieve::inline v0
