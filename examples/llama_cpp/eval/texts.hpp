// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Texts to be judged on: texts/prose.txt and texts/dialogue.txt, which were written for this, under the licence of the
// library, and any file, such as one of its sources.
#pragma once
#include <filesystem>
#include <string>

#include "dump.hpp"

namespace kvsieve::llama_example {

using tool::message;

/// The largest text that is read, in bytes.
inline constexpr std::size_t largest_text = std::size_t{64} << 20;

/// Reads a file as text.
/// @return a message, and `out` unchanged, when it is no regular file, empty, larger than `largest_text`, or holds a
///         zero byte, as a file does that is no text
[[nodiscard]] message read_text(std::filesystem::path const& file, std::string& out);

}  // namespace kvsieve::llama_example
