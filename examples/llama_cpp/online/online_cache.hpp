// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The cache of a model that generates, in kvsieve's memory, evicted from by an online policy: its attention reads the
// rows and observes them in the same pass. Knows nothing of llama.cpp.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <kvsieve/online/policy.hpp>

#include "field_text.hpp"

namespace kvsieve::llama_example {
using tool::message;

/// What a cache has to know of a model.
struct online_shape {
  int layers = 0, query_heads = 0, kv_heads = 0, head_dim = 0;
};

/// Rows of heads in floats, wherever they lie: channel c of token t of head h is data[h * head_stride + t *
/// token_stride + c].
struct head_rows {
  float const* data = nullptr;
  std::int64_t head_stride = 0, token_stride = 0;

  /// The same from a token on.
  [[nodiscard]] head_rows from(std::int64_t token) const {
    return {data + token * token_stride, head_stride, token_stride};
  }
};
/// Rows [tokens, heads, D].
[[nodiscard]] inline head_rows rows_by_token(float const* data, int heads, int dim) {
  return {data, dim, std::int64_t{heads} * dim};
}
/// Rows [heads, tokens, D].
[[nodiscard]] inline head_rows rows_by_head(float const* data, int tokens, int dim) {
  return {data, std::int64_t{tokens} * dim, dim};
}

/// What a cache went through.
struct online_counts {
  int most_rows = 0;   ///< that a head held at once since the first eviction, or ever if there was none
  int evictions = 0;   ///< how often
  double seconds = 0;  ///< of planning and moving
  std::string note;    ///< something a person should know; may be empty
};

/// A cache with its policy. All layers and heads hold the same number of rows.
class online_cache {
 public:
  online_cache() = default;
  online_cache(online_cache const&) = delete;
  online_cache& operator=(online_cache const&) = delete;
  virtual ~online_cache() = default;

  /// The policy's numbers, to be set before begin().
  [[nodiscard]] virtual tool::field_refs fields() = 0;
  /// Whether they are in range.
  [[nodiscard]] virtual message check() const = 0;
  /// Empty, with room for `room` rows until evict() is called, and for what the schedule says from then on.
  /// @param threads  of attention over several tokens, and of eviction; one token alone has too little work to share
  [[nodiscard]] virtual message begin(online_shape const& shape, eviction_schedule const& schedule, int room,
                                      int threads) = 0;
  /// Adds rows [Hkv, tokens, D] that no query is observed on.
  [[nodiscard]] virtual message add(int layer, int tokens, head_rows const& keys, head_rows const& values) = 0;
  /// Adds the rows of new tokens to a layer; their queries attend in order, each to the rows up to its own, and are
  /// observed. `out` [tokens, Hq, D].
  [[nodiscard]] virtual message attend(int layer, int tokens, head_rows const& queries, head_rows const& keys,
                                       head_rows const& values, float* out) = 0;
  /// Called when all layers have attended to the same `tokens` new tokens, at most next_tokens(): evicts where the
  /// schedule says.
  [[nodiscard]] virtual message end_tokens(int tokens) = 0;
  /// Evicts down to the budget now, whatever the schedule says, and gives back the memory that is not needed any more.
  [[nodiscard]] virtual message evict() = 0;

  /// How many tokens may come before the schedule is asked again.
  [[nodiscard]] virtual int next_tokens() const = 0;
  [[nodiscard]] virtual int rows() const = 0;  ///< of each head
  /// Bytes of rows, and of what is remembered of them.
  [[nodiscard]] virtual std::size_t row_bytes() const = 0;
  [[nodiscard]] virtual std::size_t state_bytes() const = 0;
  [[nodiscard]] virtual online_counts const& counts() const = 0;
};

/// A published policy that evicts while generating, with the numbers of its authors.
struct online_kind {
  char const *name, *title;
  int every;    ///< steps between evictions
  int queries;  ///< of the prompt that it observes; -1: all
};
/// All of them.
[[nodiscard]] std::span<online_kind const> online_kinds();
/// A cache for the policy of that name; a message where there is none, or the head dimension was not built for.
[[nodiscard]] message make_online_cache(std::string const& name, int head_dim, std::unique_ptr<online_cache>& out);

}  // namespace kvsieve::llama_example
