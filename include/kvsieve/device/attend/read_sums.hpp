// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of attention over what evict::low_rank_state left of evicted tokens: one more segment of every query row,
// whose only weight is the mass of the sums.
#pragma once
#include <kvsieve/device/attend/attend_partials.hpp>
#include <kvsieve/device/attend/low_rank_features.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of such a launch.
template <row_view Queries>
struct read_sums_part {
  Queries queries;           ///< [Hq, asked, D]
  attend_partials partials;  ///< of the view
  low_rank_sums sums;        ///< of its KV heads
  float const *in, *out;     ///< networks of its query heads
  int segment;               ///< which it is
};
template <row_view Queries>
struct read_sums_args {
  batch<read_sums_part<Queries>> views;
  int rank, units;
};

/// Block (query row, 0, view): phi of the row, and what it reads. Sums without mass, or of one that is not finite or
/// below 0, are not read.
template <row_view Queries>
struct read_sums_body {
  static constexpr int D = head_dim_of<Queries>;
  using args = read_sums_args<Queries>;
  template <block Block>
  using shared = row_features<D, 1, Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    int const asked = static_cast<int>(view.queries.extent(1)), heads = static_cast<int>(view.queries.extent(0));
    if (w.x >= heads * asked) return;
    int const head = w.x / asked, kv_head = head / (heads / view.sums.heads);
    for (int d = b.rank(); d < D; d += Block::threads) s.x[0][d] = to_float(view.queries(head, w.x % asked, d));
    find_features(b, s, view.in + index{head} * D * a.units, view.out + index{head} * a.units * a.rank, a.units,
                  a.rank);
    float const* const z = view.sums.mass(kv_head);
    float mass = 0.0f;
    for (int c = 0; c < a.rank; ++c) mass += ::fabsf(s.y[0][c]) * z[c];
    bool const some = finite(mass) && mass > 0;
    index const at = view.partials.at(w.x, view.segment);
    if (b.rank() == 0) {
      view.partials.numbers[2 * at] = some ? ::log2f(mass) : -__builtin_inff();
      view.partials.numbers[2 * at + 1] = some ? 1.0f : 0.0f;
    }
    for (int d = b.rank(); some && d < D; d += Block::threads) {
      float sum = 0.0f;
      for (int c = 0; c < a.rank; ++c) sum += ::fabsf(s.y[0][c]) / mass * view.sums.row(kv_head, c)[d];
      view.partials.sums[at * D + d] = sum;
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
