// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of evict::merge: evicted tokens are sorted by their target, and the rows of the result are made of them
// in ascending order, as the host does it.
#pragma once
#include <cuda/std/cmath>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/device/evict/merge_gate.hpp>
#include <kvsieve/device/tile/table_rows.hpp>
#include <kvsieve/evict/merge_weight.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Block (0, head, view): sorts the tokens that are merged by their target, ascending in each.
template <class Evict, class Layer>
struct gather_sources_body {
  using gate = typename Evict::gate;
  using args = merge_args<merge_part<Layer>, typename gate::params>;

  template <block Block>
  struct shared {
    int target[Block::threads];
    unsigned carry;
    typename Block::scan_storage scan;
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    int const count = view.kept.count(w.y), evicted = view.evicted(w.y);
    index const at = view.at(w.y);
    if constexpr (Evict::weight::scores) {
      float const most = largest_mass_of(b, view.scores(w.y), view.tokens, s.reduce);
      if (b.rank() == 0) view.memory.largest[w.y] = most;
    }
    unsigned* const end = view.memory.end + at + w.y;
    for (int k = b.rank(); k < count; k += Block::threads) end[k] = 0;
    b.sync();
    float const least = view.memory.least[w.y];
    auto const target_of = [&](int e) {
      int const t = view.memory.target[at + e];
      return t >= 0 && judged<gate>(a.params, view, w.y, e) >= least ? t : -1;
    };
    for (int e = b.rank(); e < evicted; e += Block::threads)
      if (int const t = target_of(e); t >= 0) b.atomic_add(end[t], 1u);
    if (b.rank() == 0) s.carry = 0;
    b.sync();
    for (int first = 0; first < count; first += Block::threads) {
      int const k = first + b.rank();
      unsigned const own = k < count ? end[k] : 0u, carry = s.carry;
      unsigned total;
      unsigned const before = b.exclusive_sum(own, total, s.scan);
      if (k < count) end[k] = carry + before;
      if (b.rank() == 0) s.carry = carry + total;
      b.sync();
    }
    // end[k] moves from where k's tokens begin to where they end, a block of tokens at a time.
    for (int first = 0; first < evicted; first += Block::threads) {
      int const e = first + b.rank(), own = e < evicted ? target_of(e) : -1;
      s.target[b.rank()] = own;
      b.sync();
      unsigned place = 0;
      bool last = own >= 0;
      if (own >= 0) {
        place = end[own];
        for (int i = 0; i < b.rank(); ++i) place += s.target[i] == own ? 1u : 0u;
        for (int i = b.rank() + 1; i < Block::threads; ++i) last = last && s.target[i] != own;
        view.memory.source[at + place] = e;
      }
      b.sync();
      if (last) end[own] = place + 1;
    }
  }
};

/// One view of a launch that writes a result.
template <class Layer, class Target>
struct merge_target_part {
  merge_part<Layer> from;
  typename Target::keys_type keys;
  typename Target::values_type values;
  entry_bias_target bias;
};
/// A result that lies where the rows were: those into which something merges are written at their own places.
template <class Layer>
struct merged_in_place {
  using keys_type = typename Layer::keys_type;
  using values_type = typename Layer::values_type;
  static constexpr bool in_place = true;
};
/// Kept rows of a block.
inline constexpr int merged_rows_of_block = 64;

/// What merges into a kept row: the sums of a thread's channels, each row with its factor, and what they are divided
/// by.
template <class Evict, class Layer>
struct merged_row {
  using weight = typename Evict::weight;
  using what = typename Evict::what;
  static constexpr int D = Layer::head_dim, own_channels = D / merge_lanes;
  /// The numbers of the weight, and the largest bias.
  struct numbers {
    typename weight::params weigh;
    float most_bias;
  };

  float keys[own_channels], values[own_channels];
  float own = 1, before = 1, divisor = 1;  ///< factor of the kept row; its mass before, and what came with it
  bool any = false;                        ///< something merges into it

