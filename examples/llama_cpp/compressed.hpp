// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A session that goes on behind a compressed cache, held in llama.cpp's own cells or in kvsieve's memory.
#pragma once
#include <optional>
#include <string>

#include "reading.hpp"
#include "session.hpp"
#include "stored_cache.hpp"

namespace kvsieve::llama_example {

/// Where what is kept lies.
enum class holder {
  automatic,  ///< in cells where they can hold it without waste, else in kvsieve's memory
  cells,      ///< llama.cpp's: one number of tokens for all heads, or shorter heads padded and hidden
  memory      ///< kvsieve's, read by its own attention
};
[[nodiscard]] message parse_holder(std::string const& text, holder& out);

class compressed {
 public:
  compressed() = default;
  compressed(compressed const&) = delete;
  compressed& operator=(compressed const&) = delete;

  /// Makes a session of what a strategy kept of a cache.
  /// @param read_in  the session that the dump is of; stays as it is
  /// @param store    the storage that the strategy ran with, "dense" where with none
  /// @param merged   whether it merged rows
  /// @param room     tokens that may be decoded behind it
  [[nodiscard]] message make(model const& of, session const& read_in, tool::cache_dump const& dump,
                             tool::outcome const& kept, std::string const& store, bool merged, holder where, int room,
                             int threads);

  [[nodiscard]] session& in() { return session_; }
  /// Bytes of keys and values, metadata of kvsieve's memory included: of the tokens kept and those decoded since.
  [[nodiscard]] std::size_t bytes() const;
  /// cells or memory.
  [[nodiscard]] holder where() const { return where_; }
  /// Decodes as session::decode does; says why where kvsieve's attention failed.
  [[nodiscard]] message decode(std::span<llama_token const> tokens, int position, std::vector<float>* logits = nullptr);

 private:
  [[nodiscard]] bool hide_padding(layer_step const& step, ggml_tensor* keys);

  holder where_ = holder::cells;
  model_shape shape_;
  session session_;
  std::unique_ptr<stored_cache> stored_;
  std::vector<int> padding_;  ///< rows of each layer and head that stand for nothing; empty: none anywhere
  int cells_ = 0, decoded_ = 0;
  std::size_t cell_bytes_ = 0;
  message failure_;
};

}  // namespace kvsieve::llama_example
