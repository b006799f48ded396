// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a strategy kept, as a state of llama.cpp: cells that it reads with its own attention.
#pragma once
#include <ggml.h>

#include <string>
#include <vector>

#include <kvsieve/engine/llama_cpp.hpp>

#include "session.hpp"
#include "strategy.hpp"

namespace kvsieve::llama_example {

/// A state and what its cells stand for.
struct kept_cells {
  std::vector<unsigned char> state;
  int cells = 0;
  std::vector<int> padding;  ///< [layers, Hkv] rows of zeros in front of each head, to be hidden; empty: none anywhere
};

/// The state of a session, whose layers are shape.cached.
/// @param bytes  that `out` lies in
[[nodiscard]] message read_state(session const& in, model_shape const& shape, std::vector<unsigned char>& bytes,
                                 engine::llama_state& out);

/// The types of a cache of llama.cpp for a storage of the program; a message where it has none.
[[nodiscard]] message types_of(std::string const& store, ggml_type& keys, ggml_type& values);
/// A message where cells cannot hold what was kept: rows that stand for many tokens, biases.
[[nodiscard]] message fits_cells(tool::outcome const& kept);
/// Whether all heads of all layers keep the same number of tokens.
[[nodiscard]] bool same_counts(tool::outcome const& kept);

/// Makes a state of the cells that were kept, for a context with these types. Merged rows take the place of their
/// tokens'. Heads with fewer tokens than others are padded, in f16 alone.
/// @param from  the session whose cache was compressed
[[nodiscard]] message make_cells(session const& from, model_shape const& shape, tool::cache_dump const& dump,
                                 tool::outcome const& kept, ggml_type keys, ggml_type values, kept_cells& out);

}  // namespace kvsieve::llama_example
