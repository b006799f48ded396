// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "texts.hpp"

#include <span>

#include "file.hpp"

namespace kvsieve::llama_example {

message read_text(std::filesystem::path const& file, std::string& out) {
  tool::input_file in;
  if (auto failed = in.open(file)) return failed;
  if (in.size() == 0) return "'" + in.name() + "' is empty";
  if (in.size() > largest_text)
    return "'" + in.name() + "' has " + std::to_string(in.size()) + " bytes, more than " + std::to_string(largest_text);
  std::string text(in.size(), '\0');
  if (auto failed = in.read(0, std::as_writable_bytes(std::span{text}))) return failed;
  if (auto const zero = text.find('\0'); zero != std::string::npos)
    return "'" + in.name() + "' is no text: its byte " + std::to_string(zero) + " is zero";
  out = std::move(text);
  return {};
}

}  // namespace kvsieve::llama_example
