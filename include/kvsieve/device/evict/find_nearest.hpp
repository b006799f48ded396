// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies that find the kept token which an evicted one merges into. By product: a blocked matrix product whose
// results are met as they come and never stored, with the additions of the host in its order, so that both choose the
// same token. For that the matrix units are of no use: they add in an order of their own.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/device/evict/merge_rows.hpp>
#include <kvsieve/device/tile/logits_tile.hpp>
#include <kvsieve/evict/nearest.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Block (tile of evicted tokens, head, view): the nearest by product.
template <class Nearest, class Layer>
struct find_by_product_body {
  static constexpr int D = Layer::head_dim, channels = 16;
  using args = merge_args<merge_part<Layer>>;

  template <block Block>
  struct shared {
    using shape = tile_shape<Block::threads>;
    alignas(16) float kept[channels][shape::tokens + 4];
    alignas(16) float evicted[channels][shape::rows + 4];
    float kept_factor[shape::tokens], kept_start[shape::tokens], evicted_factor[shape::rows];
    int kept_token[shape::tokens], evicted_token[shape::rows];
    float best[shape::rows][shape::columns];
    int at[shape::rows][shape::columns];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const& view = a.views.part[w.z];
    int const first = w.x * shape::rows, all = view.evicted(w.y), count = view.kept.count(w.y);
    if (first >= all) return;
    int const rows = all - first < shape::rows ? all - first : shape::rows;
    int const* const list = view.kept.of(w.y);
    float const* const square = view.memory.key_square + view.at(w.y);
    for (int i = b.rank(); i < shape::rows; i += Block::threads) {
      int const token = view.memory.evicted[view.at(w.y) + first + (i < rows ? i : rows - 1)];
      s.evicted_token[i] = token;
      s.evicted_factor[i] = factor(square[token]);
    }
    auto const tile = b.template tile<shape::columns>();
    float best[4];
    int at[4];
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      best[j] = -__builtin_inff();
      at[j] = -1;
    }
    KVSIEVE_NO_UNROLL for (int k = 0; k < count; k += shape::tokens) {
      int const here = count - k < shape::tokens ? count - k : shape::tokens;
      for (int i = b.rank(); i < shape::tokens; i += Block::threads) {
        int const token = list[k + (i < here ? i : here - 1)];
        s.kept_token[i] = token;
        s.kept_factor[i] = factor(square[token]);
        s.kept_start[i] = Nearest::start(square[token]);
      }
      b.sync();
      float sum[4][4];
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) sum[j][i] = s.kept_start[tile.rank() * 4 + i];
      }
      KVSIEVE_NO_UNROLL for (int d = 0; d < D; d += channels) {
        put<shape::tokens>(b, view.keys, w.y, s.kept_token, s.kept_factor, d, s.kept);
        put<shape::rows>(b, view.keys, w.y, s.evicted_token, s.evicted_factor, d, s.evicted);
        b.sync();
        KVSIEVE_UNROLL for (int c = 0; c < channels; ++c) {
          if (D % channels != 0 && d + c >= D) continue;
          fragment const e = load_row(static_cast<float const*>(s.evicted[c]), tile.index() * 4);
          fragment const j = load_row(static_cast<float const*>(s.kept[c]), tile.rank() * 4);
          KVSIEVE_UNROLL for (int r = 0; r < 4; ++r) {
            KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) sum[r][i] = j.v[i] * e.v[r] + sum[r][i];
          }
        }
        b.sync();  // the slice is used up, and at the end what is known of the kept tokens
      }
      KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
        int const number = k + tile.rank() * 4 + i;
        KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
          if (number < count && best[j] < sum[j][i]) {
            best[j] = sum[j][i];
            at[j] = number;
          }
        }
      }
    }
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      s.best[tile.index() * 4 + j][tile.rank()] = best[j];
      s.at[tile.index() * 4 + j][tile.rank()] = at[j];
    }
    b.sync();
    for (int i = b.rank(); i < rows; i += Block::threads) {
      float most = s.best[i][0];
      int which = s.at[i][0];
      for (int c = 1; c < shape::columns; ++c) {
        float const x = s.best[i][c];
        int const n = s.at[i][c];
        if (most < x || (most == x && n >= 0 && n < which)) {
          most = x;
          which = n;
        }
      }
      view.memory.target[view.at(w.y) + first + i] = which;
      view.memory.similarity[view.at(w.y) + first + i] =
          which < 0 ? -__builtin_inff() : Nearest::similarity(most, square[s.evicted_token[i]]);
    }
  }

 private:
  // Of a row that is not finite all is NaN, so it is never larger.
  KVSIEVE_HD static float factor(float square) { return finite(square) ? Nearest::factor(square) : __builtin_nanf(""); }

  template <int Rows, block Block, row_view Keys>
  KVSIEVE_HD static void put(Block& b, Keys const& keys, int head, int const* token, float const* factors, int d,
                             float (&slice)[channels][Rows + 4]) {
    constexpr int per_row = channels / fragment::lanes;
    for (int i = b.rank(); i < Rows * per_row; i += Block::threads) {
      int const slot = i / per_row, at = i % per_row * fragment::lanes;
      if (d + at >= D) continue;
      fragment const x = load_row(row_of(keys, head, token[slot]), d + at);
      KVSIEVE_UNROLL for (int c = 0; c < fragment::lanes; ++c) slice[at + c][slot] = x.v[c] * factors[slot];
    }
  }
};

