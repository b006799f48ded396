// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What commands that answer tell: the answers, and a table of facts behind them.
#pragma once
#include "commands.hpp"
#include "text.hpp"

namespace kvsieve::llama_example {

/// Names and values, in lines.
class facts {
 public:
  void add(std::string name, std::string value) { table_.add({{std::move(name)}, {std::move(value)}}); }
  void add_bytes(std::size_t before, std::size_t after) {
    add("keys and values", tool::format_bytes(before) + " before, " + tool::format_bytes(after) + " after");
  }
  /// Resident memory, where the system tells it.
  void add_resident(std::size_t before) {
    if (std::size_t const now = resident_bytes(); now > 0)
      add("resident memory", tool::format_bytes(before) + " before, " + tool::format_bytes(now) + " after");
  }
  void print(tool::console const& to) const { table_.print(to.out, to.where.colour); }

 private:
  tool::text_table table_{{{"", false}, {"", false}}};
};

/// Writes each piece of an answer as it comes.
[[nodiscard]] inline std::function<void(std::string const&)> tell(tool::console const& to) {
  return [&to](std::string const& piece) { to.out << piece << std::flush; };
}

/// The answer of the full cache that a session holds.
[[nodiscard]] inline message answer_full(model const& of, session& in, prompt_parts const& all, int most,
                                         tool::console const& to, generated& out, bool past_end = false) {
  to.out << "full cache:\n";
  auto const decode = [&](std::span<llama_token const> tokens, int position) { return in.decode(tokens, position); };
  if (message m = answer(of, in, all, most, decode, tell(to), out, past_end)) return m;
  to.out << "\n\n";
  return {};
}

/// What is said of a --context that does not hold a text and the tokens behind it.
[[nodiscard]] inline std::string context_too_small(int cells, int text, int behind) {
  return "--context is " + std::to_string(cells) + ", the text has " + std::to_string(text) + " tokens" +
         (behind > 0 ? " and " + std::to_string(behind) + " come behind it" : "");
}

}  // namespace kvsieve::llama_example
