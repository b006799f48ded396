// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of evict::refit_values. Bound by the products of queries with the whole cache, then by a factorisation of the
// smaller of entries by entries and rows by rows.
#pragma once
#include <cmath>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/evict/refit_checks.hpp>
#include <kvsieve/evict/refit_values.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/cholesky.hpp>
#include <kvsieve/host/row/store_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <executor Exec, class Queries, class Full, class Kept>
class value_refit {
  static constexpr int D = Full::head_dim, lanes = fragment::lanes;
  static_assert(head_dim_of<Queries> == D && Kept::head_dim == D,
                "kvsieve::refit_values: queries, cache and kept entries have the same head dimension");
  using params = evict::refit_values::params;

 public:
  value_refit(Exec const& on, cs::span<Queries const> queries, cs::span<Full const> full, token_plan const& plan,
              cs::span<Kept const> kept, params const& p)
      : on_(on), queries_(queries), full_(full), plan_(plan), kept_(kept), params_(p) {}

  [[nodiscard]] std::size_t bytes() const {
    if (!check_all()) return 0;
    arena counting;
    for (int w = 0; w < on_.workers(); ++w) (void)carve(counting);
    return counting.used();
  }

  template <class Out>
  [[nodiscard]] status run(cs::span<Out const> out, std::span<std::byte> workspace) const {
    static_assert(cs::is_same_v<typename Out::element_type, float> && head_dim_of<Out> == D && !is_encoded<Out>,
                  "kvsieve::refit_values: the values that come out are floats, of the cache's head dimension");
    if (status const s = check_all(); !s) return s;
    if (status const s = check::one_each("out", out.size(), full_.size()); !s) return s;
    for (int v = 0; v < plan_.views; ++v) {
      auto const& o = out[static_cast<std::size_t>(v)];
      if (o.extent(0) != plan_.heads)
        return fail(errc::bad_shape, "out.heads", static_cast<double>(o.extent(0)),
                    "must equal the heads of the cache,", plan_.heads, v);
      for (int h = 0; h < plan_.heads; ++h)
        if (tokens_of(o, h) < plan_.count(v, h))
          return fail(errc::bad_shape, "out.tokens", static_cast<double>(tokens_of(o, h)),
                      "must be at least the tokens kept,", plan_.count(v, h), v);
      if (plan_.count(v) == 0) continue;
      if (status const s = check::readable(o, "out", v); !s) return s;
      if (status const s = check::writable(
              o, "out", v, [](index) { return index{0}; },
              [&](index h) { return index{plan_.count(v, static_cast<int>(h))}; });
          !s)
        return s;
    }
    if (status const s = check::workspace(workspace, bytes()); !s) return s;
    on_.for_each(index{plan_.views} * plan_.heads, [&](index i, int worker) {
      arena a(workspace);
      room r{};
      for (int w = 0; w <= worker; ++w) r = carve(a);
      int const v = static_cast<int>(i / plan_.heads), h = static_cast<int>(i % plan_.heads);
      refit(v, h, out[static_cast<std::size_t>(v)], r);
    });
    return {};
  }

 private:
  /// What one worker works in.
  struct room {
    float* logits;    ///< [tokens of the longest view]
    double* weights;  ///< A, [rows, entries]
    double* rest;     ///< what is missing, [rows, D]
    double* normal;   ///< [s, s], s the smaller of rows and entries
    double* moves;    ///< dV, [entries, D]
  };
  [[nodiscard]] room carve(arena& a) const {
    index longest = 0, rows = 0, entries = 0, area = 0, side = 0;
    for (int v = 0; v < plan_.views; ++v) {
      index const n = plan_.count(v), m = rows_of(v), least = n < m ? n : m;
      longest = longest < full(v).tokens() ? full(v).tokens() : longest;
      rows = rows < m ? m : rows;
      entries = entries < n ? n : entries;
      area = area < n * m ? n * m : area;
      side = side < least ? least : side;
    }
    auto const size = [](index n) { return static_cast<std::size_t>(n); };
    float* const logits = a.take<float>(size(longest + lanes));
    double* const weights = a.take<double>(size(area));
    double* const rest = a.take<double>(size(rows * D));
    double* const normal = a.take<double>(size(side * side));
    return {logits, weights, rest, normal, a.take<double>(size(entries * D))};
  }
  [[nodiscard]] Full const& full(int v) const { return full_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] Kept const& kept(int v) const { return kept_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] Queries const& queries(int v) const { return queries_[static_cast<std::size_t>(v)]; }
  /// Query rows that a KV head of a view is fitted to.
  [[nodiscard]] index rows_of(int v) const {
    return queries(v).extent(0) / plan_.heads * ((queries(v).extent(1) + params_.stride - 1) / params_.stride);
  }

