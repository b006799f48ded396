// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is written into a new state.
#pragma once
#include <kvsieve/engine/llama_cpp/types.hpp>

namespace kvsieve::inline v0 {
namespace engine {

/// What positions new cells state. llama.cpp masks by them and goes on behind the largest, so the last one is always
/// that of the last token; rows stay rotated by the positions that they had.
enum class llama_positions : unsigned char {
  own_where_shared,  ///< own where that goes, else packed
  own,               ///< their tokens': one list for all layers and heads, which holds the last token
  packed             ///< the last ones before the next: cells that are different tokens in each head
};
/// How values lie in the new state: what the context that reads it has.
enum class llama_values : unsigned char {
  same,    ///< as they were
  rows,    ///< for contexts with flash attention
  columns  ///< transposed, for contexts without
};
/// What is written.
struct llama_output {
  llama_type keys = llama_type::same;                             ///< type_k of the context that reads it
  llama_type values = llama_type::same;                           ///< type_v
  llama_values order = llama_values::same;                        ///< of the values
  llama_positions positions = llama_positions::own_where_shared;  ///< of the cells
  bool rotated = true;  ///< quantised caches are rotated: false where LLAMA_ATTN_ROT_DISABLE is set
  bool pad = false;     ///< shorter heads get rows of zeros in front, which masking_key has to hide; else refused
};
}  // namespace engine
}  // namespace kvsieve::inline v0
