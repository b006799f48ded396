// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of decode attention over one segment of the rows of a KV head, for some of its query rows at once. A tile
// of threads works on a row of keys and the same row of values at a time, with a running maximum of its own: there is
// no sync until all rows are read. What the tiles of a block have is joined at the end, in their order.
#pragma once
#include <kvsieve/core/rotate.hpp>
#include <kvsieve/device/attend/attend_partials.hpp>
#include <kvsieve/device/tile/octet.hpp>
#include <kvsieve/device/tile/table_rows.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Where the logits of a view go when entries are observed, in units of log2(e): of each query row those of all parts,
/// one behind another. Where a part begins differs by head where heads have lengths of their own.
struct observed_logits {
  float* row;         ///< [rows] of `room` floats
  index room;         ///< entries of the longest head, padded
  int const* before;  ///< [heads, parts + 1]: entries in front of each part, and of all
  int number;         ///< of the part
  int ends;           ///< parts + 1

  /// The entry of a head's token.
  [[nodiscard]] KVSIEVE_HD index at(index head, index token) const { return before[head * ends + number] + token; }
};
/// Nothing is remembered of the entries.
struct no_logits {};

/// One view of such a launch. Row r of a KV head is query r % asked of query head r / asked of its group.
template <row_view Queries, class Part, bool Observes = false>
struct attend_part {
  Part layer;                ///< [heads, tokens, D]
  Queries queries;           ///< [heads * group, asked, D]
  attend_partials partials;  ///< of the view
  int before;                ///< segments of the parts before this one
  int segment_tokens;        ///< of this part
  int group_rows;            ///< query rows of a KV head
  int asked;                 ///< queries of a head
  bool has_own_rows;         ///< its last tokens are those of the queries
  [[no_unique_address]] cs::conditional_t<Observes, observed_logits, no_logits> logits;  ///< where they go
};
template <row_view Queries, class Part, bool Observes = false>
struct attend_args {
  batch<attend_part<Queries, Part, Observes>> views;
};

/// How a tile of threads holds a row of D channels: eight of them each, in turn. Of a D whose eighths are no power of
/// two some threads have none.
template <int D>
struct octet_slice {
  static constexpr int eighths = D / octet::lanes;
  static constexpr int width = eighths > 16  ? 32
                               : eighths > 8 ? 16
                               : eighths > 4 ? 8
                               : eighths > 2 ? 4
                                             : 2;              ///< threads of a tile
  static constexpr int count = (eighths + width - 1) / width;  ///< octets of a thread
  /// Channel at which octet i of a thread begins; D or more: it has none.
  KVSIEVE_HD static constexpr int channel(int thread, int i) { return (i * width + thread) * octet::lanes; }
};

/// Multiplies rows [rows, D] in shared memory by the matrix of rotate(), in its order. Begins and ends with a sync.
template <int D, block Block>
KVSIEVE_HD void rotate_rows(Block& b, float* x, int rows) {
  b.sync();
  for (int half = 1; half < rotation_block(D); half *= 2) {
    for (int i = b.rank(); i < rows * (D / 2); i += Block::threads) {
      int const at = i / half * 2 * half + i % half;
      float const first = x[at], second = x[at + half];
      x[at] = first + second;
      x[at + half] = first - second;
    }
    b.sync();
  }
  for (int i = b.rank(); i < rows * D; i += Block::threads) x[i] *= rotation_scale<D>;
  b.sync();
}

/// Block (row chunk + row chunks * segment, head, view): the partial results of up to R query rows.
/// @tparam R         query rows that share a pass over the tokens
/// @tparam Observes  logits are written too
template <row_view Queries, class Part, int R, bool Observes = false>
struct attend_segment_body {
  using keys_view = typename Part::keys_type;
  using values_view = typename Part::values_type;
  static constexpr int D = Part::head_dim;
  using slice = octet_slice<D>;
  static constexpr int step = R * slice::count > 4 ? 2 : 4;  ///< tokens that a tile asks for at once
  static constexpr bool biased = !cs::is_same_v<typename Part::bias_type, no_bias>;
  using args = attend_args<Queries, Part, Observes>;
  using part_type = attend_part<Queries, Part, Observes>;

