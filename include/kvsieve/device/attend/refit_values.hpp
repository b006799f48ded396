// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Value refit as launches: what observed queries miss, the products, a factorisation in blocks of rows whose number is
// that of the longest list, and the values.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/device/attend/attend.hpp>
#include <kvsieve/device/attend/refit_solve.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/evict/refit_checks.hpp>
#include <kvsieve/evict/refit_values.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One call of refit_values: its arguments. Of a token_plan, since the host has to know how many rows are solved for.
template <class Launcher, row_view Queries, class Full, class Kept>
class value_refit {
  static constexpr int D = Full::head_dim;
  static_assert(head_dim_of<Queries> == D && Kept::head_dim == D,
                "kvsieve::refit_values: queries, cache and kept entries have the same head dimension");
  using params = evict::refit_values::params;

 public:
  value_refit(Launcher const& on, cs::span<Queries const> queries, cs::span<Full const> full, token_plan const& plan,
              cs::span<Kept const> kept, params const& p)
      : on_(on), queries_(queries), full_(full), plan_(plan), kept_(kept), params_(p) {}

  /// Bytes of device memory; 0 where run() refuses the arguments.
  [[nodiscard]] std::size_t bytes() const {
    if (!check_all()) return 0;
    arena counting;
    for (int v = 0; v < plan_.views; ++v) (void)carve(counting, v);
    return counting.used();
  }

  template <class Out>
  [[nodiscard]] status run(cs::span<Out const> out, std::span<std::byte> workspace) const {
    static_assert(cs::is_same_v<typename Out::element_type, float> && head_dim_of<Out> == D && !is_encoded<Out>,
                  "kvsieve::refit_values: the values that come out are floats, of the cache's head dimension");
    static_assert(Out::is_always_strided(),
                  "kvsieve::refit_values on the device writes by strides: give it kvsieve::make_rows");
    if (status const s = check_all(); !s) return s;
    if (status const s = check::one_each("out", out.size(), full_.size()); !s) return s;
    for (int v = 0; v < plan_.views; ++v) {
      auto const& o = out[static_cast<std::size_t>(v)];
      if (o.extent(0) != plan_.heads)
        return fail(errc::bad_shape, "out.heads", static_cast<double>(o.extent(0)),
                    "must equal the heads of the cache,", plan_.heads, v);
      if (o.extent(1) < plan_.count(v))
        return fail(errc::bad_shape, "out.tokens", static_cast<double>(o.extent(1)),
                    "must be at least the tokens kept,", plan_.count(v), v);
      if (plan_.count(v) == 0) continue;
      if (status const s = check::readable(o, "out", v); !s) return s;
    }
    if (status const s = check::workspace(workspace, bytes()); !s) return s;
    if (status const s = check_reach(out, workspace); !s) return s;
    refit_args<Queries, Full, Kept> rows{};
    int most_rows = 0;
    for (int v = 0; v < plan_.views; ++v) most_rows = most_rows < rows_of(v) ? rows_of(v) : most_rows;
    each_memory memory(*this, workspace);
    if (status const s = launch_views<weigh_entries_body<Queries, Full, Kept>>(
            on_, plan_.views, plan_.heads, 1, rows,
            [&](int v, refit_part<Queries, Full, Kept>& part) {
              part = {queries(v), full(v), kept(v), lists_of(plan_, v), memory(v), plan_.tokens(v), params_.stride};
              return plan_.count(v) == 0 ? 0 : rows_of(v);
            });
        !s)
      return s;
    constexpr int across = (D + 31) / 32;
    if (status const s = launch<form_normal_body>(memory, 0, [](int, int side) { return squared(pieces(side, 32)); });
        !s)
      return s;
    if (status const s = project(memory, false); !s) return s;
    if (status const s = solve(memory, across); !s) return s;
    if (status const s = project(memory, true); !s) return s;
    using values_type = typename Kept::values_type;
    using body = move_values_body<values_type, Out>;
    refit_out_args<values_type, Out> args{};
    return launch_views<body>(
        on_, plan_.views, plan_.heads, 1, args, [&](int v, refit_out_part<values_type, Out>& part) {
          part = {kept(v).values, out[static_cast<std::size_t>(v)], lists_of(plan_, v), memory(v)};
          return pieces(plan_.count(v), body::rows);
        });
  }

