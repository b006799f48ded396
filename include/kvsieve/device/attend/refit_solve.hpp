// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of ridge least squares in double: products of matrices, a factorisation A = U^T U in blocks of rows,
// and the two triangular solutions. Each element takes its additions in ascending order, as on the host.
#pragma once
#include <kvsieve/device/attend/refit_rows.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of a launch over matrices.
struct solve_part {
  kept_lists lists;
  refit_memory memory;
};
struct solve_args {
  batch<solve_part> views;
  double ridge;
  int panel;  ///< first row of the block of rows that is worked on
};
/// Rows of such a block.
inline constexpr int solve_rows = 32;

/// to[i, j] = sum over k of p[k, i] q[k, j] for a tile of 32 x 32, or to -= of it: matrices with any strides.
struct double_matrix {
  double const* data;
  index row, column;
  [[nodiscard]] KVSIEVE_HD double operator()(int k, int i) const { return data[k * row + i * column]; }
};
template <block Block>
struct double_tile {
  static constexpr int side = 32, depth = 16, each = side * side / Block::threads;
  double p[depth][side], q[depth][side + 1];

  /// Adds up the products of tile (i0, j0) and calls meet(i, j, sum) for its elements within [rows, columns).
  template <class Meet>
  KVSIEVE_HD void run(Block& b, double_matrix const& x, double_matrix const& y, int inner, int i0, int j0, int rows,
                      int columns, Meet const& meet) {
    double sum[each];
    KVSIEVE_UNROLL for (int u = 0; u < each; ++u) sum[u] = 0;
    for (int k0 = 0; k0 < inner; k0 += depth) {
      b.sync();
      for (int at = b.rank(); at < depth * side; at += Block::threads) {
        int const k = k0 + at / side, i = at % side;
        p[at / side][i] = k < inner && i0 + i < rows ? x(k, i0 + i) : 0.0;
        q[at / side][i] = k < inner && j0 + i < columns ? y(k, j0 + i) : 0.0;
      }
      b.sync();
      for (int k = 0; k < depth; ++k) {
        KVSIEVE_UNROLL for (int u = 0; u < each; ++u) {
          int const at = b.rank() + u * Block::threads;
          sum[u] += p[k][at / side] * q[k][at % side];
        }
      }
    }
    KVSIEVE_UNROLL for (int u = 0; u < each; ++u) {
      int const at = b.rank() + u * Block::threads, i = i0 + at / side, j = j0 + at % side;
      if (i < rows && j < columns) meet(i, j, sum[u]);
    }
  }
};

/// Block (tile, head, view): what is factored, A^T A or A A^T with the ridge, from the diagonal on.
struct form_normal_body {
  using args = solve_args;
  template <block Block>
  using shared = double_tile<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    auto const& m = view.memory;
    int const n = view.lists.count(w.y), side = m.side_of(n), tiles = pieces(m.side, s.side);
    int const i0 = w.x / tiles * s.side, j0 = w.x % tiles * s.side;
    if (w.x == 0 && b.rank() == 0) m.failed[w.y] = 0;
    if (i0 >= side || j0 >= side || j0 < i0) return;
    bool const columns = m.by_entries(n);
    double_matrix const x{m.weights_of(w.y), columns ? m.entries : 1, columns ? 1 : m.entries};
    double* const to = m.normal_of(w.y);
    s.run(b, x, x, columns ? m.rows : n, i0, j0, side, side,
          [&](int i, int j, double sum) { to[index{i} * m.side + j] = i == j ? sum + a.ridge : sum; });
  }
};

/// Block (tile, head, view): A^T R, before the solution where entries give the matrix, else behind it.
template <int D>
struct project_rest_body {
  struct args {
    batch<solve_part> views;
    bool behind;
  };
  template <block Block>
  using shared = double_tile<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    auto const& m = view.memory;
    constexpr int across = (D + 31) / 32;
    int const n = view.lists.count(w.y), i0 = w.x / across * s.side, j0 = w.x % across * s.side;
    if (i0 >= n || m.by_entries(n) == a.behind) return;
    double* const to = m.template moves_of<D>(w.y);
    s.run(b, {m.weights_of(w.y), m.entries, 1}, {m.template rest_of<D>(w.y), D, 1}, m.rows, i0, j0, n, D,
          [&](int i, int j, double sum) { to[index{i} * D + j] = sum; });
  }
};

/// A block on the diagonal, in shared memory: of A, or of U where that is solved with.
template <block Block>
struct diagonal_block {
  double u[solve_rows][solve_rows + 1];

  KVSIEVE_HD void load(Block& b, refit_memory const& m, int head, int first, int rows) {
    double const* const from = m.normal_of(head) + index{first} * m.side + first;
    for (int i = b.rank(); i < rows * rows; i += Block::threads)
      u[i / rows][i % rows] = from[index{i / rows} * m.side + i % rows];
    b.sync();
  }
  /// Solves U^T x = b for one column, `step` numbers from one to the next.
  KVSIEVE_HD void forward(double* x, index step, int rows) const {
    for (int i = 0; i < rows; ++i) {
      double sum = x[i * step];
      for (int j = 0; j < i; ++j) sum -= u[j][i] * x[j * step];
      x[i * step] = sum / u[i][i];
    }
  }
  /// Solves U x = b.
  KVSIEVE_HD void backward(double* x, index step, int rows) const {
    for (int i = rows - 1; i >= 0; --i) {
      double sum = x[i * step];
      for (int j = i + 1; j < rows; ++j) sum -= u[i][j] * x[j * step];
      x[i * step] = sum / u[i][i];
    }
  }
};

