// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention over one run of rows of one KV head, for a few query rows at once: block after block with a running
// maximum. Bound by reading keys and values, once for all of the query rows.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/rotate.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/attend/ask_ahead.hpp>
#include <kvsieve/host/attend/key_columns.hpp>
#include <kvsieve/host/attend/running_softmax.hpp>
#include <kvsieve/host/row/row_block.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// What a run of rows knows of one query row.
template <int D>
struct attention_partial {
  float most = -__builtin_inff();  ///< largest logit, times log2(e)
  float total = 0.0f;              ///< sum of the weights 2^(z - most)
  float out[D] = {};               ///< sum of the weights times values, by channel
};

/// The query rows of a group that read the same keys and values, at most `most`.
template <int D>
struct attending_rows {
  static constexpr int most = 8;  ///< query rows that share a pass over memory
  int count;                      ///< how many there are
  float const* query[most];       ///< scaled by log2(e) / sqrt(D), and rotated where keys are
  index visible[most];            ///< how many entries it sees
  attention_partial<D>* result[most];
  float* logits[most];  ///< where its logits go, times log2(e), by entry; may be null
};

template <class Layer>
class attention_segment {
  using keys_view = typename Layer::keys_type;
  using values_view = typename Layer::values_type;
  static constexpr bool columns = reads_columns<keys_view>;
  static constexpr int block = block_rows_of<keys_view, values_view>;
  static constexpr auto key_block_of() {
    if constexpr (columns)
      return cs::type_identity<key_columns<keys_view>>{};
    else
      return cs::type_identity<row_block<keys_view, row_part::held, block>>{};
  }
  using key_block = typename decltype(key_block_of())::type;
  using value_block = row_block<values_view, row_part::whole, block>;
  using key_places = block_places<keys_view, block>;
  using value_places = block_places<values_view, block>;
  static constexpr int D = Layer::head_dim, lanes = fragment::lanes, n = D / lanes;
  static constexpr int DK = key_block::channels, nk = DK / lanes;  // of keys
  static constexpr int most_rows = attending_rows<D>::most;
  static constexpr int together = 4;  // query rows whose sums registers hold
  static constexpr bool biased = !cs::is_same_v<typename Layer::bias_type, no_bias>;
  // With one scale a row the sums are scaled, not what they are made of.
  static constexpr bool scales_logits = !columns && key_block::group == DK;
  static constexpr int groups = columns ? DK / key_block::group : 1;  // of channels that something is added to in keys

 public:
  attention_segment(Layer const& layer, index head) : l_(layer), head_(head) {}

