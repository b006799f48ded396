// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "prompt_parts.hpp"

namespace kvsieve::llama_example {

message divide_prompt(model const& of, std::string const& text, std::string const& question,
                      std::string const& answer_start, bool known, bool raw, prompt_parts& out) {
  std::string context = known ? text + question : text, behind = known ? "" : question;
  bool const chat = !raw && !of.chat({{"user", "a"}}, true).empty();
  if (chat) {
    std::string const whole = of.chat({{"user", text + question}}, true);
    // Templates may cut blanks off both ends.
    constexpr auto blanks = " \t\r\n";
    auto const first = context.find_first_not_of(blanks);
    if (first == std::string::npos) return "the text is empty";
    context = context.substr(first);
    if (behind.find_first_not_of(blanks) == std::string::npos) context.resize(context.find_last_not_of(blanks) + 1);
    auto const at = whole.find(context);
    if (at == std::string::npos) return "the chat template of this model changes the text; --raw leaves it away";
    behind = whole.substr(at + context.size());
    context = whole.substr(0, at + context.size());
  }
  prompt_parts made{of.tokens(context, true, chat), of.tokens(behind + answer_start, false, chat)};
  if (made.behind.empty()) {
    // The last token is decoded behind the compressed cache, so that there is something to go on from.
    if (made.context.empty()) return "the text is empty";
    made.behind.assign(1, made.context.back());
    made.context.pop_back();
  }
  if (made.context.empty()) return "the text has too few tokens to compress";
  out = std::move(made);
  return {};
}

}  // namespace kvsieve::llama_example
