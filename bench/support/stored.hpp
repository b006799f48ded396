// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Benchmarks of formats of rows: attention over them against reading their bytes, encoding against a streaming copy.
#pragma once
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/attend.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"

namespace kvsieve::bench {

/// Memory that benchmarks of stored rows fill with what they read, one after the other.
[[nodiscard]] inline std::pair<byte*, std::size_t> stored_memory() {
  static std::size_t const bytes = std::clamp(4 * last_level_cache(), std::size_t{512} << 20, std::size_t{1200} << 20);
  static byte* const base = static_cast<byte*>(huge_memory(bytes));
  return {base, bytes};
}

/// Cold rows of one format: normal numbers encoded once and repeated over a part of the memory, handed out in turn.
template <codec C>
class stored_rows {
 public:
  /// @param of  parts that the memory is divided into, this one being number `part`
  stored_rows(int part, int of) {
    auto const [base, bytes] = stored_memory();
    std::size_t const own = bytes / static_cast<std::size_t>(of) / 4096 * 4096;
    base_ = base + static_cast<std::size_t>(part) * own;
    block_ = static_cast<std::size_t>(rows) / C::tile_tokens * C::template tile_bytes<head_dim>;
    blocks_ = own / block_;
    std::vector<byte> one(block_);
    float const* const from = pool<float>().take(std::size_t{rows} * head_dim);
    for (index t = 0; t < rows / C::tile_tokens; ++t)
      C::template encode<head_dim>(from + t * C::tile_tokens * head_dim,
                                   one.data() + t * C::template tile_bytes<head_dim>);
    on().for_each(static_cast<index>(blocks_),
                  [&](index i, int) { std::memcpy(base_ + static_cast<std::size_t>(i) * block_, one.data(), block_); });
  }
  /// The next rows [heads, tokens, head_dim]; of whole tiles.
  [[nodiscard]] encoded_rows<C, head_dim> take(int heads, int tokens) {
    auto const bytes = static_cast<std::size_t>(encoded_bytes<C, head_dim>(index{heads} * tokens));
    if (next_ + bytes > blocks_ * block_) next_ = 0;
    byte const* const p = base_ + next_;
    next_ += (bytes + block_ - 1) / block_ * block_;
    return make_encoded<C, head_dim>(p, heads, tokens);
  }

 private:
  static constexpr int rows = 8192;
  byte* base_;
  std::size_t block_, blocks_, next_ = 0;
};

/// Keys and values of one layer in a format each.
template <codec Keys, codec Values>
class stored_layers {
 public:
  explicit stored_layers(int part = 0, int of = 1) : keys_(2 * part, 2 * of), values_(2 * part + 1, 2 * of) {}
  /// The next layer.
  [[nodiscard]] auto take(int heads, int tokens) {
    return kv_layer{keys_.take(heads, tokens), values_.take(heads, tokens)};
  }
  /// Bytes of a layer.
  [[nodiscard]] static constexpr std::size_t bytes(int heads, int tokens) {
    return static_cast<std::size_t>(encoded_bytes<Keys, head_dim>(index{heads} * tokens) +
                                    encoded_bytes<Values, head_dim>(index{heads} * tokens));
  }

 private:
  stored_rows<Keys> keys_;
  stored_rows<Values> values_;
};

/// Attention over a small stored layer, or parts of one, against the reference over what its rows decode to.
template <class Layer>
bool attends_as_reference(Layer const& layer) {
  auto const query = small_queries<float>(1);
  int const heads = static_cast<int>(query.extent(0));
  std::vector<float> out(static_cast<std::size_t>(heads * head_dim));
  auto const view = make_rows<head_dim>(out.data(), heads, 1);
  workspace const memory(attend_workspace_bytes(on(), query, layer));
  if (!attend(on(), query, layer, view, memory.bytes())) return false;
  for (int h = 0; h < heads; ++h) {
    std::vector<double> q(head_dim), expected(head_dim);
    for (int d = 0; d < head_dim; ++d) q[static_cast<std::size_t>(d)] = static_cast<double>(query(h, 0, d));
    reference::attended want(q);
    each_part(layer, [&](auto const& part, int) {
      index const head = h / (heads / small_heads);
      want.see(part.keys, part.values, head, part.tokens(head), [](index, index) { return 0.0; });
    });
    want.finish(expected);
    for (int d = 0; d < head_dim; ++d)
      if (!(std::abs(expected[static_cast<std::size_t>(d)] - static_cast<double>(view(h, 0, d))) < 1e-5)) return false;
  }
  return true;
}

/// Times attention over the layers that next() gives in turns with reading as many bytes.
template <class Next>
void time_attention(benchmark::State& state, char const* name, dtype type, int tokens, std::size_t bytes, double goal,
                    Next const& next) {
  auto const query = some_queries<float>(1);
  std::vector<float> out(static_cast<std::size_t>(query_heads * head_dim));
  auto const view = make_rows<head_dim>(out.data(), query_heads, 1);
  workspace const memory(attend_workspace_bytes(on(), query, next()));
  status last;
  in_turns(
      state, name, type, tokens,
      {.limit = "read of stored bytes",
       .bytes = static_cast<double>(bytes),
       .machine = measured_limits().read,
       .goal = goal},
      [&] { last = attend(on(), query, next(), view, memory.bytes()); },
      [&] { read_sum(pool<float>().take(bytes / sizeof(float)), bytes); });
  if (!last) state.SkipWithError("attend refused its arguments");
}

/// Registers attention over a format of keys and one of values. `tokens` are whole tiles.
template <codec Keys, codec Values>
int register_attend(std::string const& format, double goal) {
  static std::string const name = "attend/" + format;
  return register_shapes<float>(name.c_str(), [goal](auto, benchmark::State& state, int tokens) {
    stored_layers<Keys, Values> layers;
    static bool const right = attends_as_reference(layers.take(small_heads, 704));
    if (!right) return state.SkipWithError("attention differs from the reference");
    time_attention(state, name.c_str(), dtype::f32, tokens, layers.bytes(kv_heads, tokens), goal,
                   [&] { return layers.take(kv_heads, tokens); });
  });
}

/// A strategy's plan that keeps every row of a layer: what is left to do is to encode.
template <class T>
class all_kept {
 public:
  using strategy = key_norm<>;
  explicit all_kept(cache<T> const& layer)
      : memory_(workspace_bytes<strategy>(on(), layer, all())),
        plan_(plan<strategy>(on(), layer, all(), memory_.bytes())) {}
  [[nodiscard]] token_plan const& operator*() const { return plan_; }

