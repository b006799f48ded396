// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Device memory full of normally distributed numbers, handed out in turn, so that what is read next left the cache.
#pragma once
#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/views.hpp>

#include <vector>

#include "gpu.hpp"

namespace kvsieve::bench::gpu {

inline constexpr int kv_heads = 8, query_heads = 32, head_dim = 128, window = 64;
inline constexpr int all_tokens[] = {4096, 16384, 65536};
inline constexpr int model_layers = 32, model_tokens = 16384;

template <class T>
using matrix = rows<T, head_dim>;
template <class T>
using cache_layer = kv_layer<matrix<T>>;

/// Fills with numbers that depend on the index alone: N(0, 1), and 0.3 (d % 3) more for channel d, so that rows have a
/// mean direction as keys do.
void fill(float* to, std::size_t count);
void fill(bf16* to, std::size_t count);

/// Elements of the keys (or the values) of one layer.
constexpr std::size_t elements_of(int tokens) {
  return std::size_t{kv_heads} * static_cast<std::size_t>(tokens) * head_dim;
}

template <class T>
class pool {
 public:
  /// Keys, values and observed queries of a whole model.
  static constexpr std::size_t size =
      std::size_t{model_layers} * (2 * elements_of(model_tokens) + query_heads * window * head_dim);
  pool() : memory_(size * sizeof(T)) { fill(memory_.as<T>(), size); }
  /// The next `count` elements; those of longest ago when the end is reached.
  [[nodiscard]] T* take(std::size_t count) {
    count = (count + 127) / 128 * 128;
    if (next_ + count > size) next_ = 0;
    T* const at = memory_.as<T>() + next_;
    next_ += count;
    return at;
  }
  [[nodiscard]] matrix<T> rows_of(int heads, int tokens) {
    return make_rows<head_dim>(take(static_cast<std::size_t>(heads) * static_cast<std::size_t>(tokens) * head_dim),
                               heads, tokens);
  }
  /// `count` layers one behind the other.
  [[nodiscard]] std::vector<cache_layer<T>> layers(int tokens, int count) {
    std::vector<cache_layer<T>> all;
    for (int i = 0; i < count; ++i) {
      auto const keys = rows_of(kv_heads, tokens);
      all.push_back({keys, rows_of(kv_heads, tokens)});
    }
    return all;
  }

 private:
  memory memory_;
  std::size_t next_ = 0;
};

/// The pool of an element type, one for what is only read and one for what is written.
template <class T>
pool<T>& readable() {
  static pool<T> one;
  return one;
}
template <class T>
pool<T>& writable() {
  static pool<T> one;
  return one;
}

/// How many sets of inputs a benchmark goes through: more than any cache of the GPU holds.
template <class T>
int sets_of(int tokens, int layers) {
  std::size_t const bytes = 2 * elements_of(tokens) * sizeof(T) * static_cast<std::size_t>(layers);
  return static_cast<int>(std::clamp<std::size_t>((std::size_t{400} << 20) / bytes + 1, 1, 16));
}
}  // namespace kvsieve::bench::gpu