/// Block (0, head, view): factors the block on the diagonal.
struct factor_diagonal_body {
  using args = solve_args;
  template <block Block>
  struct shared : diagonal_block<Block> {
    int failed;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& m = a.views.part[w.z].memory;
    int const side = m.side_of(a.views.part[w.z].lists.count(w.y)), first = a.panel;
    if (first >= side || m.failed[w.y] != 0) return;
    int const rows = side - first < solve_rows ? side - first : solve_rows;
    if (b.rank() == 0) s.failed = 0;
    s.load(b, m, w.y, first, rows);
    for (int k = 0; k < rows; ++k) {
      double const root = cs::sqrt(s.u[k][k]);
      bool const good = root > 0 && root < HUGE_VAL;
      if (!good && b.rank() == 0) s.failed = 1;
      b.sync();
      for (int j = k + b.rank(); j < rows; j += Block::threads) s.u[k][j] /= root;
      b.sync();
      for (int i = b.rank(); i < rows * rows; i += Block::threads)
        if (int const r = i / rows, c = i % rows; r > k && c >= r) s.u[r][c] -= s.u[k][r] * s.u[k][c];
      b.sync();
    }
    if (b.rank() == 0 && s.failed != 0) m.failed[w.y] = 1;
    double* const to = m.normal_of(w.y) + index{first} * m.side + first;
    for (int i = b.rank(); i < rows * rows; i += Block::threads)
      if (int const r = i / rows, c = i % rows; c >= r) to[index{r} * m.side + c] = s.u[r][c];
  }
};

/// Block (segment of columns, head, view): the rows of U right of the block on the diagonal. A thread has a column.
struct factor_rows_body {
  using args = solve_args;
  template <block Block>
  using shared = diagonal_block<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& m = a.views.part[w.z].memory;
    int const side = m.side_of(a.views.part[w.z].lists.count(w.y)), behind = a.panel + solve_rows;
    if (behind + w.x * Block::threads >= side || m.failed[w.y] != 0) return;
    s.load(b, m, w.y, a.panel, solve_rows);
    int const column = behind + w.x * Block::threads + b.rank();
    if (column < side) s.forward(m.normal_of(w.y) + index{a.panel} * m.side + column, m.side, solve_rows);
  }
};
/// Block (tile, head, view): takes the products of these rows off what is behind them.
struct factor_rest_body {
  using args = solve_args;
  template <block Block>
  using shared = double_tile<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& m = a.views.part[w.z].memory;
    int const side = m.side_of(a.views.part[w.z].lists.count(w.y)), behind = a.panel + solve_rows;
    int const left = side - behind, tiles = pieces(m.side - behind, s.side);
    int const i0 = w.x / tiles * s.side, j0 = w.x % tiles * s.side;
    if (i0 >= left || j0 >= left || j0 < i0 || m.failed[w.y] != 0) return;
    double_matrix const u{m.normal_of(w.y) + index{a.panel} * m.side + behind, m.side, 1};
    double* const to = m.normal_of(w.y) + index{behind} * m.side + behind;
    s.run(b, u, u, solve_rows, i0, j0, left, left, [&](int i, int j, double sum) {
      if (j >= i) to[index{i} * m.side + j] -= sum;
    });
  }
};

/// Block (0, head, view): solves the block of rows of the unknowns against the block on the diagonal. A thread has a
/// channel.
template <int D, bool Forward>
struct solve_block_body {
  using args = solve_args;
  template <block Block>
  using shared = diagonal_block<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& m = a.views.part[w.z].memory;
    int const n = a.views.part[w.z].lists.count(w.y), side = m.side_of(n);
    if (a.panel >= side || m.failed[w.y] != 0) return;
    int const rows = side - a.panel < solve_rows ? side - a.panel : solve_rows;
    s.load(b, m, w.y, a.panel, rows);
    double* const x = m.template unknowns_of<D>(w.y, n) + index{a.panel} * D;
    for (int d = b.rank(); d < D; d += Block::threads)
      if constexpr (Forward)
        s.forward(x + d, D, rows);
      else
        s.backward(x + d, D, rows);
  }
};
/// Block (tile, head, view): takes what these rows give off the unknowns behind them, or in front of them.
template <int D, bool Forward>
struct solve_rest_body {
  using args = solve_args;
  template <block Block>
  using shared = double_tile<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& m = a.views.part[w.z].memory;
    constexpr int across = (D + 31) / 32;
    int const n = a.views.part[w.z].lists.count(w.y), side = m.side_of(n);
    int const first = Forward ? a.panel + solve_rows : 0, last = Forward ? side : a.panel;
    int const i0 = w.x / across * s.side, j0 = w.x % across * s.side;
    if (a.panel >= side || i0 >= last - first || m.failed[w.y] != 0) return;
    int const rows = side - a.panel < solve_rows ? side - a.panel : solve_rows;
    double const* const u = m.normal_of(w.y);
    double_matrix const x = Forward ? double_matrix{u + index{a.panel} * m.side + first, m.side, 1}
                                    : double_matrix{u + index{first} * m.side + a.panel, 1, m.side};
    double* const unknowns = m.template unknowns_of<D>(w.y, n);
    s.run(b, x, {unknowns + index{a.panel} * D, D, 1}, rows, i0, j0, last - first, D,
          [&](int i, int j, double sum) { unknowns[index{first + i} * D + j] -= sum; });
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
