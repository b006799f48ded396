// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention on the host: one new query a head over a dense cache, exact, in one pass. Bound by reading keys and
// values, once for all query heads of a group.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <executor Exec, class Queries, class Layer>
class attention {
  using key_element = element_of<typename Layer::keys_type>;
  using value_element = element_of<typename Layer::values_type>;
  static constexpr int D = Layer::head_dim, lanes = fragment::lanes, n = D / lanes;
  static constexpr int block = 64;      // tokens at a time: what is asked for ahead still finds room
  static constexpr int most_heads = 4;  // query heads that share a pass over the rows
  static_assert(head_dim_of<Queries> == D, "kvsieve::attend: queries and cache have the same head dimension");
  static_assert(!ragged_rows<typename Layer::keys_type> && !ragged_rows<typename Layer::values_type>,
                "kvsieve::attend reads dense views: give each head of a ragged one as a view of its own");
  static_assert(D % 16 == 0 && D <= 512, "kvsieve: the head dimension must be a multiple of 16, up to 512");

  // What a segment of tokens knows of one query head: sum of 2^(z - most) v, the maximum, the sum of weights.
  struct partial {
    float most, total, out[D];
  };

 public:
  attention(Exec const& on, cs::span<Queries const> queries, cs::span<Layer const> layers)
      : on_(on), queries_(queries), layers_(layers) {}

  [[nodiscard]] std::size_t bytes() const {
    arena counting;
    (void)carve(counting);
    return counting.used();
  }

  template <class Out>
  [[nodiscard]] status run(cs::span<Out const> out, std::span<std::byte> workspace) const {
    if (status const s = check_all(out); !s) return s;
    if (auto const past = reinterpret_cast<std::uintptr_t>(workspace.data()) % arena::alignment; past != 0)
      return fail(errc::bad_pointer, "workspace", static_cast<double>(past), "bytes past the alignment it needs,",
                  static_cast<double>(arena::alignment));
    if (workspace.size() < bytes())
      return fail(errc::workspace_too_small, "workspace", static_cast<double>(workspace.size()),
                  "bytes; it must be at least", static_cast<double>(bytes()));
    arena a(workspace);
    memory const m = carve(a);
    m.tasks.fill([&](index v) { return layer(v).heads() * segments_of(layer(v).tokens()); });
    m.first_partial[0] = 0;
    for (index v = 0; v < views(); ++v)
      m.first_partial[v + 1] = m.first_partial[v] + queries(v).extent(0) * segments_of(layer(v).tokens());
    on_.for_each(m.tasks.count(), [&](index i, int) {
      auto const at = m.tasks.find(i);
      index const v = at.view, task = at.task;  // clang 14 captures no structured bindings
      index const segments = segments_of(layer(v).tokens()), head = task / segments, segment = task % segments;
      index const group = queries(v).extent(0) / layer(v).heads();
      for (index g = 0; g < group; g += most_heads) {
        auto const work = [&](auto heads) {
          attend_segment<decltype(heads)::value>(
              layer(v), queries(v), head, head * group + g, segment,
              m.partials + m.first_partial[v] + (head * group + g) * segments + segment, segments);
        };
        switch (group - g) {
          case 1:
            work(cs::integral_constant<int, 1>{});
            break;
          case 2:
            work(cs::integral_constant<int, 2>{});
            break;
          case 3:
            work(cs::integral_constant<int, 3>{});
            break;
          default:
            work(cs::integral_constant<int, most_heads>{});
            break;
        }
      }
    });
    for (index v = 0; v < views(); ++v)
      for (index q = 0; q < queries(v).extent(0); ++q) {
        index const segments = segments_of(layer(v).tokens());
        join(m.partials + m.first_partial[v] + q * segments, segments, out[static_cast<std::size_t>(v)], q);
      }
    return {};
  }

 private:
  struct memory {
    task_numbers tasks;
    index* first_partial;
    partial* partials;
  };
  [[nodiscard]] index views() const { return static_cast<index>(layers_.size()); }
  [[nodiscard]] Layer const& layer(index v) const { return layers_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] Queries const& queries(index v) const { return queries_[static_cast<std::size_t>(v)]; }