 private:
  /// What is read and written lies where kernels reach it.
  template <class Out>
  [[nodiscard]] status check_reach(cs::span<Out const> out, std::span<std::byte> workspace) const {
    status s = within_reach(on_, workspace.data(), "workspace");
    for (int v = 0; s && v < plan_.views; ++v) {
      s = rows_within_reach(on_, queries(v), "queries", v);
      if (s) s = layer_within_reach(on_, full(v), "keys", "values", v);
      if (s) s = layer_within_reach(on_, kept(v), "kept.keys", "kept.values", v);
      if (s) s = rows_within_reach(on_, out[static_cast<std::size_t>(v)], "out", v);
    }
    return s;
  }
  [[nodiscard]] static constexpr int squared(int n) { return n * n; }
  [[nodiscard]] Full const& full(int v) const { return full_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] Kept const& kept(int v) const { return kept_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] Queries const& queries(int v) const { return queries_[static_cast<std::size_t>(v)]; }
  /// Query rows that a KV head of a view is fitted to.
  [[nodiscard]] int rows_of(int v) const {
    index const each = (queries(v).extent(1) + params_.stride - 1) / params_.stride;
    return static_cast<int>(queries(v).extent(0) / plan_.heads * each);
  }
  /// The largest matrix of a view.
  [[nodiscard]] int side_of(int v) const {
    int const n = plan_.count(v), m = rows_of(v);
    return n < m ? n : m;
  }
  [[nodiscard]] int most_side() const {
    int most = 0;
    for (int v = 0; v < plan_.views; ++v) most = most < side_of(v) ? side_of(v) : most;
    return most;
  }

  [[nodiscard]] refit_memory carve(arena& a, int v) const {
    index const heads = plan_.heads, n = plan_.count(v), m = rows_of(v), side = side_of(v);
    auto const size = [](index x) { return static_cast<std::size_t>(x); };
    refit_memory r{};
    r.weights = a.take<double>(size(heads * m * n));
    r.rest = a.take<double>(size(heads * m * D));
    r.normal = a.take<double>(size(heads * side * side));
    r.moves = a.take<double>(size(heads * n * D));
    r.failed = a.take<int>(size(heads));
    r.rows = static_cast<int>(m);
    r.entries = static_cast<int>(n);
    r.side = static_cast<int>(side);
    return r;
  }
  /// The memory of each view in turn.
  class each_memory {
   public:
    each_memory(value_refit const& call, std::span<std::byte> workspace) : call_(call), workspace_(workspace) {}
    [[nodiscard]] refit_memory operator()(int v) const {
      arena a(workspace_);
      refit_memory r{};
      for (int u = 0; u <= v; ++u) r = call_.carve(a, u);
      return r;
    }

   private:
    value_refit const& call_;
    std::span<std::byte> workspace_;
  };

  /// Launches a body for one block of rows; blocks(entries, side): along x.
  template <class Body, class Blocks>
  [[nodiscard]] status launch(each_memory const& memory, int panel, Blocks const& blocks) const {
    solve_args args{};
    args.ridge = params_.ridge;
    args.panel = panel;
    return launch_views<Body>(on_, plan_.views, plan_.heads, 1, args, [&](int v, solve_part& part) {
      part = {lists_of(plan_, v), memory(v)};
      return plan_.count(v) == 0 || panel >= side_of(v) ? 0 : blocks(plan_.count(v), side_of(v));
    });
  }
  [[nodiscard]] status project(each_memory const& memory, bool behind) const {
    using body = project_rest_body<D>;
    typename body::args args{};
    args.behind = behind;
    return launch_views<body>(on_, plan_.views, plan_.heads, 1, args, [&](int v, solve_part& part) {
      part = {lists_of(plan_, v), memory(v)};
      return pieces(plan_.count(v), 32) * ((D + 31) / 32);
    });
  }
  [[nodiscard]] status solve(each_memory const& memory, int across) const {
    int const side = most_side();
    auto const one = [](int, int) { return 1; };
    status s;
    for (int k = 0; k < side && s; k += solve_rows) {
      auto const left = [k](int of) { return of - k - solve_rows > 0 ? of - k - solve_rows : 0; };
      s = launch<factor_diagonal_body>(memory, k, one);
      if (s) s = launch<factor_rows_body>(memory, k, [&](int, int of) { return pieces(left(of), Launcher::threads); });
      if (s) s = launch<factor_rest_body>(memory, k, [&](int, int of) { return squared(pieces(left(of), 32)); });
    }
    for (int k = 0; k < side && s; k += solve_rows) {
      s = launch<solve_block_body<D, true>>(memory, k, one);
      if (s)
        s = launch<solve_rest_body<D, true>>(memory, k, [&](int, int of) {
          return of - k - solve_rows > 0 ? pieces(of - k - solve_rows, 32) * across : 0;
        });
    }
    for (int k = side == 0 ? -1 : (side - 1) / solve_rows * solve_rows; k >= 0 && s; k -= solve_rows) {
      s = launch<solve_block_body<D, false>>(memory, k, one);
      if (s) s = launch<solve_rest_body<D, false>>(memory, k, [&](int, int) { return pieces(k, 32) * across; });
    }
    return s;
  }

  [[nodiscard]] status check_all() const {
    return check::refit(
        plan_, queries_, full_, kept_, params_, [&](int v) { return rows_of(v); },
        [](auto const& view, char const* name, int v) { return attended_rows::readable(view, name, v); },
        [&](int v, int) { return kept(v).tokens(); });
  }

  Launcher const& on_;
  cs::span<Queries const> queries_;
  cs::span<Full const> full_;
  token_plan const& plan_;
  cs::span<Kept const> kept_;
  params const& params_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
