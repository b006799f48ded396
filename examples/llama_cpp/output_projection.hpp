// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Output projections of the attention, from the GGUF itself: llama.cpp's interface does not give weights.
#pragma once
#include "dump.hpp"
#include "model.hpp"

namespace kvsieve::llama_example {

/// Fills layers.<i>.o_proj [hidden, Hq D] of a dump, in floats whatever type they are stored in. On failure the dump is
/// as it was.
[[nodiscard]] message read_output_projections(model const& of, tool::cache_dump& dump);

}  // namespace kvsieve::llama_example