  /// Sums what merges into kept row k of a head, by the threads of a tile.
  template <class Tile>
  KVSIEVE_HD void sum(Tile const& tile, numbers const& p, merge_part<Layer> const& view, int head, int k) {
    index const at = view.at(head);
    int const token = view.kept.of(head)[k];
    unsigned const* const ends = view.memory.end + at + head;
    unsigned const begin = k > 0 ? ends[k - 1] : 0u, end = ends[k];
    float largest = 0;
    own = before = 1;
    any = false;
    if constexpr (weight::scores) {
      // A kept token without mass gives way to whatever merges into it.
      largest = view.memory.largest[head];
      float const m = mass(view.scores(head)[token], largest);
      own = before = m < 1e-30f ? 1e-30f : m;
    }
    divisor = own;
    merge_weight::pair x;
    if constexpr (weight::value_norms) x.norm_own = ::sqrtf(view.memory.value_square[at + token]);
    if constexpr (weight::key_distances) measure(tile, view, head, token, begin, end, x);
    KVSIEVE_UNROLL for (int i = 0; i < own_channels; ++i) keys[i] = values[i] = 0.0f;
    KVSIEVE_NO_UNROLL for (unsigned i = begin; i < end; ++i) {
      int const e = view.memory.source[at + i], from = view.memory.evicted[at + e];
      float const key = view.memory.key_square[at + from], value = view.memory.value_square[at + from];
      if (!finite(key) || !finite(value)) continue;
      x.similarity = view.memory.similarity[at + e];
      if constexpr (weight::value_norms) x.norm = ::sqrtf(value);
      if constexpr (weight::scores) x.score = mass(view.scores(head)[from], largest);
      if constexpr (weight::key_distances) x.distance = distance_square(tile, view.keys, head, from, token);
      auto const c = weight::of(p.weigh, x);
      if (!(c.divisor > 0)) continue;
      any = true;
      own += c.own;
      divisor += c.divisor;
      if constexpr (what::of_keys) add(tile, keys, c.source, view.keys, head, from);
      if constexpr (what::of_values) add(tile, values, c.source, view.values, head, from);
    }
  }
  /// The bias of the row.
  [[nodiscard]] KVSIEVE_HD cs::uint8_t bias(numbers const& p) const {
    return encode_bias(any ? kvsieve::min(cs::log(divisor / before), p.most_bias) : 0.0f);
  }
  /// Adds a row to the sums of a thread's channels.
  template <class Tile, class View>
  KVSIEVE_HD static void add(Tile const& tile, float (&sum)[own_channels], float factor, View const& rows, int head,
                             int token) {
    KVSIEVE_UNROLL for (int i = 0; i < own_channels; ++i) sum[i] =
        factor * to_float(rows(head, token, i * merge_lanes + tile.rank())) + sum[i];
  }

 private:
  // The mean squared distance of a target's tokens, itself among them.
  template <class Tile>
  KVSIEVE_HD static void measure(Tile const& tile, merge_part<Layer> const& view, int head, int kept, unsigned begin,
                                 unsigned end, merge_weight::pair& x) {
    index const at = view.at(head);
    double sum = 0;
    int count = 0;
    for (unsigned i = begin; i < end; ++i) {
      int const token = view.memory.evicted[at + view.memory.source[at + i]];
      float const d = distance_square(tile, view.keys, head, token, kept);
      if (!finite(d) || !finite(view.memory.value_square[at + token])) continue;
      sum += static_cast<double>(d);
      ++count;
    }
    x.sources = count;
    x.mean_distance = static_cast<float>(sum / (count + 1));
  }
};

/// Block (segment of kept rows, head, view): rows of the result, 8 threads each.
template <class Evict, class Layer, class Target>
struct write_merged_body {
  using merged = merged_row<Evict, Layer>;
  using what = typename Evict::what;
  static constexpr int own_channels = merged::own_channels;
  using args = merge_args<merge_target_part<Layer, Target>, typename merged::numbers>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& part = a.views.part[w.z];
    auto const& view = part.from;
    auto const tile = b.template tile<merge_lanes>();
    int const count = view.kept.count(w.y), first = w.x * merged_rows_of_block;
    int const last = count - first < merged_rows_of_block ? count : first + merged_rows_of_block;
    for (int k = first + tile.index(); k < last; k += Block::threads / merge_lanes) {
      merged row;
      row.sum(tile, a.params, view, w.y, k);
      if (part.bias && tile.rank() == 0) part.bias.row(w.y)[k] = row.bias(a.params);
      int const token = view.kept.of(w.y)[k];
      write<what::of_keys>(tile, row.keys, row, view.keys, part.keys, w.y, token, k);
      write<what::of_values>(tile, row.values, row, view.values, part.values, w.y, token, k);
    }
  }

 private:
  template <bool Merged, class Tile, class View, class To>
  KVSIEVE_HD static void write(Tile const& tile, float (&sum)[own_channels], merged const& row, View const& rows,
                               To const& to, int head, int token, int k) {
    bool const any = Merged && row.any;
    if constexpr (requires { Target::in_place; }) {
      if (!any) return;
      k = token;
    }
    if (any) merged::add(tile, sum, row.own, rows, head, token);
    KVSIEVE_UNROLL for (int i = 0; i < own_channels; ++i) {
      int const d = i * merge_lanes + tile.rank();
      put_element(to, head, k, d, any ? from_float<element_of<To>>(sum[i] / row.divisor) : rows(head, token, d));
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
