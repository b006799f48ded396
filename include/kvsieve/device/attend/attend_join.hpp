// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body that joins the segments of decode attention by their log-sum-exp, in an order that is always the same.
#pragma once
#include <kvsieve/core/attend_options.hpp>
#include <kvsieve/device/attend/attend_partials.hpp>
#include <kvsieve/device/tile/fragment.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of such a launch.
template <row_view Out>
struct attend_join_part {
  attend_partials partials;   ///< of the view
  Out out;                    ///< [Hq, asked, D]
  query_numbers log_sum_exp;  ///< [Hq, asked], or null
  float* log_sum;             ///< [rows], times log2(e), 0 where nothing was seen; or null
  int used;                   ///< segments that were written, the first ones
  int rows;                   ///< Hq * asked
  int asked;                  ///< queries of a head
};
template <row_view Out>
struct attend_join_args {
  batch<attend_join_part<Out>> views;
};

/// Block (query row, 0, view): its output, and its log-sum-exp where asked for. Threads are cut into groups that a row
/// of channels is spread over; group g takes segments g, g + groups, ..., and then groups add up in order. Without any
/// entry the output is 0 and the log-sum-exp -inf.
template <row_view Out>
struct attend_join_body {
  static constexpr int D = head_dim_of<Out>;
  using args = attend_join_args<Out>;

  template <block Block>
  struct shared {
    static constexpr int lanes = D / fragment::lanes < Block::threads ? D / fragment::lanes : Block::threads;
    static constexpr int groups = Block::threads / lanes;
    typename Block::reduce_storage reduce;
    float part[groups * D];
    float total[groups];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    constexpr int lanes = shared<Block>::lanes, groups = shared<Block>::groups;
    constexpr int count = (D / fragment::lanes + lanes - 1) / lanes;
    auto const& view = a.views.part[w.z];
    if (w.x >= view.rows) return;
    int const segments = view.used;
    float const* const numbers = view.partials.numbers + 2 * view.partials.at(w.x, 0);
    float const* const sums = view.partials.sums + view.partials.at(w.x, 0) * D;
    float top = -__builtin_inff();
    for (int i = b.rank(); i < segments; i += Block::threads) top = top < numbers[2 * i] ? numbers[2 * i] : top;
    top = b.all_max(top, s.reduce);

    int const lane = b.rank() % lanes, group = b.rank() / lanes;
    if (group < groups) {
      float total = 0.0f;
      fragment sum[count] = {};
      for (int i = group; i < segments; i += groups) {
        float const most = numbers[2 * i], of = numbers[2 * i + 1];
        if (saw_nothing(most, of)) continue;  // and has written no sums
        float const factor = factor_of(most, top);
        total += factor * of;
        KVSIEVE_UNROLL for (int j = 0; j < count; ++j) {
          int const channel = (j * lanes + lane) * fragment::lanes;
          if (channel >= D) continue;
          fragment const x = load_row(sums + index{i} * D, channel);
          KVSIEVE_UNROLL for (int c = 0; c < fragment::lanes; ++c) sum[j].v[c] += factor * x.v[c];
        }
      }
      if (lane == 0) s.total[group] = total;
      KVSIEVE_UNROLL for (int j = 0; j < count; ++j) {
        int const channel = (j * lanes + lane) * fragment::lanes;
        KVSIEVE_UNROLL for (int c = 0; c < fragment::lanes; ++c) if (channel < D) s.part[group * D + channel + c] =
            sum[j].v[c];
      }
    }
    b.sync();
    float total = 0.0f;
    for (int g = 0; g < groups; ++g) total += s.total[g];
    bool const empty = saw_nothing(top, total);
    index const head = w.x / view.asked, query = w.x % view.asked;
    for (int d = b.rank(); d < D; d += Block::threads) {
      float sum = 0.0f;
      for (int g = 0; g < groups; ++g) sum += s.part[g * D + d];
      view.out(head, query, d) = empty ? 0.0f : sum / total;
    }
    if (b.rank() == 0 && view.log_sum != nullptr) view.log_sum[w.x] = empty ? 0.0f : top + ::log2f(total);
    if (b.rank() == 0 && view.log_sum_exp.data_handle() != nullptr)
      view.log_sum_exp(head, query) = empty ? -__builtin_inff() : 0.69314718f * (top + ::log2f(total));
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
