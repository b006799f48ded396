// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A context of llama.cpp with one sequence in it.
#pragma once
#include <llama.h>

#include <memory>
#include <span>
#include <vector>

#include "model.hpp"
#include "watcher.hpp"

namespace kvsieve::llama_example {

struct session_options {
  int tokens = 4096;                 ///< cells of the cache
  int threads = 2;                   ///< of llama.cpp
  ggml_type keys = GGML_TYPE_F16;    ///< type_k
  ggml_type values = GGML_TYPE_F16;  ///< type_v
};

/// A context, always with flash attention, so that values lie in rows.
class session {
 public:
  static constexpr int batch_tokens = 512;  ///< that are decoded at once, at most

  /// @param of  stays the caller's, longer than the session
  [[nodiscard]] message open(model const& of, session_options const& options);

  [[nodiscard]] bool is_open() const { return context_ != nullptr; }
  [[nodiscard]] session_options const& options() const { return options_; }
  [[nodiscard]] class watcher& watcher() { return *watcher_; }
  /// Cells that are left.
  [[nodiscard]] int room() const { return options_.tokens - cells_; }

  /// Decodes tokens at positions from `position` on, in batches of `batch` at most.
  /// @param logits  of every token, [tokens, vocabulary], behind what is there; null: only of the last one, last()
  [[nodiscard]] message decode(std::span<llama_token const> tokens, int position, std::vector<float>* logits = nullptr,
                               int batch = batch_tokens);
  /// Logits of the last token decoded, [vocabulary].
  [[nodiscard]] std::span<float const> last() const;
  /// The most likely token after it; the first of equals.
  [[nodiscard]] llama_token likeliest() const;

  /// The state of the sequence, as engine/llama_cpp.hpp reads it.
  [[nodiscard]] message state(std::vector<unsigned char>& to) const;
  /// Puts a state of `cells` cells in place of the sequence. When llama.cpp does not take it, the sequence is what it
  /// was, and a message says so.
  [[nodiscard]] message restore(std::span<unsigned char const> state, int cells);
  /// Forgets the tokens at positions from `position` on. Layers with sliding windows have lost others to them.
  void forget_from(int position, int cells_left);
  /// Bytes of the cells that the cache has room for, of layers that have all tokens there.
  [[nodiscard]] std::size_t cache_bytes() const;

 private:
  struct free_context {
    void operator()(llama_context* c) const { llama_free(c); }
  };
  model const* model_ = nullptr;
  session_options options_;
  std::unique_ptr<class watcher> watcher_;
  std::unique_ptr<llama_context, free_context> context_;
  int cells_ = 0;
};

}  // namespace kvsieve::llama_example