  template <block Block>
  struct shared {
    static constexpr int tiles = Block::threads / slice::width;
    float row[R * D];       ///< queries, and in the end results
    float part[tiles * D];  ///< of every tile its sums of one query row
    float most[R][tiles], total[R][tiles];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    int const chunks = pieces(view.group_rows, R), segment = w.x / chunks, first = w.x % chunks * R;
    if (w.y >= view.layer.heads() || segment >= pieces(view.layer.tokens(), view.segment_tokens)) return;
    int const rows = view.group_rows - first < R ? view.group_rows - first : R;
    index const row = index{w.y} * view.group_rows + first;  // of the view, the first one
    index const k = readable_tokens(view.layer.keys, w.y), v = readable_tokens(view.layer.values, w.y);
    index const tokens = k < v ? k : v, begin = index{segment} * view.segment_tokens;
    index const end = tokens - begin < view.segment_tokens ? tokens : begin + view.segment_tokens;
    if (begin >= end) {
      if (b.rank() < rows) write(view, row + b.rank(), segment, -__builtin_inff(), 0.0f);
      return;
    }

    float const scale = static_cast<float>(1.4426950408889634 / __builtin_sqrt(static_cast<double>(D)));
    auto const put = [&](int g, int channel, int place) {
      index const r = row + g;
      s.row[g * D + place] = g < rows ? to_float(view.queries(r / view.asked, r % view.asked, channel)) * scale : 0.0f;
    };
    if constexpr (is_gathered<keys_view>) {
      for (int i = b.rank(); i < R * D; i += Block::threads) s.row[i] = 0.0f;
      b.sync();
      auto const channels = view.layer.keys.accessor().state.of_head(w.y);
      for (int i = b.rank(); i < R * D; i += Block::threads)
        if (int const place = codec_of<keys_view>::template place_of<D>(i % D, channels); place >= 0)
          put(i / D, i % D, place);
    } else {
      for (int i = b.rank(); i < R * D; i += Block::threads) put(i / D, i % D, i % D);
    }
    if constexpr (is_rotated<keys_view>)
      rotate_rows<D>(b, s.row, rows);
    else
      b.sync();

