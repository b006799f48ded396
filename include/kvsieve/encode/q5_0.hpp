// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's q5_0: blocks of 32 channels, an f16 scale, codes of 5 bits; 5.5 bits a number.
#pragma once
#include <kvsieve/encode/ggml_block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Codes of 5 bits of which one stands for 0. Error at most half a scale, and a whole one at the end opposite to the
/// largest number.
struct q5_0 : ggml_block<5, false> {
  static constexpr char const* name = "q5_0";  ///< as in ggml
};
}  // namespace encode
}  // namespace kvsieve::inline v0
