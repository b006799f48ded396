// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Random networks and sums for evict::low_rank_state.
#pragma once
#include <cmath>
#include <vector>

#include <kvsieve/evict/low_rank_state.hpp>
#include <kvsieve/reference/low_rank_state.hpp>

#include "cache.hpp"
#include "hidden_states.hpp"

namespace support {

/// Tables of `layers` layers, their numbers such that features are about 1.
struct low_rank_tables {
  int layers, kv_heads, query_heads, channels, rank, units;
  std::vector<float> query_in, query_out, in, out, mix, scale, mix_scale;

  low_rank_tables(int l, int kv, int q, int d, int r, int u, std::uint32_t seed)
      : layers(l), kv_heads(kv), query_heads(q), channels(d), rank(r), units(u) {
    auto const draw = [&](int heads, int rows, int columns, double size) {
      return draw_weights(static_cast<std::size_t>(layers * heads * rows * columns), static_cast<float>(size), seed++);
    };
    double const first = 1 / std::sqrt(static_cast<double>(d)), second = 1 / std::sqrt(static_cast<double>(u));
    query_in = draw(query_heads, d, u, first);
    query_out = draw(query_heads, u, r, second);
    in = draw(kv_heads, d, u, first);
    out = draw(kv_heads, u, r, second);
    mix = draw(kv_heads, r, r, 1 / std::sqrt(static_cast<double>(r)));
    scale = draw(kv_heads, 1, r, 1);
    mix_scale = draw(kv_heads, 1, r, 1);
  }
  [[nodiscard]] kvsieve::evict::low_rank_state::params params(
      kvsieve::cs::span<kvsieve::low_rank_sums const> state) const {
    return {state, rank, units, span_of(in), span_of(out), span_of(mix), span_of(scale), span_of(mix_scale), {}};
  }
  [[nodiscard]] kvsieve::low_rank_queries queries() const {
    return {rank, units, span_of(query_in), span_of(query_out), {}};
  }
  /// That of a KV head's keys, or of a query head.
  [[nodiscard]] kvsieve::reference::low_rank_network keys_of(int layer, int head) const {
    auto const part = [&](std::vector<float> const& t) { return of(t, layer, kv_heads, head); };
    return {part(in), part(out), part(mix), part(scale), part(mix_scale)};
  }
  [[nodiscard]] kvsieve::reference::low_rank_network queries_of(int layer, int head) const {
    return {of(query_in, layer, query_heads, head), of(query_out, layer, query_heads, head), {}, {}, {}};
  }

 private:
  [[nodiscard]] std::span<float const> of(std::vector<float> const& t, int layer, int heads, int head) const {
    std::size_t const each = t.size() / static_cast<std::size_t>(layers * heads);
    return std::span<float const>(t).subspan(each * static_cast<std::size_t>(layer * heads + head), each);
  }
};

/// Sums of some views, zeros at first.
struct low_rank_memory {
  std::vector<std::vector<float>> data;
  std::vector<kvsieve::low_rank_sums> sums;

  low_rank_memory(int views, int heads, int rank, int channels) {
    for (int v = 0; v < views; ++v)
      data.emplace_back(static_cast<std::size_t>(kvsieve::low_rank_sums::floats(heads, rank, channels)));
    for (auto& d : data) sums.push_back({d.data(), heads, rank, channels});
  }
  [[nodiscard]] kvsieve::cs::span<kvsieve::low_rank_sums const> span() const { return {sums.data(), sums.size()}; }
};

/// One layer of floats, its tables and sums.
struct low_rank_layer {
  static constexpr int heads = 2, group = 3, tokens = 60, D = 64, rank = 8, units = 32;
  layer<float, D> cache;
  low_rank_tables tables{1, heads, heads* group, D, rank, units, 5};
  low_rank_memory memory{1, heads, rank, D};

  explicit low_rank_layer(std::uint32_t seed = 1, int asked = 1)
      : cache(heads, group, tokens, asked, layout::packed, content::normal, seed) {}
};

/// How far sums of float features may be from the reference's, as a share of the sum of magnitudes: a feature is a
/// chain of D and of `units` roundings, whose terms cancel.
inline constexpr double low_rank_tolerance = 2e-5;

/// True when the sums of a head are those of the reference; `magnitude` [rank] is the largest feature's share.
[[nodiscard]] inline bool same_sums(kvsieve::low_rank_sums const& got, int head,
                                    kvsieve::reference::low_rank_state const& want,
                                    kvsieve::reference::low_rank_state const& magnitudes) {
  bool same = true;
  for (int c = 0; c < got.rank; ++c) {
    auto const i = static_cast<std::size_t>(c);
    auto const near = [&](float x, double y, double magnitude) {
      return std::abs(static_cast<double>(x) - y) <= low_rank_tolerance * magnitude + 1e-30;
    };
    same = same && near(got.mass(head)[c], want.z[i], magnitudes.z[i]);
    for (int d = 0; d < got.channels; ++d) {
      auto const j = static_cast<std::size_t>(d);
      same = same && near(got.row(head, c)[d], want.h[i][j], magnitudes.h[i][j]);
    }
  }
  return same;
}
}  // namespace support