/// Block (segment of evicted tokens, head, view): the nearest by distance in tokens.
template <class Layer>
struct find_by_position_body {
  using args = merge_args<merge_part<Layer>, nearest::position::params>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const* const kept = view.kept.of(w.y);
    int const count = view.kept.count(w.y), begin = w.x * merge_tokens, all = view.evicted(w.y);
    int const end = all - begin < merge_tokens ? all : begin + merge_tokens;
    int const first = count_below(kept, count, a.params.sink),
              until = count_below(kept, count, view.tokens - a.params.recent);
    int const last = until < first ? first : until;
    for (int e = begin + b.rank(); e < end; e += Block::threads) {
      int const token = view.memory.evicted[view.at(w.y) + e];
      int const next = first + count_below(kept + first, last - first, token);
      int best = next < last ? next : -1;
      if (next > first && (best < 0 || token - kept[next - 1] <= kept[next] - token)) best = next - 1;
      view.memory.target[view.at(w.y) + e] = best;
      view.memory.similarity[view.at(w.y) + e] =
          best < 0 ? -__builtin_inff()
                   : -static_cast<float>(kept[best] < token ? token - kept[best] : kept[best] - token);
    }
  }
};

/// Block (segment of tokens, head, view): the cosine of each key and the one before.
template <class Layer>
struct link_rows_body {
  using args = merge_args<merge_part<Layer>>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    auto const tile = b.template tile<merge_lanes>();
    int const first = w.x * merge_tokens;
    int const last = view.tokens - first < merge_tokens ? view.tokens : first + merge_tokens;
    for (int t = first + tile.index(); t < last; t += Block::threads / merge_lanes) {
      float dot = 0;
      for (int d = tile.rank(); t > 0 && d < Layer::head_dim; d += merge_lanes)
        dot = to_float(view.keys(w.y, t - 1, d)) * to_float(view.keys(w.y, t, d)) + dot;
      dot = tile.all_sum(dot);
      if (tile.rank() != 0 || t == 0) continue;
      float const x = ::sqrtf(view.memory.key_square[view.at(w.y) + t - 1]);
      float const y = ::sqrtf(view.memory.key_square[view.at(w.y) + t]);
      view.memory.link[view.at(w.y) + t] = dot / ((x < 1e-6f ? 1e-6f : x) * (y < 1e-6f ? 1e-6f : y));
    }
  }
};
/// Block (segment of gaps between kept tokens, head, view): the kept token of each run of linked neighbours. A thread
/// walks along one gap.
template <class Layer>
struct find_in_runs_body {
  using args = merge_args<merge_part<Layer>, nearest::in_run::params>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const* const kept = view.kept.of(w.y);
    int const count = view.kept.count(w.y), begin = w.x * merge_tokens;
    int const end = count + 1 - begin < merge_tokens ? count + 1 : begin + merge_tokens;
    float const* const link = view.memory.link + view.at(w.y);
    int* const target = view.memory.target + view.at(w.y);
    float* const similarity = view.memory.similarity + view.at(w.y);
    float const* const scores = view.scores(w.y);
    for (int g = begin + b.rank(); g < end; g += Block::threads) {
      int const first = g > 0 ? kept[g - 1] + 1 : 0, last = g < count ? kept[g] : view.tokens;
      // From the left with the kept token in front, as far as the links go; token t is evicted token t - g.
      bool linked = g > 0;
      for (int t = first; t < last; ++t) {
        float const own = linked ? link[t] : 0.0f;
        linked = linked && own >= a.params.alike;
        target[t - g] = linked ? g - 1 : -1;
        similarity[t - g] = linked ? own : -__builtin_inff();
      }
      // And from the right.
      linked = g < count;
      for (int t = last - 1; t >= first && linked; --t) {
        float const own = link[t + 1];
        linked = own >= a.params.alike;
        if (!linked || (target[t - g] >= 0 && ordered(scores[kept[g - 1]]) < ordered(scores[kept[g]]))) continue;
        target[t - g] = g;
        similarity[t - g] = own;
      }
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
