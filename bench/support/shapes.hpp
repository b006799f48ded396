// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The shapes that are measured, and views of them over the pool.
#pragma once
#include <kvsieve/core/views.hpp>

#include <cstddef>

#include "pool.hpp"

namespace kvsieve::bench {

inline constexpr int kv_heads = 8, query_heads = 32, head_dim = 128, window = 64;
inline constexpr int all_tokens[] = {4096, 16384, 65536};
inline constexpr int longest = 65536;

/// Elements of the keys (or the values) of one layer.
constexpr std::size_t elements_of(int tokens) {
  return std::size_t{kv_heads} * static_cast<std::size_t>(tokens) * head_dim;
}

/// How often a benchmark of this many tokens is repeated: enough for quartiles, short enough for a whole run.
constexpr int rounds_of(int tokens) { return tokens <= 4096 ? 31 : tokens <= 16384 ? 21 : 9; }

template <class T>
using matrix = rows<T const, head_dim>;
template <class T>
using cache = kv_layer<matrix<T>>;

/// The next cold keys.
template <class T>
matrix<T> cold_keys(int tokens) {
  return make_rows<head_dim>(static_cast<T const*>(pool<T>().take(elements_of(tokens))), kv_heads, tokens);
}
/// The next cold keys and values.
template <class T>
cache<T> cold_layer(int tokens) {
  T const* const p = pool<T>().take(2 * elements_of(tokens));
  return {make_rows<head_dim>(p, kv_heads, tokens), make_rows<head_dim>(p + elements_of(tokens), kv_heads, tokens)};
}
/// Queries of `positions` positions.
template <class T>
matrix<T> some_queries(int positions) {
  T const* const p = pool<T>().take(static_cast<std::size_t>(query_heads * positions * head_dim));
  return make_rows<head_dim>(p, query_heads, positions);
}

/// A layer small enough for the reference: two KV heads.
inline constexpr int small_heads = 2, small_tokens = 700;
template <class T>
cache<T> small_layer() {
  constexpr std::size_t n = std::size_t{small_heads} * small_tokens * head_dim;
  T const* const p = pool<T>().take(2 * n);
  return {make_rows<head_dim>(p, small_heads, small_tokens), make_rows<head_dim>(p + n, small_heads, small_tokens)};
}
template <class T>
matrix<T> small_queries(int positions) {
  constexpr int heads = small_heads * (query_heads / kv_heads);
  T const* const p = pool<T>().take(static_cast<std::size_t>(heads * positions * head_dim));
  return make_rows<head_dim>(p, heads, positions);
}
}  // namespace kvsieve::bench
