// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Strategies judged in the model itself: next-token distributions over a text read on, and answers to questions.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "commands.hpp"
#include "report.hpp"
#include "tasks.hpp"

namespace kvsieve::llama_example {

/// A strategy at one budget in one storage, and the row that it fills.
struct setting {
  chosen_strategy how;
  report_row row;
};

/// What is judged.
struct evaluation_plan {
  struct named_text {
    std::string name, text;
  };
  int tokens = 1024;               ///< of a prompt
  std::vector<named_text> texts;   ///< read on: the prompt, then `scored` tokens as they come
  std::vector<int> offsets;        ///< where in a text prompts begin
  int scored = 128;                ///< tokens judged behind each
  std::vector<std::string> tasks;  ///< retrieval
  std::vector<double> depths;
  int items = 10, distractors = 0;  ///< of each task and depth; needles of other names
  std::uint64_t seed = 42;
  std::vector<bool> known;         ///< whether questions are there when the cache is compressed
  std::vector<std::string> prose;  ///< sentences of haystacks
  bool exact = true;               ///< the full cache in f32, whose attention llama.cpp sums up in f32: of f16 in f16
};

/// Judges every setting on every text and task. The full cache is read once for all of them: prompts are the same, and
/// the logits of the prompt's last token, which no compression changes, do not count. A setting that is refused gives a
/// row with the reason.
[[nodiscard]] message evaluate(model const& of, std::vector<setting> const& settings, evaluation_plan const& plan,
                               int threads, std::function<void(std::string const&)> const& progress,
                               std::vector<report_row>& out);

}  // namespace kvsieve::llama_example