  /// Rows [begin, end) of the head for all query rows.
  void run(attending_rows<D> const& rows, index begin, index end) const {
    alignas(64) float q[most_rows][DK];
    alignas(64) float z[most_rows][block] = {};
    alignas(64) float out[most_rows][D];
    float most[most_rows], sum_of[most_rows][groups];
    fragment total[most_rows];
    for (int g = 0; g < rows.count; ++g) {
      if constexpr (is_gathered<keys_view>)
        codec_of<keys_view>::template gather<D>(rows.query[g], l_.keys.accessor().state.of_head(head_), q[g]);
      else
        for (int c = 0; c < n; ++c)
          for (int i = 0; i < lanes; ++i) q[g][c * lanes + i] = rows.query[g][channel_in<keys_view>(c, i)];
      for (int i = 0; i < groups; ++i) {
        sum_of[g][i] = 0.0f;
        for (int c = i * DK / groups; c < (i + 1) * DK / groups; ++c) sum_of[g][i] += q[g][c];
      }
      if constexpr (columns)
        for (int c = 0; c < nk; ++c)
          store(q[g] + c * lanes, load(q[g] + c * lanes) * fragment(1 / fragment::codes::unit));
      for (int d = 0; d < D; ++d) out[g][d] = 0.0f;
      most[g] = -__builtin_inff();
      total[g] = fragment(0.0f);
    }
    for (index t = begin; t < end; t += block) {
      int const here = static_cast<int>(end - t < block ? end - t : block);
      {
        key_block keys;  // its room is that of values as well: both are not needed at once
        keys.open(l_.keys, head_, t, here);
        value_places const ahead(l_.values, head_, t);
        a_few_at_once(rows.count, [&]<int G>(int g, cs::integral_constant<int, G>) {
          if constexpr (columns)
            keys.template multiply<G>(here, q + g, sum_of + g, z + g,
                                      [&](int j) { ask<values_view, lines_of<values_view>, block>(ahead[j], 0); });
          else
            logits<G>(keys, ahead, here, q + g, z + g, sum_of + g);
        });
      }
      for (int g = 0; g < rows.count; ++g) {
        if constexpr (biased)
          for (int j = 0; j < here; ++j) z[g][j] += 1.44269504f * l_.bias(head_, t + j);
        for (index j = rows.visible[g] < t ? 0 : rows.visible[g] - t; j < here; ++j) z[g][j] = -__builtin_inff();
        if (rows.logits[g] != nullptr)
          __builtin_memcpy(rows.logits[g] + t, z[g], sizeof(float) * static_cast<std::size_t>(here));
        for (int j = here; j < block; ++j) z[g][j] = -__builtin_inff();
        raise<D, block>(z[g], most[g], total[g], out[g]);
      }
      for (int g = 0; g < rows.count; ++g) soften<block>(z[g], most[g], total[g]);
      value_block values;
      values.open(l_.values, head_, t, here);
      key_places const ahead(l_.keys, head_, t + block);
      a_few_at_once(rows.count, [&]<int G>(int g, cs::integral_constant<int, G>) {
        add_values<G>(values, ahead, here, z + g, out + g);
      });
    }
    for (int g = 0; g < rows.count; ++g) {
      attention_partial<D>& result = *rows.result[g];
      result.most = most[g];
      result.total = sum(total[g]);
      for (int c = 0; c < n; ++c)
        for (int i = 0; i < lanes; ++i) result.out[channel_in<values_view>(c, i)] = out[g][c * lanes + i];
      if constexpr (is_rotated<values_view>) rotate<D>(result.out);  // of the sum instead of each row
    }
  }

 private:
  template <class Use>
  KVSIEVE_INLINE static void a_few_at_once(int count, Use const& use) {
    for (int g = 0; g < count; g += together) switch (count - g) {
        case 1:
          use(g, cs::integral_constant<int, 1>{});
          break;
        case 2:
          use(g, cs::integral_constant<int, 2>{});
          break;
        case 3:
          use(g, cs::integral_constant<int, 3>{});
          break;
        default:
          use(g, cs::integral_constant<int, together>{});
          break;
      }
  }

