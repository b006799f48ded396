// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A KV cache saved to disk (`kvsieve-dump-1`), read into memory and checked.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <kvsieve/core/dtype.hpp>

namespace kvsieve::tool {

/// A tensor in memory: row-major, contiguous, 64-byte aligned.
struct tensor {
  kvsieve::dtype type = kvsieve::dtype::f32;
  std::vector<std::int64_t> shape;
  std::shared_ptr<std::byte const> bytes;  ///< null only when the tensor is absent

  [[nodiscard]] bool present() const { return bytes != nullptr; }
  [[nodiscard]] std::int64_t elements() const;
  [[nodiscard]] std::size_t size_bytes() const;
  template <class T>
  [[nodiscard]] T const* as() const {
    return reinterpret_cast<T const*>(bytes.get());
  }
};

/// One layer of a dump: keys and values [Hkv, N, D], queries [Hq, W, D] of the last W positions, all after RoPE and
/// widened to F32 as they were read, like those of a pass behind the cache: keys [Hkv, P, D] and queries [Hq, P, D].
/// Only keys and values are always there; the other tensors are as in the file.
struct dump_layer {
  int layer = 0;  ///< the model's own index
  tensor keys, values, queries, pass_keys, pass_queries;
  tensor output_projection;                                   ///< [hidden, Hq D]
  tensor pass_values;                                         ///< [Hkv, P, D], of the pass, widened as well
  tensor pass_hidden;                                         ///< [P, width], of the pass
  tensor hidden;                                              ///< [N, width], behind the norm before the attention
  tensor zap_weight, zap_bias, zap_out_weight, zap_out_bias;  ///< [units, width], [units], [Hkv, units], [Hkv]
  tensor gate_weight, gate_bias;                              ///< [(Hq + Hkv) d, width], [Hq d]
  tensor gate_query_norm, gate_key_norm;                      ///< [d] each
  tensor gate_base_key, gate_offset;                          ///< [Hkv, base keys, d], [Hkv, Hq / Hkv]
  tensor less_query_in, less_query_out;                       ///< [Hq, D, units], [Hq, units, rank]
  tensor less_in, less_out;                                   ///< [Hkv, D, units], [Hkv, units, rank]
  tensor less_mix, less_scale, less_mix_scale;                ///< [Hkv, rank, rank], [Hkv, rank] each
  tensor lean_k_mask;                                         ///< [Hkv, D], 1 for the channels of keys that stay
};

/// Tokens [from, to) of the cache and the queries of the pass that repeat them.
struct pass_chunk {
  int from = 0, to = 0, queries = 0;
};

struct cache_dump {
  std::string model;
  int num_layers = 0, query_heads = 0, kv_heads = 0, head_dim = 0, tokens = 0;
  std::int64_t first_position = 0;
  double rope_theta = 0;
  std::string rope_style;
  std::vector<dump_layer> layers;
  std::vector<pass_chunk> pass;               ///< of the pass behind the cache; empty: there is none
  kvsieve::dtype type = kvsieve::dtype::f32;  ///< of keys, values and queries in the file
  std::map<std::string, std::string> metadata;

  [[nodiscard]] std::size_t cache_bytes() const;  ///< keys and values of all layers, in the file's type
};

/// What went wrong, in one line that names the argument and both values. Empty: nothing.
using message = std::optional<std::string>;

/// Reads and checks a dump. On failure `out` is left as it was.
/// @param only  the model's layer indices wanted; empty: all in the file.
[[nodiscard]] message read_dump(std::filesystem::path const& file, std::vector<int> const& only, cache_dump& out);

/// Reads KVzap's networks, the gates, LESS's and LeanK's masks of all layers of a dump from a file of their own, in
/// place of those that the dump holds. On failure `dump` is left as it was.
[[nodiscard]] message read_weights(std::filesystem::path const& file, cache_dump& dump);

}  // namespace kvsieve::tool