  [[nodiscard]] memory carve(arena& a) const {
    index partials = 0;
    for (index v = 0; v < views() && v < static_cast<index>(queries_.size()); ++v)
      partials += queries(v).extent(0) * segments_of(layer(v).tokens());
    task_numbers const tasks = task_numbers::carve(a, views());
    index* const first = a.take<index>(static_cast<std::size_t>(views() + 1));
    return {tasks, first, a.take<partial>(static_cast<std::size_t>(partials))};
  }

  template <class Out>
  [[nodiscard]] status check_all(cs::span<Out const> out) const {
    static_assert(cs::is_same_v<typename Out::element_type, float> && head_dim_of<Out> == D,
                  "kvsieve::attend: the output is float, of the cache's head dimension");
    auto const at = [](auto x) { return static_cast<double>(x); };
    if (layers_.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
    if (queries_.size() != layers_.size())
      return fail(errc::bad_shape, "query", at(queries_.size()), "must equal the number of views,", at(layers_.size()));
    if (out.size() != layers_.size())
      return fail(errc::bad_shape, "out", at(out.size()), "must equal the number of views,", at(layers_.size()));
    for (index v = 0; v < views(); ++v) {
      int const w = static_cast<int>(v);
      auto const& l = layer(v);
      auto const& q = queries(v);
      auto const& o = out[static_cast<std::size_t>(v)];
      if (status const s = check::layer(l, l.heads(), w); !s) return s;
      if (q.extent(1) != 1) return fail(errc::bad_shape, "query.tokens", at(q.extent(1)), "must be", 1, w);
      if (q.extent(0) < l.heads() || q.extent(0) % l.heads() != 0)
        return fail(errc::bad_shape, "query.heads", at(q.extent(0)), "must be a multiple of the KV heads,", l.heads(),
                    w);
      if (o.extent(0) != q.extent(0))
        return fail(errc::bad_shape, "out.heads", at(o.extent(0)), "must equal the query heads,", at(q.extent(0)), w);
      if (o.extent(1) != 1) return fail(errc::bad_shape, "out.tokens", at(o.extent(1)), "must be", 1, w);
      if (status const s = check::readable(l.keys, "keys", w); !s) return s;
      if (status const s = check::readable(l.values, "values", w); !s) return s;
      if (status const s = check::readable(q, "query", w); !s) return s;
      if (status const s = check::readable(o, "out", w); !s) return s;
    }
    return {};
  }

  // One segment of tokens for G query heads of one KV head, block after block with a running maximum.
  template <int G>
  static void attend_segment(Layer const& l, Queries const& queries, index head, index first_query, index segment,
                             partial* result, index result_stride) {
    alignas(64) float q[G][D];
    alignas(64) float z[G][block + lanes];
    alignas(64) float out[G][D];
    float most[G];
    fragment total[G];
    float const scale = static_cast<float>(1.4426950408889634 / __builtin_sqrt(static_cast<double>(D)));
    for (int g = 0; g < G; ++g) {
      auto const row = row_of(queries, first_query + g, 0);
      for (int c = 0; c < n; ++c)
        for (int i = 0; i < lanes; ++i) q[g][c * lanes + i] = to_float(row[channel_at<key_element, D>(c, i)]) * scale;
      for (int d = 0; d < D; ++d) out[g][d] = 0.0f;
      most[g] = -__builtin_inff();
      total[g] = fragment(0.0f);
    }
    index const begin = segment * segment_rows;
    index const end = begin + segment_rows < l.tokens() ? begin + segment_rows : l.tokens();
    for (index t = begin; t < end; t += block) {
      int const here = static_cast<int>(end - t < block ? end - t : block);
      logits<G>(l, head, t, here, q, z);
      for (int g = 0; g < G; ++g) soften(z[g], here, most[g], total[g], out[g]);
      add_values<G>(l, head, t, here, z, out);
    }
    for (int g = 0; g < G; ++g) {
      partial& p = result[g * result_stride];
      p.most = most[g];
      p.total = sum(total[g]);
      for (int d = 0; d < D; ++d) p.out[d] = out[g][d];
    }
  }

  // z[g][j] = <q_g, k_j> log2(e) / sqrt(D). lanes / G tokens x G heads are worked on together: what is loaded of a
  // query serves all of the tokens, and their sums are transposed at once.
  template <int G>
  static void logits(Layer const& l, index head, index first, int here, float const (&q)[G][D],
                     float (&z)[G][block + lanes]) {
    constexpr int heads = G == 3 ? 4 : G, step = lanes / heads < 1 ? 1 : lanes / heads;
    constexpr int chains = G * step < 8 ? 2 : 1;  // an addition has to wait for the last one of its chain
    for (int j = 0; j < here; j += step) {
      fragment part[lanes], other[lanes];
      KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) part[i] = other[i] = fragment(0.0f);
      decltype(row_of(l.keys, head, first)) row[step];
      KVSIEVE_UNROLL for (int t = 0; t < step; ++t) row[t] =
          row_of(l.keys, head, first + (j + t < here ? j + t : here - 1));
      KVSIEVE_UNROLL for (int c = 0; c < n; c += 2) {
        KVSIEVE_UNROLL for (int t = c / 2; t < step; t += (n + 1) / 2) ahead<1>(l.values, head, first, j + t);
        fragment k[step][2];
        KVSIEVE_UNROLL for (int t = 0; t < step; ++t) {
          load_channels<D>(row[t], c, k[t]);
          k[t][0] = pinned(k[t][0]);
          if (c + 1 < n) k[t][1] = pinned(k[t][1]);
        }
        KVSIEVE_UNROLL for (int i = 0; i < 2; ++i) KVSIEVE_UNROLL for (int g = 0; g < G; ++g) if (c + i < n) {
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

  // out[g] += sum over the block of w[g][j] v_j, so many channels at a time that their sums stay in registers.
  template <int G>
  static void add_values(Layer const& l, index head, index first, int here, float const (&w)[G][block + lanes],
                         float (&out)[G][D]) {
    constexpr int held = G == 1 ? 16 : G == 2 ? 8 : 4, width = n < held ? n : held;  // even, so pairs stay together
    KVSIEVE_UNROLL for (int c0 = 0; c0 < n; c0 += width) {
      fragment sums[G][width];
      KVSIEVE_UNROLL for (int g = 0; g < G; ++g) KVSIEVE_UNROLL for (int c = 0; c < width; ++c) if (c0 + c < n)
          sums[g][c] = load(out[g] + (c0 + c) * lanes);
      for (int j = 0; j < here; ++j) {
        auto const row = row_of(l.values, head, first + j);
        ahead<(n + width - 1) / width>(l.keys, head, first + block, c0 / width * here + j);
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
  KVSIEVE_INLINE static void ahead(View const& rows, index head, index first, index i) {
    if constexpr (contiguous_rows<View>) {
      constexpr index bytes = index{sizeof(element_of<View>)} * D, part = (bytes / parts + 63) / 64 * 64;
      index const token = first + i / parts, from = i % parts * part;
      if (token >= rows.extent(1) || from >= bytes) return;
      auto const* p = reinterpret_cast<char const*>(row_of(rows, head, token)) + from;
      KVSIEVE_UNROLL for (index b = 0; b < part; b += 64) __builtin_prefetch(p + b, 0, 2);
    }
  }

  // Joins the segments of one query head in order, by their log-sum-exp.
  template <class Out>
  static void join(partial const* parts, index segments, Out const& out, index query) {
    float most = -__builtin_inff(), total = 0.0f;
    for (index s = 0; s < segments; ++s) most = most < parts[s].most ? parts[s].most : most;
    float sums[D] = {};
    for (index s = 0; s < segments; ++s) {
      float const factor = exp2(fragment(parts[s].most - most))[0];
      total += factor * parts[s].total;
      for (int d = 0; d < D; ++d) sums[d] += factor * parts[s].out[d];
    }
    for (int c = 0; c < n; ++c)
      for (int i = 0; i < lanes; ++i) out(query, 0, channel_at<value_element, D>(c, i)) = sums[c * lanes + i] / total;
  }

  Exec const& on_;
  cs::span<Queries const> queries_;
  cs::span<Layer const> layers_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
