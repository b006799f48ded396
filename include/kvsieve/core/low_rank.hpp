// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is left of the evicted tokens of a head: sums of a fixed size that attention reads beside the entries, and the
// small networks that make features of queries and keys. Dong et al., "Get More with LESS: Synthesizing Recurrence with
// KV Cache Compression for Efficient LLM Inference", arXiv 2402.09398.
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/tables.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// The sums of one layer of one sequence, in memory of the caller, zeros before the first token: for each KV head H
/// [rank, D], H_c = sum of psi(k_e)_c v_e over the evicted tokens e, and z [rank], z_c = sum of psi(k_e)_c.
struct low_rank_sums {
  float* data = nullptr;  ///< H of all heads [Hkv, rank, D], then z of all heads [Hkv, rank]
  int heads = 0;          ///< KV heads, Hkv
  int rank = 0;           ///< features
  int channels = 0;       ///< of a row, D

  /// Floats that the sums take, whatever the number of tokens; 4 bytes each.
  [[nodiscard]] static constexpr index floats(int heads, int rank, int channels) {
    return index{heads} * rank * (channels + 1);
  }
  /// H_c of a head, [D].
  [[nodiscard]] KVSIEVE_HD constexpr float* row(int head, int feature) const {
    return data + (index{head} * rank + feature) * channels;
  }
  /// z of a head, [rank].
  [[nodiscard]] KVSIEVE_HD constexpr float* mass(int head) const {
    return data + index{heads} * rank * channels + index{head} * rank;
  }
};

/// The tokens that leave a layer, as many of each head.
struct leaving_tokens {
  int const* data = nullptr;  ///< [Hkv, count], those of a head ascending
  int count = 0;              ///< of a head
  index head_stride = 0;      ///< from a head's list to the next
};

namespace low_rank {
/// Features, at most.
inline constexpr int most_rank = 64;
/// Units of a hidden layer come in whole fragments.
inline constexpr int unit_step = 16;

/// Refuses sizes of a network.
[[nodiscard]] constexpr status check_sizes(char const* rank_name, int rank, char const* units_name, int units) {
  return range::all(range::within(rank_name, rank, 1, most_rank),
                    range::multiple(units_name, units, unit_step, 1 << 16));
}

/// Refuses sums that do not fit a view; what they hold is not looked at.
[[nodiscard]] inline status check_shape(char const* name, low_rank_sums const& s, int heads, int rank, int channels,
                                        int view) {
  auto const wrong = [&](int got, char const* rule, int wanted) {
    return fail(errc::bad_shape, name, got, rule, wanted, view);
  };
  if (s.data == nullptr) return fail(errc::bad_pointer, name, 0, "must not be null;", 0, view);
  if (s.heads != heads) return wrong(s.heads, "heads; they must equal the KV heads,", heads);
  if (s.rank != rank) return wrong(s.rank, "features; they must equal the rank,", rank);
  if (s.channels != channels) return wrong(s.channels, "channels; they must equal the head dimension,", channels);
  return {};
}
/// The same, and sums that hold what is no sum: a number that is not finite, or a z below 0.
[[nodiscard]] inline status check_sums(char const* name, low_rank_sums const& s, int heads, int rank, int channels,
                                       int view) {
  if (status const t = check_shape(name, s, heads, rank, channels, view); !t) return t;
  index const size = low_rank_sums::floats(heads, rank, channels), masses = index{heads} * rank;
  for (index i = 0; i < size; ++i)
    if (!finite(s.data[i]) || (i >= size - masses && s.data[i] < 0))
      return fail(errc::bad_params, name, static_cast<double>(s.data[i]), "is a sum that must be finite; its place is",
                  static_cast<double>(i), view);
  return {};
}
}  // namespace low_rank

/// The network of queries, for attention over the sums: phi(q) = |gelu(gelu(q W1) W2)| for each query head, with q
/// after RoPE, not scaled. Tables as the authors' code holds them, [in, out].
struct low_rank_queries {
  int rank = 8;                 ///< features, at most 64
  int units = 512;              ///< of the hidden layer, a multiple of 16
  cs::span<float const> in{};   ///< W1 [layers, Hq, D, units]
  cs::span<float const> out{};  ///< W2 [layers, Hq, units, rank]
  cs::span<int const> layer{};  ///< the layer of each view, from 0; empty: views are the layers in order
  /// Ok, or what does not fit `views` views of `heads` query heads.
  [[nodiscard]] constexpr status check(int views, int heads, int channels) const {
    if (status const s = low_rank::check_sizes("features.rank", rank, "features.units", units); !s) return s;
    return range::all(
        tables::check("features.in", in.size(), cs::int64_t{heads} * channels * units, "features.layer", layer, views),
        tables::check("features.out", out.size(), cs::int64_t{heads} * units * rank, "features.layer", layer, views));
  }
};
}  // namespace kvsieve::inline v0
