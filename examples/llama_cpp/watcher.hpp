// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What llama.cpp computes while it decodes, seen through its evaluation callback: the queries, keys, values and
// attention of every layer. An attention of our own can take the place of the graph's.
#pragma once
#include <ggml.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "model.hpp"

namespace kvsieve::llama_example {

/// Rows of every token decoded while they were watched, token by token.
struct watched_layer {
  std::vector<float> queries;    ///< [tokens, Hq, D] after RoPE
  std::vector<float> keys;       ///< [tokens, Hkv, D] after RoPE
  std::vector<float> values;     ///< [tokens, Hkv, D]
  std::vector<float> hidden;     ///< [tokens, width] what enters the attention, behind its norm
  std::vector<float> attention;  ///< [Hq, D] of the last token, before the output projection
};

/// Rows [tokens, heads, D], as they are watched, to [heads, tokens, D], as a cache has them.
void by_head(std::span<float const> rows, int heads, int dim, float* to);

/// What a layer computes of one batch, while it does.
struct layer_step {
  int layer = 0, tokens = 0;
  std::span<float const> queries;  ///< [tokens, Hq, D]
  std::span<float const> keys;     ///< [tokens, Hkv, D]
  std::span<float const> values;   ///< [tokens, Hkv, D]
};

/// The callback and what it was asked for.
class watcher {
 public:
  /// What is kept of the batches that come.
  struct what {
    bool queries = false, keys = false, values = false, hidden = false, attention = false;
    int last = 0;  ///< of queries at least as many, the last ones, are kept; 0: all
  };
  /// Replaces the output of a layer's attention [tokens, Hq, D]; false stops the decoding.
  using attention_of = std::function<bool(layer_step const&, std::span<float> out)>;
  /// Called when a layer's queries [tokens, Hq, D] are known and have not yet met the cache, whose keys it may write.
  using before_attention = std::function<bool(layer_step const&, ggml_tensor* keys_in_cache)>;

  explicit watcher(model_shape const& shape) : shape_(shape) {}
  watcher(watcher const&) = delete;
  watcher& operator=(watcher const&) = delete;

  /// Forgets what was kept and watches from now on.
  void watch(what wanted);
  /// What was kept since, by layer.
  [[nodiscard]] std::vector<watched_layer> const& seen() const { return kept_; }
  /// The same, to keep; nothing is watched any more.
  [[nodiscard]] std::vector<watched_layer> take();
  /// Puts an attention in place of the graph's; empty: none.
  void replace(attention_of f) { replacement_ = std::move(f); }
  void before(before_attention f) { before_ = std::move(f); }

  /// As llama_context_params.cb_eval; `self` is the watcher.
  static bool callback(ggml_tensor* t, bool ask, void* self);

 private:
  struct rows {
    std::vector<float> queries, keys, values, hidden;
  };
  [[nodiscard]] bool wants(ggml_tensor const* t) const;
  [[nodiscard]] bool has(ggml_tensor* t);
  [[nodiscard]] bool attended(int layer, ggml_tensor* t);

  model_shape const& shape_;
  what wanted_;
  attention_of replacement_;
  before_attention before_;
  std::vector<rows> now_;            // of the batch that runs, by layer
  std::vector<watched_layer> kept_;  // by layer
};

}  // namespace kvsieve::llama_example
