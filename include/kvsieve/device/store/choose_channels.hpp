// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which channels of the keys of each head are held, as one launch: the sums and the order of store/channels.hpp.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/device/call/check.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/tile/fragment.hpp>
#include <kvsieve/device/tile/table_rows.hpp>
#include <kvsieve/store/channels.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of such a launch.
template <row_view Queries, row_view Keys>
struct channels_part {
  Keys keys;           ///< [heads, tokens, D]
  Queries queries;     ///< [heads * group, W, D]
  cs::uint64_t* mask;  ///< [heads, mask_words(D)]
};
template <row_view Queries, row_view Keys>
struct channels_args {
  batch<channels_part<Queries, Keys>> views;
  store::think params;
};

/// Block (1, head, view): the channels that a head keeps. Runs of 256 rows are summed in float, several at a time, and
/// added in double in their order, as on the host.
template <row_view Queries, row_view Keys>
struct choose_channels_body {
  static constexpr int D = head_dim_of<Keys>, lanes = D / fragment::lanes, run_rows = 256, at_once = 4;
  using args = channels_args<Queries, Keys>;

  template <block Block>
  struct shared {
    static constexpr int runs = Block::threads > lanes ? Block::threads / lanes : 1;
    float sum[runs][D];
    double importance[D];
    bool kept[D];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    if (w.y >= view.keys.extent(0)) return;
    static constexpr int own = (D + Block::threads - 1) / Block::threads;  // channels of a thread
    double squares[own] = {}, importance[own] = {};
    index const group = view.queries.extent(0) / view.keys.extent(0), all = view.queries.extent(1);
    index const window = a.params.window < all ? a.params.window : all;
    for (index g = 0; g < group; ++g) add_squares(b, view.queries, w.y * group + g, all - window, all, importance, s);
    add_squares(b, view.keys, w.y, 0, readable_tokens(view.keys, w.y), squares, s);
    for (int i = 0; i < own; ++i)
      if (int const d = b.rank() + i * Block::threads; d < D) s.importance[d] = importance[i] * squares[i];
    b.sync();
    for (int d = b.rank(); d < D; d += Block::threads) {
      int before = 0;
      for (int other = 0; other < D; ++other) before += store::counts_more(s.importance, other, d) ? 1 : 0;
      s.kept[d] = before < a.params.keep;
    }
    b.sync();
    for (int word = b.rank(); word < store::mask_words(D); word += Block::threads) {
      cs::uint64_t bits = 0;
      for (int c = 64 * word; c < D && c < 64 * word + 64; ++c) bits |= cs::uint64_t{s.kept[c] ? 1u : 0u} << c % 64;
      view.mask[w.y * store::mask_words(D) + word] = bits;
    }
  }

 private:
  /// Adds the squares of rows [first, last) of a head to the sums of a thread's channels.
  template <block Block, row_view Rows, int Own>
  KVSIEVE_HD static void add_squares(Block& b, Rows const& rows, index head, index first, index last,
                                     double (&sums)[Own], shared<Block>& s) {
    constexpr int runs = shared<Block>::runs;
    for (; first < last; first += index{runs} * run_rows) {
      for (int i = b.rank(); i < runs * lanes; i += Block::threads) {
        index const begin = first + index{i / lanes} * run_rows, rest = last - begin;
        square_run(rows, head, begin, begin + (rest < run_rows ? rest : run_rows), i % lanes * fragment::lanes,
                   s.sum[i / lanes]);
      }
      b.sync();
      for (int i = 0; i < Own; ++i) {
        int const d = b.rank() + i * Block::threads;
        for (int r = 0; d < D && r < runs && first + index{r} * run_rows < last; ++r)
          sums[i] += static_cast<double>(s.sum[r][d]);
      }
      b.sync();
    }
  }
  /// Four channels of one run; `end` may lie before `begin`.
  template <row_view Rows>
  KVSIEVE_HD static void square_run(Rows const& rows, index head, index begin, index end, int channel, float* to) {
    float square[fragment::lanes] = {};
    for (index t = begin; t < end; t += at_once) {
      fragment row[at_once];
      KVSIEVE_UNROLL for (int j = 0; j < at_once; ++j) {
        row[j] = {};
        if (t + j < end && row_is_there(rows, head, t + j)) row[j] = load_row(row_of(rows, head, t + j), channel);
      }
      KVSIEVE_UNROLL for (int j = 0; j < at_once; ++j) KVSIEVE_UNROLL for (int i = 0; i < fragment::lanes; ++i)
          square[i] = ::fmaf(row[j].v[i], row[j].v[i], square[i]);
    }
    for (int i = 0; i < fragment::lanes; ++i) to[channel + i] = square[i];
  }
};

/// think_channels() as a launch. Blocks read all that they are told of a view; tables are cut to it.
template <class Launcher, class Layer, row_view Queries>
[[nodiscard]] status choose_channels(Launcher const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
                                     store::think const& p, cs::span<cs::uint64_t> masks) {
  using keys_type = typename Layer::keys_type;
  constexpr int D = Layer::head_dim;
  auto const no_table = [](auto const& rows, char const* name, int v) { return readable(rows, name, v); };
  if (status const s = store::check_think(layers, queries, p, masks.size(), no_table); !s) return s;
  int const heads = layers[0].heads();
  status s = within_reach(on, masks.data(), "masks");
  for (std::size_t v = 0; s && v < layers.size(); ++v) {
    s = rows_within_reach(on, layers[v].keys, "keys", static_cast<int>(v));
    if (s) s = rows_within_reach(on, queries[v], "queries", static_cast<int>(v));
  }
  if (!s) return s;
  channels_args<Queries, keys_type> args{{}, p};
  return launch_views<choose_channels_body<Queries, keys_type>>(
      on, static_cast<int>(layers.size()), heads, 1, args, [&](int v, channels_part<Queries, keys_type>& part) {
        auto const at = static_cast<std::size_t>(v);
        part = {layers[at].keys, queries[at], masks.data() + index{v} * heads * store::mask_words(D)};
        return 1;
      });
}
}  // namespace device
}  // namespace kvsieve::inline v0
