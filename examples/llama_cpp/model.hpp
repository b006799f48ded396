// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A GGUF as llama.cpp has it, with what its cache looks like. Models whose cache this example cannot hold are refused
// by name.
#pragma once
#include <llama.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dump.hpp"
#include "rpc_servers.hpp"

namespace kvsieve::llama_example {
using tool::message;

/// What every part has to know of a model.
struct model_shape {
  int layers = 0, query_heads = 0, kv_heads = 0, head_dim = 0;
  int vocabulary = 0;
  int trained_tokens = 0;         ///< the longest context it was trained with
  double rope_base = 0;           ///< 0: not told
  bool rope_interleaved = false;  ///< of pairs 2i and 2i + 1, else of i and i + D / 2
  bool extension = false;         ///< its cells have further positions (M-RoPE)
  int window = 0;                 ///< tokens that layers with sliding windows see; 0: there are none
  std::vector<int> cached;        ///< layers whose cache holds all tokens, ascending: what is compressed
  std::string name;
};

/// What is refused of a model whose layers see sliding windows; empty where it has none.
[[nodiscard]] message without_windows(model_shape const& shape, std::string const& what);

/// A model in memory.
class model {
 public:
  /// Reads a GGUF. What is not one, or has recurrent layers, sliding windows in all layers, an encoder, or a compressed
  /// cache of its own (MLA), gets a message.
  /// @param servers  that hold its layers; none: this process
  [[nodiscard]] message load(std::filesystem::path const& file, rpc_servers const& servers = {});

  [[nodiscard]] model_shape const& shape() const { return shape_; }
  [[nodiscard]] llama_model* get() const { return model_.get(); }
  [[nodiscard]] std::filesystem::path const& file() const { return file_; }

  /// Tokens of a text. `special`: texts of special tokens become those tokens, as in a chat's template.
  /// `begin`: with the token that begins a text, where the model has one.
  [[nodiscard]] std::vector<llama_token> tokens(std::string_view text, bool begin, bool special) const;
  /// The text of a token; empty for special ones.
  [[nodiscard]] std::string text(llama_token token) const;
  [[nodiscard]] bool ends(llama_token token) const;
  /// A metadata value of the file, or empty.
  [[nodiscard]] std::string metadata(std::string const& key) const;
  /// Turns of a chat, (role, text), as the model's template writes them; `answer`: with the start of an answer. Empty
  /// where it has no template that llama.cpp knows.
  [[nodiscard]] std::string chat(std::vector<std::pair<std::string, std::string>> const& turns, bool answer) const;

 private:
  struct free_model {
    void operator()(llama_model* m) const { llama_model_free(m); }
  };
  [[nodiscard]] message inspect();
  [[nodiscard]] message find_windows();

  std::unique_ptr<llama_model, free_model> model_;
  llama_vocab const* vocabulary_ = nullptr;
  model_shape shape_;
  std::filesystem::path file_;
};

}  // namespace kvsieve::llama_example
