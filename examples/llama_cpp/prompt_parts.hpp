// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A prompt in two parts: the context, which is compressed, and what comes behind it.
#pragma once
#include <string>
#include <vector>

#include "model.hpp"

namespace kvsieve::llama_example {

struct prompt_parts {
  std::vector<llama_token> context, behind;  ///< neither is empty
};

/// Tokens of a text and a question about it, as the model's chat template puts them, if it has one.
/// @param answer_start  what the answer begins with
/// @param known         whether the question is in the context
/// @param raw           no template
[[nodiscard]] message divide_prompt(model const& of, std::string const& text, std::string const& question,
                                    std::string const& answer_start, bool known, bool raw, prompt_parts& out);

}  // namespace kvsieve::llama_example
