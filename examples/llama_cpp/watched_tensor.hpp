// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What was watched, as tensors of a dump.
#pragma once
#include <span>
#include <vector>

#include "dump.hpp"

namespace kvsieve::llama_example {

/// A tensor of floats, zero.
/// @param to  its numbers; null, and the tensor not present, when there is no memory
[[nodiscard]] tool::tensor floats(std::vector<std::int64_t> shape, float*& to);
/// Rows [tokens, width] as they were watched.
[[nodiscard]] tool::tensor by_token(std::span<float const> rows, std::int64_t tokens);
/// Rows [tokens, heads, D] as they were watched, to [heads, tokens, D].
[[nodiscard]] tool::tensor by_head(std::span<float const> rows, int heads, int dim);

}  // namespace kvsieve::llama_example
