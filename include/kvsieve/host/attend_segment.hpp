// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention over one run of rows of one KV head, for a few query rows at once: block after block with a running
// maximum. Bound by reading keys and values, once for all of the query rows.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/rotate.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/expanded_rows.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// What a run of rows knows of one query row.
template <int D>
struct attention_partial {
  float most = -__builtin_inff();  ///< largest logit, times log2(e)
  float total = 0.0f;              ///< sum of the weights 2^(z - most)
  float out[D] = {};               ///< sum of the weights times values, by channel
};

template <class Layer>
class attention_segment {
  using keys_view = typename Layer::keys_type;
  using values_view = typename Layer::values_type;
  static constexpr int D = Layer::head_dim, lanes = fragment::lanes, n = D / lanes;
  static constexpr int DK = held_channels<keys_view>, nk = DK / lanes;  // of keys
  static constexpr int block = 64;  // tokens at a time: what is asked for ahead still finds room
  static constexpr bool biased = !cs::is_same_v<typename Layer::bias_type, no_bias>;

 public:
  static constexpr int most_rows = 4;  ///< query rows that share a pass

  attention_segment(Layer const& layer, index head) : l_(layer), head_(head) {}

  /// Rows [begin, end) of the head for G query rows, `rows` scaled by log2(e) / sqrt(D), and rotated where keys are.
  /// Row g sees those before visible[g]. Its logits, times log2(e), go to logits_of[g] + row where that is not null.
  template <int G>
  void run(float const* const (&rows)[G], index const (&visible)[G], index begin, index end,
           attention_partial<D>* const (&result)[G], float* const (&logits_of)[G]) const {
    alignas(64) float q[G][D];
    alignas(64) float z[G][block + lanes];
    alignas(64) float out[G][D];
    float most[G];
    fragment total[G];
    for (int g = 0; g < G; ++g) {
      if constexpr (is_gathered<keys_view>)
        codec_of<keys_view>::template gather<D>(rows[g], l_.keys.accessor().state.of_head(head_), q[g]);
      else
        for (int c = 0; c < n; ++c)
          for (int i = 0; i < lanes; ++i) q[g][c * lanes + i] = rows[g][channel_in<keys_view>(c, i)];
      for (int d = 0; d < D; ++d) out[g][d] = 0.0f;
      most[g] = -__builtin_inff();
      total[g] = fragment(0.0f);
    }
    for (index t = begin; t < end; t += block) {
      int const here = static_cast<int>(end - t < block ? end - t : block);
      logits<G>(t, here, q, z);
      for (int g = 0; g < G; ++g) {
        if constexpr (biased)
          for (int j = 0; j < here; ++j) z[g][j] += 1.44269504f * l_.bias(head_, t + j);
        for (index j = visible[g] < t ? 0 : visible[g] - t; j < here; ++j) z[g][j] = -__builtin_inff();
        if (logits_of[g] != nullptr)
          __builtin_memcpy(logits_of[g] + t, z[g], sizeof(float) * static_cast<std::size_t>(here));
        soften(z[g], here, most[g], total[g], out[g]);
      }
      add_values<G>(t, here, z, out);
    }
    for (int g = 0; g < G; ++g) {
      result[g]->most = most[g];
      result[g]->total = sum(total[g]);
      for (int c = 0; c < n; ++c)
        for (int i = 0; i < lanes; ++i) result[g]->out[channel_in<values_view>(c, i)] = out[g][c * lanes + i];
      if constexpr (is_rotated<values_view>) rotate<D>(result[g]->out);  // of the sum instead of each row
    }
  }

