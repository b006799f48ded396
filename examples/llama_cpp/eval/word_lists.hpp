// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The words that generated tasks are made of.
#pragma once
#include <span>
#include <string_view>

namespace kvsieve::llama_example {

/// "amber", "ancient", ...: with a noun behind it, the name that a needle is about.
[[nodiscard]] std::span<std::string_view const> adjectives();
/// "anchor", "badger", ...
[[nodiscard]] std::span<std::string_view const> nouns();
/// Words to be counted. None lies inside another, so that an answer that holds one holds no other by it.
[[nodiscard]] std::span<std::string_view const> counted_words();

}  // namespace kvsieve::llama_example