    auto const tile = b.template tile<slice::width>();
    running r;
    octet query[R][slice::count];
    KVSIEVE_UNROLL for (int g = 0; g < R; ++g) {
      r.most[g] = -__builtin_inff();
      r.total[g] = 0.0f;
      KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
        int const channel = slice::channel(tile.rank(), i);
        r.sum[g][i] = query[g][i] = octet(0.0f);
        KVSIEVE_UNROLL for (int c = 0; c < octet::lanes; ++c) if (channel < D) query[g][i].v[c] =
            s.row[g * D + channel + c];
      }
    }
    int const last_hidden = view.has_own_rows ? view.asked - 1 : 0;  // tokens at the end that some query does not see
    KVSIEVE_NO_UNROLL for (index t = begin + tile.index(); t < end; t += index{shared<Block>::tiles} * step) {
      held_octet<keys_view> key[step][slice::count];
      held_octet<values_view> value[step][slice::count];
      bool there[step];
      KVSIEVE_UNROLL for (int j = 0; j < step; ++j) {
        index const at = t + index{j} * shared<Block>::tiles;
        there[j] = at < end && row_is_there(view.layer.keys, w.y, at) && row_is_there(view.layer.values, w.y, at);
        ask<held_channels<keys_view>>(there[j], tile.rank(), key[j], [&](int channel) {
          return hold_row<keys_view>(held_row_of(view.layer.keys, w.y, at), channel);
        });
      }
      KVSIEVE_UNROLL for (int j = 0; j < step; ++j) ask<D>(there[j], tile.rank(), value[j], [&](int channel) {
        return hold(view.layer.values, w.y, t + index{j} * shared<Block>::tiles, channel);
      });
      float z[R][step];
      KVSIEVE_UNROLL for (int j = 0; j < step; ++j) {
        index const at = t + index{j} * shared<Block>::tiles;
        float bias = 0.0f;
        if constexpr (biased)
          if (there[j]) bias = 1.44269504f * view.layer.bias(w.y, at);
        KVSIEVE_UNROLL for (int g = 0; g < R; ++g) {
          float part = 0.0f;
          KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) part = dot(query[g][i], widened(key[j][i]), part);
          part = tile.all_sum(part);
          z[g][j] = there[j] ? part + bias : -__builtin_inff();
        }
        if (at >= tokens - last_hidden) {
          KVSIEVE_UNROLL for (int g = 0; g < R; ++g) {
            index const hidden = view.asked - 1 - (row + g) % view.asked;
            if (at >= tokens - hidden) z[g][j] = -__builtin_inff();
          }
        }
      }
      if constexpr (Observes) {
        if (tile.rank() == 0) {
          KVSIEVE_UNROLL for (int j = 0; j < step; ++j) {
            index const at = t + index{j} * shared<Block>::tiles;
            KVSIEVE_UNROLL for (int g = 0; g < R; ++g) if (at < end && g < rows)
                view.logits.row[(row + g) * view.logits.room + view.logits.at(w.y, at)] = z[g][j];
          }
        }
      }
      r.soften(z);
      KVSIEVE_UNROLL for (int j = 0; j < step; ++j) KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i)
          r.add(z, j, i, widened(value[j][i]));
    }
    join(b, view, rows, row, segment, r, s);
  }

 private:
  /// What a tile knows so far: of each query row the largest logit, the sum of the weights, and the sums of the values.
  struct running {
    float most[R], total[R];
    octet sum[R][slice::count];

    /// Logits to weights; what was summed before is scaled down to the new maximum.
    KVSIEVE_HD void soften(float (&z)[R][step]) {
      KVSIEVE_UNROLL for (int g = 0; g < R; ++g) {
        float next = most[g];
        KVSIEVE_UNROLL for (int j = 0; j < step; ++j) next = next < z[g][j] ? z[g][j] : next;
        if (next != most[g]) {
          float const down = weight_of(most[g] - next);
          total[g] *= down;
          KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) KVSIEVE_UNROLL for (int c = 0; c < octet::lanes; ++c)
              sum[g][i]
                  .v[c] *= down;
          most[g] = next;
        }
        KVSIEVE_UNROLL for (int j = 0; j < step; ++j) {
          // Where nothing is visible yet a NaN stays one.
          float const none = z[g][j] == next ? 0.0f : z[g][j];
          z[g][j] = next == -__builtin_inff() ? none : weight_of(z[g][j] - next);
          total[g] += z[g][j];
        }
      }
    }
    KVSIEVE_HD void add(float const (&weight)[R][step], int j, int i, octet const& value) {
      KVSIEVE_UNROLL for (int g = 0; g < R; ++g) KVSIEVE_UNROLL for (int c = 0; c < octet::lanes; ++c) sum[g][i].v[c] +=
          weight[g][j] * value.v[c];
    }
  };

  /// What a thread holds of a row of `Channels` channels.
  template <int Channels, class Held, class Hold>
  KVSIEVE_HD static void ask(bool there, int thread, Held (&to)[slice::count], Hold const& hold_at) {
    KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
      int const channel = slice::channel(thread, i);
      to[i] = Held{};
      if (there && channel < Channels) to[i] = hold_at(channel);
    }
  }
  KVSIEVE_HD static float dot(octet const& a, octet const& b, float sum) {
    KVSIEVE_UNROLL for (int c = 0; c < octet::lanes; ++c) sum += a.v[c] * b.v[c];
    return sum;
  }
  KVSIEVE_HD static void write(part_type const& view, index row, int segment, float most, float total) {
    float* const to = view.partials.numbers + 2 * view.partials.at(row, view.before + segment);
    to[0] = most;
    to[1] = total;
  }

  /// Joins what the tiles of the block have, one query row after another.
  template <block Block>
  KVSIEVE_HD static void join(Block& b, part_type const& view, int rows, index row, int segment, running const& r,
                              shared<Block>& s) {
    constexpr int tiles = shared<Block>::tiles;
    auto const tile = b.template tile<slice::width>();
    if (tile.rank() == 0) {
      KVSIEVE_UNROLL for (int g = 0; g < R; ++g) {
        s.most[g][tile.index()] = r.most[g];
        s.total[g][tile.index()] = r.total[g];
      }
    }
    b.sync();
    KVSIEVE_UNROLL for (int g = 0; g < R; ++g) {
      if (g >= rows) continue;
      float top = -__builtin_inff();
      for (int i = 0; i < tiles; ++i) top = top < s.most[g][i] ? s.most[g][i] : top;
      float const factor = factor_of(r.most[g], top);
      KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
        int const channel = slice::channel(tile.rank(), i);
        KVSIEVE_UNROLL for (int c = 0; c < octet::lanes; ++c) if (channel < D) s.part[tile.index() * D + channel + c] =
            r.sum[g][i].v[c] * factor;
      }
      b.sync();
      for (int d = b.rank(); d < D; d += Block::threads) {
        float sum = 0.0f;
        for (int i = 0; i < tiles; ++i) sum += s.part[i * D + d];
        s.row[g * D + d] = sum;
      }
      if (b.rank() == 0) {
        float total = 0.0f;
        for (int i = 0; i < tiles; ++i) total += factor_of(s.most[g][i], top) * s.total[g][i];
        write(view, row + g, segment, top, total);
      }
      b.sync();
    }
    if constexpr (is_rotated<values_view>) rotate_rows<D>(b, s.row, rows);  // of the sums instead of each row
    for (int i = b.rank(); i < rows * D; i += Block::threads)
      view.partials.sums[view.partials.at(row + i / D, view.before + segment) * D + i % D] = s.row[i];
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