 private:
  static strategy::params all() {
    strategy::params p;
    p.budget.keep = 1;
    return p;
  }
  workspace memory_;
  token_plan plan_;
};

/// Where the next encoded keys and values go.
template <codec Keys, codec Values>
auto stored_target(int heads, int tokens) {
  auto const keys = static_cast<std::size_t>(encoded_bytes<Keys, head_dim>(index{heads} * tokens));
  auto* const p = reinterpret_cast<byte*>(sink().take(stored_layers<Keys, Values>::bytes(heads, tokens)));
  return kv_layer{make_encoded<Keys, head_dim>(p, heads, tokens),
                  make_encoded<Values, head_dim>(p + keys, heads, tokens)};
}

/// The bytes of a tile as reference/ has them.
using reference_bytes = std::vector<unsigned char> (*)(std::span<float const> rows);

/// Bytes of rows against the reference of their format.
template <codec C, class T>
bool encoded_as_reference(matrix<T> const& from, encoded_rows<C, head_dim, byte> const& to, reference_bytes bytes_of) {
  constexpr int tile = C::tile_tokens, bytes = C::template tile_bytes<head_dim>;
  for (index h = 0; h < from.extent(0); ++h)
    for (index t = 0; t < from.extent(1); t += tile) {
      float rows[tile * head_dim];
      for (int j = 0; j < tile; ++j)
        for (int d = 0; d < head_dim; ++d) rows[j * head_dim + d] = to_float(from(h, t + j, d));
      auto const want = bytes_of(std::span<float const>(rows, tile * head_dim));
      if (want.size() != bytes || std::memcmp(want.data(), row_of(to, h, t).tile, bytes) != 0) return false;
    }
  return true;
}

/// What apply encodes of a small layer against the references of both formats.
template <codec Keys, codec Values, class T>
bool encodes_as_reference(reference_bytes of_keys, reference_bytes of_values) {
  constexpr int few = 704;
  auto const small = cache<T>{cold_keys<T>(few), cold_keys<T>(few)};
  auto const target = stored_target<Keys, Values>(kv_heads, few);
  all_kept<T> const all(small);
  return apply<typename all_kept<T>::strategy>(on(), *all, small, target) &&
         encoded_as_reference<Keys, T>(small.keys, target.keys, of_keys) &&
         encoded_as_reference<Values, T>(small.values, target.values, of_values);
}

/// Registers encoding keys and values of a whole layer, by apply.
template <codec Keys, codec Values>
int register_encode(std::string const& format, double goal, reference_bytes of_keys, reference_bytes of_values) {
  static std::string const name = "encode/" + format;
  return register_shapes<float, bf16>(name.c_str(), [=](auto type, benchmark::State& state, int tokens) {
    using T = decltype(type);
    using strategy = all_kept<T>::strategy;
    static bool const right = encodes_as_reference<Keys, Values, T>(of_keys, of_values);
    if (!right) return state.SkipWithError("encoded bytes differ from the reference");
    all_kept<T> const all(cold_layer<T>(tokens));
    std::size_t const read = 2 * elements_of(tokens) * sizeof(T);
    std::size_t const moved = read + stored_layers<Keys, Values>::bytes(kv_heads, tokens);
    std::size_t const copied = moved / 2 / sizeof(T) * sizeof(T);
    status last;
    in_turns(
        state, name.c_str(), dtype_of<T>, tokens,
        {.limit = "streaming copy",
         .bytes = static_cast<double>(moved),
         .machine = measured_limits().copy,
         .goal = goal},
        [&] {
          last = apply<strategy>(on(), *all, cold_layer<T>(tokens), stored_target<Keys, Values>(kv_heads, tokens));
        },
        [&] { copy_streaming(sink().take(copied), pool<T>().take(copied / sizeof(T)), copied); });
    if (!last) state.SkipWithError("apply refused its arguments");
  });
}

/// Both, of a format of keys and one of values.
template <codec Keys, codec Values>
int register_formats(std::string const& format, double attend_goal, double encode_goal, reference_bytes of_keys,
                     reference_bytes of_values) {
  return register_attend<Keys, Values>(format, attend_goal) +
         register_encode<Keys, Values>(format, encode_goal, of_keys, of_values);
}
/// Both, of one format for keys and values.
template <codec C>
int register_format(std::string const& format, double attend_goal, double encode_goal, reference_bytes of) {
  return register_formats<C, C>(format, attend_goal, encode_goal, of, of);
}
}  // namespace kvsieve::bench