  // z[g][j] = <q_g, k_j> log2(e) / sqrt(D). lanes / G tokens x G heads are worked on together: what is loaded of a
  // query serves all of the tokens, and their sums are transposed at once.
  template <int G>
  KVSIEVE_APART static void logits(key_block const& keys, value_places const& ahead, int here, float const (*q)[DK],
                                   float (*z)[block], float const (*sum_of)[groups]) {
    constexpr int heads = G == 3 ? 4 : G, step = lanes / heads < 1 ? 1 : lanes / heads;
    constexpr int chains = G * step < 8 ? 2 : 1;  // an addition has to wait for the last one of its chain
    constexpr int at_once = G == 1 ? 1 : step;    // tokens whose numbers wait in registers
    constexpr int share = (2 * step * lines_of<values_view> + nk - 1) / nk;  // lines that every two fragments ask for
    for (int j = 0; j < here; j += step) {
      fragment part[lanes], other[lanes];
      KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) part[i] = other[i] = fragment(0.0f);
      float const* const query = unknown(q[0]);
      char const* value[step];
      KVSIEVE_UNROLL for (int t = 0; t < step; ++t) value[t] = ahead[j + t];
      KVSIEVE_UNROLL for (int c = 0; c < nk; c += 2) {
        KVSIEVE_UNROLL for (int i = 0; i < share; ++i) {
          int const at = c / 2 * share + i, line = at % lines_of<values_view>;
          if (at < step * lines_of<values_view>) ask<values_view, 1, block>(value[at / lines_of<values_view>], line);
        }
        KVSIEVE_UNROLL for (int t0 = 0; t0 < step; t0 += at_once) {
          fragment k[at_once][2];
          KVSIEVE_UNROLL for (int t = 0; t < at_once; ++t) {
            int const at = j + t0 + t < here ? j + t0 + t : here - 1;
            if (c + 1 < nk)
              read_keys<2>(keys, at, c, k[t]);
            else
              read_keys<1>(keys, at, c, k[t]);
            KVSIEVE_UNROLL for (int i = 0; i < 2; ++i) if (c + i < nk) k[t][i] = pinned(k[t][i]);
          }
          KVSIEVE_UNROLL for (int i = 0; i < 2; ++i) KVSIEVE_UNROLL for (int g = 0; g < G; ++g) if (c + i < nk) {
            fragment const x = pinned(load(query + g * DK + (c + i) * lanes));
            KVSIEVE_UNROLL for (int t = 0; t < at_once; ++t) {
              int const at = g * step + t0 + t;
              if (chains == 2 && i == 1)
                other[at] = fma(k[t][i], x, other[at]);
              else
                part[at] = fma(k[t][i], x, part[at]);
            }
          }
        }
      }
      if constexpr (chains == 2) KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) part[i] = part[i] + other[i];
      alignas(64) float sums[lanes];
      store(sums, sum_rows(part));
      for (int g = 0; g < G; ++g) __builtin_memcpy(z[g] + j, sums + g * step, sizeof(float) * step);
    }
    if constexpr (scales_logits)
      for (int g = 0; g < G; ++g)
        for (int j = 0; j < here; j += lanes) {
          fragment x = load(z[g] + j) * load(keys.scales(0) + j);
          if constexpr (key_block::has_least) x = fma(load(keys.leasts(0) + j), fragment(sum_of[g][0]), x);
          store(z[g] + j, x);
        }
  }
  template <int Count>
  KVSIEVE_INLINE static void read_keys(key_block const& keys, int j, int c, fragment* out) {
    if constexpr (scales_logits)
      keys.template codes<Count>(j, c, out);
    else
      keys.template numbers<Count>(j, c, out);
  }

  // Fragments whose sums stay in registers, for G query rows, and whose scales begin where theirs do.
  template <int G>
  static constexpr int width_of = [] {
    constexpr int group = value_block::group;
    int w = (lanes == 16 ? 16 : 8) / (G == 3 ? 4 : G);
    while (w > 1 && (w > n || (group > 0 && group % (w * lanes) != 0 && w * lanes % group != 0))) w /= 2;
    return w;
  }();
  // What a pass multiplies codes with: weights of tokens, times the scales of groups.
  template <int G>
  struct scaled_weights {
    static constexpr int group = value_block::group == 0 ? D : value_block::group;
    static constexpr int most = width_of<G> * lanes / group < 1 ? 1 : width_of<G> * lanes / group;
    alignas(64) float of[most][G][block];
    fragment least[most][G];  // sums of what is added to scaled codes
  };

  // out[g] += sum over the block of w[g][j] v_j, so many channels at a time that their sums stay in registers.
  template <int G>
  KVSIEVE_APART static void add_values(value_block const& values, key_places const& ahead, int here,
                                       float const (*w)[block], float (*out)[D]) {
    constexpr int width = width_of<G>;
    scaled_weights<G> scaled;
    for (int c = 0; c + width <= n; c += width) add_some<G, width>(values, ahead, here, c, w, scaled, out);
    if constexpr (n % width != 0) add_some<G, n % width>(values, ahead, here, n / width * width, w, scaled, out);
  }
  template <int G, int Width>
  KVSIEVE_INLINE static void add_some(value_block const& values, key_places const& ahead, int here, int c0,
                                      float const (*w)[block], scaled_weights<G>& scaled, float (*out)[D]) {
    constexpr bool scales = value_block::group > 0;
    constexpr int group = scaled_weights<G>::group, width = width_of<G>, passes = (n + width - 1) / width;
    if constexpr (scales)
      if (c0 * lanes % group == 0) weigh<G, Width>(values, here, c0 * lanes / group, w, scaled);
    fragment sums[G][Width];
    KVSIEVE_UNROLL for (int g = 0; g < G; ++g) KVSIEVE_UNROLL for (int c = 0; c < Width; ++c) {
      sums[g][c] = load(out[g] + (c0 + c) * lanes);
      if constexpr (value_block::has_least) sums[g][c] += scaled.least[c * lanes / group][g];
    }
    // Each pass asks for its part of the next block's keys.
    constexpr int share = (block + passes - 1) / passes, every = block / share;
    constexpr int some = (lines_of<keys_view> + every - 1) / every;
    int asked = c0 / width * share;
    for (int from = 0; from < here; from += every, ++asked) {
      char const* const key = ahead[asked];
      int const to = from + every < here ? from + every : here;
      auto const token = [&](int j) {
        fragment weight[G];
        KVSIEVE_UNROLL for (int c = 0; c < Width; c += 2) {
          fragment v[2];
          if (c + 1 < Width)
            values.template codes<2>(j, c0 + c, v);
          else
            values.template codes<1>(j, c0 + c, v);
          KVSIEVE_UNROLL for (int i = 0; i < 2; ++i) if (c + i < Width) {
            v[i] = pinned(v[i]);
            KVSIEVE_UNROLL for (int g = 0; g < G; ++g) {
              if (c + i == 0 || (scales && (c + i) * lanes % group == 0))
                weight[g] = fragment(scales ? scaled.of[(c + i) * lanes / group][g][j] : w[g][j]);
              sums[g][c + i] = fma(v[i], weight[g], sums[g][c + i]);
            }
          }
        }
      };
      // Where a pass holds few channels, counting tokens would take a fifth of its instructions.
      if (every <= 8 && !value_block::placed && to - from == every) {
        constexpr int count = every <= 8 ? every : 1;
        KVSIEVE_UNROLL for (int j = 0; j < count; ++j) {
          ask<keys_view, some, block>(key, j * some);
          token(from + j);
        }
      } else {
        for (int j = from; j < to; ++j) {
          ask<keys_view, some, block>(key, (j - from) * some);
          token(j);
        }
      }
    }
    KVSIEVE_UNROLL for (int g = 0; g < G; ++g) KVSIEVE_UNROLL for (int c = 0; c < Width; ++c)
        store(out[g] + (c0 + c) * lanes, sums[g][c]);
  }
  // The weights of the groups from one on that a pass of Width fragments reads.
  template <int G, int Width>
  KVSIEVE_INLINE static void weigh(value_block const& values, int here, int first, float const (*w)[block],
                                   scaled_weights<G>& scaled) {
    constexpr int count = Width * lanes / scaled_weights<G>::group < 1 ? 1 : Width * lanes / scaled_weights<G>::group;
    KVSIEVE_UNROLL for (int i = 0; i < count; ++i) KVSIEVE_UNROLL for (int g = 0; g < G; ++g) {
      fragment least(0.0f);
      for (int j = 0; j < here; j += lanes) {
        fragment const x = load(w[g] + j);
        store(scaled.of[i][g] + j, x * load(values.scales(first + i) + j));
        if constexpr (value_block::has_least) least = fma(x, load(values.leasts(first + i) + j), least);
      }
      if constexpr (value_block::has_least) scaled.least[i][g] = fragment(sum(least));
    }
  }

  // A pointer of which the compiler knows nothing: it would load what does not change in a loop before it, and spill
  // it.
  KVSIEVE_INLINE static float const* unknown(float const* p) {
#if KVSIEVE_HOST_VECTORS
    asm("" : "+r"(p));
#endif
    return p;
  }

  Layer const& l_;
  index head_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