  [[nodiscard]] status check_all() const {
    return check::refit(
        plan_, queries_, full_, kept_, params_, [&](int v) { return rows_of(v); },
        [](auto const& view, char const* name, int v) { return check::readable(view, name, v); },
        [&](int v, int head) { return kept(v).tokens(head); });
  }

  template <class View>
  KVSIEVE_INLINE static float product(float const* q, View const& rows, index head, index token) {
    auto const row = row_of(rows, head, token);
    fragment sum_of(0.0f);
    for (int d = 0; d < D; d += lanes) sum_of = fma(load(q + d), load_row(row, d), sum_of);
    return sum(sum_of);
  }
  template <class View>
  KVSIEVE_INLINE static void add(double weight, View const& rows, index head, index token, double* to) {
    float row[D];
    read_row(rows, head, token, row);
    for (int d = 0; d < D; ++d) to[d] += weight * static_cast<double>(row[d]);
  }

  template <class Out>
  void refit(int v, int h, Out const& out, room const& r) const {
    int const n = plan_.count(v, h);
    if (n == 0) return;
    auto const list = plan_.kept(v, h);
    auto const& q = queries(v);
    index const group = q.extent(0) / plan_.heads, observed = q.extent(1), tokens = full(v).tokens(h);
    int m = 0;
    for (index g = 0; g < group; ++g)
      for (index i = (observed - 1) % params_.stride; i < observed; i += params_.stride, ++m)
        weigh_row(v, h, h * group + g, i, tokens - (observed - 1 - i), list, r, m);
    // dV = (A^T A + ridge)^-1 A^T R = A^T (A A^T + ridge)^-1 R: whichever is smaller.
    double* const a = r.weights;
    bool usable;
    if (n <= m) {
      products_of_columns(a, m, n, r.normal);
      multiply_transposed(a, r.rest, r.moves, n, m, D);
      usable = cholesky(r.normal, n, params_.ridge);
      if (usable) solve(r.normal, n, r.moves);
    } else {
      products_of_rows(a, m, n, r.normal);
      usable = cholesky(r.normal, m, params_.ridge);
      if (usable) {
        solve(r.normal, m, r.rest);
        multiply_transposed(a, r.rest, r.moves, n, m, D);
      }
    }
    for (int i = 0; i < n; ++i) {
      alignas(64) float row[D];
      read_row(kept(v).values, h, i, row);
      bool finite_move = usable;
      for (int d = 0; d < D && finite_move; ++d) finite_move = std::isfinite(r.moves[i * D + d]);
      if (finite_move)
        for (int d = 0; d < D; ++d) row[d] = static_cast<float>(static_cast<double>(row[d]) + r.moves[i * D + d]);
      store_row(out, h, i, row);
    }
  }

  /// Row `to` of A, and what it is missing: query i of a head over the kept entries and its own rows, against the first
  /// `visible` rows of the whole cache.
  void weigh_row(int v, int h, index query_head, index i, index visible, cs::span<int const> list, room const& r,
                 int to) const {
    auto const& l = full(v);
    auto const& k = kept(v);
    int const n = static_cast<int>(list.size());
    alignas(64) float q[D];
    read_row(queries(v), query_head, i, q);
    float const scale = static_cast<float>(1 / __builtin_sqrt(static_cast<double>(D)));
    for (float& x : q) x *= scale;
    double* const missing = r.rest + index{to} * D;
    double* const weight = r.weights + index{to} * n;
    for (int d = 0; d < D; ++d) missing[d] = 0;

    float most = -__builtin_inff();
    for (index t = 0; t < visible; ++t) {
      r.logits[t] = product(q, l.keys, h, t);
      most = most < r.logits[t] ? r.logits[t] : most;
    }
    double total = 0;
    for (index t = 0; t < visible; ++t) total += r.logits[t] = std::exp(r.logits[t] - most);
    for (index t = 0; t < visible; ++t) add(static_cast<double>(r.logits[t]) / total, l.values, h, t, missing);

    // The same over what is kept of the first tokens, and the rows behind them, which are the queries' own.
    index const own = plan_.tokens(v);
    float again = -__builtin_inff();
    for (int e = 0; e < n; ++e) {
      weight[e] = -HUGE_VAL;
      if (list[static_cast<std::size_t>(e)] >= visible) continue;
      float z = product(q, k.keys, h, e);
      if constexpr (!cs::is_same_v<typename Kept::bias_type, no_bias>) z += k.bias(h, e);
      weight[e] = static_cast<double>(z);
      again = again < z ? z : again;
    }
    float own_most = -__builtin_inff();
    for (index t = own; t < visible; ++t) {
      float const z = product(q, l.keys, h, t);
      r.logits[t] = z;
      own_most = own_most < z ? z : own_most;
    }
    double const top = static_cast<double>(again < own_most ? own_most : again);
    double sum_of = 0;
    for (int e = 0; e < n; ++e) sum_of += weight[e] = weight[e] == -HUGE_VAL ? 0 : std::exp(weight[e] - top);
    for (index t = own; t < visible; ++t) {
      r.logits[t] = static_cast<float>(std::exp(static_cast<double>(r.logits[t]) - top));
      sum_of += static_cast<double>(r.logits[t]);
    }
    if (!(sum_of > 0)) {  // it sees nothing that is kept: there is nothing to fit
      for (int e = 0; e < n; ++e) weight[e] = 0;
      for (int d = 0; d < D; ++d) missing[d] = 0;
      return;
    }
    for (int e = 0; e < n; ++e) {
      weight[e] /= sum_of;
      if (weight[e] != 0) add(-weight[e], k.values, h, e, missing);
    }
    for (index t = own; t < visible; ++t) add(-static_cast<double>(r.logits[t]) / sum_of, l.values, h, t, missing);
  }