 private:
  // z[g][j] = <q_g, k_j> log2(e) / sqrt(D). lanes / G tokens x G heads are worked on together: what is loaded of a
  // query serves all of the tokens, and their sums are transposed at once.
  template <int G>
  void logits(index first, int here, float const (&q)[G][D], float (&z)[G][block + lanes]) const {
    alignas(64) float tile[expands<keys_view> ? expanded_rows * DK : 1];
    constexpr int heads = G == 3 ? 4 : G, step = lanes / heads < 1 ? 1 : lanes / heads;
    constexpr int chains = G * step < 8 ? 2 : 1;  // an addition has to wait for the last one of its chain
    for (int j = 0; j < here; j += step) {
      fragment part[lanes], other[lanes];
      KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) part[i] = other[i] = fragment(0.0f);
      if constexpr (expands<keys_view>)
        if (j % expanded_rows == 0) expand_rows<DK>(l_.keys, head_, first + j, first + here, tile);
      auto const row_at = [&](int t) {
        if constexpr (expands<keys_view>)
          return unknown(tile) + (j % expanded_rows + t) * DK;
        else
          return held_row_of(l_.keys, head_, first + (j + t < here ? j + t : here - 1));
      };
      decltype(row_at(0)) row[step];
      KVSIEVE_UNROLL for (int t = 0; t < step; ++t) row[t] = row_at(t);
      KVSIEVE_UNROLL for (int c = 0; c < nk; c += 2) {
        KVSIEVE_UNROLL for (int t = c / 2; t < step; t += (nk + 1) / 2) ahead<1>(l_.values, first, j + t);
        fragment k[step][2];
        KVSIEVE_UNROLL for (int t = 0; t < step; ++t) {
          load_channels<DK>(row[t], c, k[t]);
          k[t][0] = pinned(k[t][0]);
          if (c + 1 < nk) k[t][1] = pinned(k[t][1]);
        }
        KVSIEVE_UNROLL for (int i = 0; i < 2; ++i) KVSIEVE_UNROLL for (int g = 0; g < G; ++g) if (c + i < nk) {
          fragment const x = pinned(load(q[g] + (c + i) * lanes));
          KVSIEVE_UNROLL for (int t = 0; t < step; ++t) {
            int const at = g * step + t;
            if (chains == 2 && i == 1)
              other[at] = fma(k[t][i], x, other[at]);
            else
              part[at] = fma(k[t][i], x, part[at]);
          }
        }
      }
      if constexpr (chains == 2) KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) part[i] = part[i] + other[i];
      alignas(64) float sums[lanes];
      store(sums, sum_rows(part));
      for (int g = 0; g < G; ++g) __builtin_memcpy(z[g] + j, sums + g * step, sizeof(float) * step);
    }
  }

  // Logits to weights against the running maximum; what was summed before is scaled down to it.
  KVSIEVE_INLINE static void soften(float* z, int here, float& most, fragment& total, float* out) {
    for (int j = here; j < round_up(here, lanes); ++j) z[j] = -__builtin_inff();
    fragment m(most);
    for (int j = 0; j < here; j += lanes) m = max(m, load(z + j));
    float const next = max_lane(m);
    if (next == -__builtin_inff()) {  // nothing is visible yet; a NaN stays one
      for (int j = 0; j < here; j += lanes) {
        fragment const x = load(z + j), w = where(x == fragment(next), fragment(0.0f), x);
        total += w;
        store(z + j, w);
      }
      return;
    }
    if (next != most) {
      fragment const down = exp2(fragment(most - next));
      total = total * down;
      for (int d = 0; d < D; d += lanes) store(out + d, load(out + d) * down);
      most = next;
    }
    for (int j = 0; j < here; j += lanes) {
      fragment const w = exp2(load(z + j) - fragment(most));
      total += w;
      store(z + j, w);
    }
  }

  // out[g] += sum over the block of w[g][j] v_j, some rows at a time where they are expanded.
  template <int G>
  void add_values(index first, int here, float const (&w)[G][block + lanes], float (&out)[G][D]) const {
    if constexpr (expands<values_view> && !is_gathered<values_view>) {
      alignas(64) float tile[expanded_rows * D];
      for (int j = 0; j < here; j += expanded_rows) {
        expand_rows<D>(l_.values, head_, first + j, first + here, tile);
        float const* const expanded = unknown(tile);
        int const end = here - j < expanded_rows ? here : j + expanded_rows;
        add_rows<G, 8>(first, j, end, expanded_rows, w, out, [&](int t) { return expanded + (t - j) * D; });
      }
    } else {
      add_rows<G, 16>(first, 0, here, here, w, out, [&](int j) { return stored_row_of(l_.values, head_, first + j); });
    }
  }

  // The same for rows [begin, end) that row_at gives, so many channels at a time that their sums stay in registers.
  // @tparam Held  sums that fit registers beside what they are made of; rows as they lie need few passes more
  // @param turns   of a pass, for what is asked for ahead
  template <int G, int Held, class RowAt>
  KVSIEVE_INLINE void add_rows(index first, int begin, int end, int turns, float const (&w)[G][block + lanes],
                               float (&out)[G][D], RowAt const& row_at) const {
    constexpr int most = lanes == 16 ? 16 : Held, held = G == 1 ? most : G == 2 ? most / 2 : most / 4;
    constexpr int width = n < held ? n : held, passes = (n + width - 1) / width;  // even, so pairs stay together
    KVSIEVE_UNROLL for (int c0 = 0; c0 < n; c0 += width) {
      fragment sums[G][width];
      KVSIEVE_UNROLL for (int g = 0; g < G; ++g) KVSIEVE_UNROLL for (int c = 0; c < width; ++c) if (c0 + c < n)
          sums[g][c] = load(out[g] + (c0 + c) * lanes);
      for (int j = begin; j < end; ++j) {
        auto const row = row_at(j);
        ahead<passes>(l_.keys, first + block, begin * passes + c0 / width * turns + j - begin);
        fragment v[width];
        load_channels<D>(row, c0, v);
        KVSIEVE_UNROLL for (int c = 0; c < width; ++c) if (c0 + c < n) v[c] = pinned(v[c]);
        KVSIEVE_UNROLL for (int g = 0; g < G; ++g) {
          fragment const weight(w[g][j]);
          KVSIEVE_UNROLL for (int c = 0; c < width; ++c) if (c0 + c < n) sums[g][c] = fma(v[c], weight, sums[g][c]);
        }
      }
      KVSIEVE_UNROLL for (int g = 0; g < G; ++g) KVSIEVE_UNROLL for (int c = 0; c < width; ++c) if (c0 + c < n)
          store(out[g] + (c0 + c) * lanes, sums[g][c]);
    }
  }

  // Keeps what was loaded in a register: compilers would rather load it again in every operation that it is part of.
  KVSIEVE_INLINE static fragment pinned(fragment x) {
#if KVSIEVE_HOST_VECTORS && defined(__AVX512F__)
    asm("" : "+v"(x.v));
#elif KVSIEVE_HOST_VECTORS && defined(__AVX__)
    asm("" : "+x"(x.v));
#endif
    return x;
  }

  // Asks for part `i` of the rows from `first` on, of which each has so many parts. That is spread between the rows
  // that are worked on: a burst would only wait.
  template <int parts, class View>
  KVSIEVE_INLINE void ahead(View const& rows, index first, index i) const {
    constexpr index bytes = row_bytes<View>(), part = (bytes / parts + 63) / 64 * 64;
    index const token = first + i / parts, from = i % parts * part;
    if (token >= tokens_of(rows, head_) || from >= bytes) return;
    char const* p = nullptr;
    if constexpr (contiguous_rows<View>)
      p = reinterpret_cast<char const*>(row_of(rows, head_, token)) + from;
    else if constexpr (is_encoded<View>)
      p = reinterpret_cast<char const*>(row_of(rows, head_, token).tile) + token % codec_of<View>::tile_tokens * bytes +
          from;
    else
      return;
    KVSIEVE_UNROLL for (index b = 0; b < part; b += 64) __builtin_prefetch(p + b, 0, 2);
  }

  Layer const& l_;
  index head_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
