// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of evict::refit_values. Bound by multiply-adds: products of queries with the whole cache, then a factorisation
// of the smaller of entries by entries and rows by rows.
#pragma once
#include <cmath>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/evict/refit_checks.hpp>
#include <kvsieve/evict/refit_values.hpp>
#include <kvsieve/host/evict/refit_solve.hpp>
#include <kvsieve/host/evict/refit_weights.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/store_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <executor Exec, class Queries, class Full, class Kept>
class value_refit {
  static constexpr int D = Full::head_dim;
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
  using weights = refit_weights<Queries, Full, Kept>;
  using solver = refit_solve<D>;

  /// What one worker works in.
  struct room {
    typename weights::room weigh;
    typename solver::room solve;
    float* a;      ///< [rows, entries]
    double* rest;  ///< what is missing, [rows, D]
  };
  [[nodiscard]] room carve(arena& a) const {
    index longest = 0, own = 0, rows = 0, entries = 0, side = 0, area = 0;
    auto const raise = [](index& to, index n) { to = to < n ? n : to; };
    for (int v = 0; v < plan_.views; ++v) {
      index const n = plan_.count(v), m = rows_of(v);
      raise(longest, full(v).tokens());
      raise(own, full(v).tokens() - plan_.tokens(v));
      raise(rows, m);
      raise(entries, n);
      raise(side, n < m ? n : m);
      raise(area, m * weights::wide(n));
      raise(area, n * weights::wide(m));
    }
    auto const weigh = weights::carve(a, longest, entries, own);
    auto const solve = solver::carve(a, area, rows < entries ? entries : rows, side);
    float* const of_a = a.take<float>(static_cast<std::size_t>(area));
    return {weigh, solve, of_a, a.take<double>(static_cast<std::size_t>(rows * D))};
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

  template <class Out>
  void refit(int v, int h, Out const& out, room const& r) const {
    index const n = plan_.count(v, h), m = rows_of(v);
    if (n == 0) return;
    auto const& q = queries(v);
    index const group = q.extent(0) / plan_.heads, observed = q.extent(1), tokens = full(v).tokens(h);
    index const each = m / group, first = (observed - 1) % params_.stride;
    weights const of_rows(q, full(v), kept(v), h, plan_.tokens(v), plan_.kept(v, h), r.weigh);
    of_rows.run(
        [&](index i) {
          index const query = first + i % each * params_.stride;
          return fitted_row{h * group + i / each, query, tokens - (observed - 1 - query)};
        },
        m, r.a, r.rest);
    bool const usable = solver::run(r.a, m, n, r.rest, params_.ridge, r.solve);
    double const* const moves = r.solve.moves;
    for (index i = 0; i < n; ++i) {
      alignas(64) float row[D];
      read_row(kept(v).values, h, i, row);
      bool finite_move = usable;
      for (int d = 0; d < D && finite_move; ++d) finite_move = std::isfinite(moves[i * D + d]);
      if (finite_move)
        for (int d = 0; d < D; ++d) row[d] = static_cast<float>(static_cast<double>(row[d]) + moves[i * D + d]);
      store_row(out, h, i, row);
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