  /// The upper triangle of A^T A, A [m, n]: rows of A one after another.
  static void products_of_columns(double const* a, int m, int n, double* to) {
    for (index i = 0; i < index{n} * n; ++i) to[i] = 0;
    for (int k = 0; k < m; ++k, a += n)
      for (int i = 0; i < n; ++i)
        for (int j = i; j < n; ++j) to[index{i} * n + j] += a[i] * a[j];
  }
  /// The upper triangle of A A^T.
  static void products_of_rows(double const* a, int m, int n, double* to) {
    for (int i = 0; i < m; ++i)
      for (int j = i; j < m; ++j) {
        double sum_of = 0;
        for (int k = 0; k < n; ++k) sum_of += a[index{i} * n + k] * a[index{j} * n + k];
        to[index{i} * m + j] = sum_of;
      }
  }
  /// x = (U^T U)^-1 x in place, x [side, D].
  static void solve(double const* u, int side, double* x) {
    solve_transposed(u, side, x, D);
    for (int i = side - 1; i >= 0; --i) {
      double* const row = x + index{i} * D;
      for (int j = i + 1; j < side; ++j) {
        double const f = u[index{i} * side + j];
        for (int d = 0; d < D; ++d) row[d] -= f * x[index{j} * D + d];
      }
      for (int d = 0; d < D; ++d) row[d] /= u[index{i} * side + i];
    }
  }

  Exec const& on_;
  cs::span<Queries const> queries_;
  cs::span<Full const> full_;
  token_plan const& plan_;
  cs::span<Kept const> kept_;
  params const& params_;
};
}  // namespace host::inline KVSIEVE_TARGET

/// Bytes of workspace that refit_values needs with the same arguments; aligned to 64 bytes. 0 where it would refuse
/// them.
template <host::executor Exec, row_view Queries, class Full, class Kept>
[[nodiscard]] std::size_t refit_values_workspace_bytes(Exec const& on, cs::span<Queries const> queries,
                                                       cs::span<Full const> layers, token_plan const& plan,
                                                       cs::span<Kept const> kept,
                                                       evict::refit_values::params const& params) noexcept {
  return host::value_refit<Exec, Queries, Full, Kept>(on, queries, layers, plan, kept, params).bytes();
}
/// Fits the kept values to what observed queries read from the whole cache (evict::refit_values).
/// @param queries    for each view [Hq, W, D]: those of the last W rows of the view, each seeing the rows up to its
/// own.
///                   After a reconstruction or look-ahead pass, `layers` holds the rows of the pass behind the tokens
///                   of the plan; they stay where they are
/// @param layers     for each view keys and values of the whole cache; at least the tokens of the plan
/// @param plan       which of the tokens are kept
/// @param kept       for each view the kept entries as attention will read them, entry i of a head being token kept[i]:
///                   keys of any format, values before they are encoded, biases where there are some
/// @param out        for each view the values to be encoded; may be those of `kept`. A head whose numbers are not
///                   finite keeps its values
/// @param workspace  at least refit_values_workspace_bytes(...) bytes, aligned to 64
/// @returns ok, or what was refused, and then nothing was written
template <host::executor Exec, row_view Queries, class Full, class Kept, row_view Out>
[[nodiscard]] status refit_values(Exec const& on, cs::span<Queries const> queries, cs::span<Full const> layers,
                                  token_plan const& plan, cs::span<Kept const> kept, cs::span<Out const> out,
                                  evict::refit_values::params const& params, std::span<std::byte> workspace) noexcept {
  return host::value_refit<Exec, Queries, Full, Kept>(on, queries, layers, plan, kept, params).run(out, workspace);
}
}  // namespace kvsieve::inline v0
