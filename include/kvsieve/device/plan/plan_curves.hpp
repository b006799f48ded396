// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What budget::composite ranks, as launches: sorted keys, means of heads place by place, and the first view's raised.
// Their number follows from the longest view.
#pragma once
#include <kvsieve/device/budget/sort_rows.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/workspace.hpp>
#include <kvsieve/device/call/write_numbers.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The curves of one plan.
template <class C, class Call>
class plan_curves {
  using memory = plan_memory<C>;
  using launcher = cs::remove_cvref_t<decltype(cs::declval<Call const&>().on)>;
  static constexpr int tile = sorted_tile<launcher::threads>;

 public:
  plan_curves(Call const& call, memory const& m) : call_(call), memory_(m) {}

  /// Launches them. Curves lie in memory.curve afterwards, their places in memory.curve_of.
  [[nodiscard]] status run() const {
    unsigned const* sorted = nullptr;
    status s = sort(sorted);
    if (s)
      s = write_numbers(call_.on, memory_.curve_of, call_.views(),
                        [&](index v) { return curve_row{memory_.score_offset[v] / call_.heads(), 0}; });
    if (s) s = means(sorted);
    return s ? raise() : s;
  }

 private:
  /// Arguments of a launch with the call's white list.
  template <class Args>
  [[nodiscard]] Args listing() const {
    auto const& list = call_.params.select.white_list;
    return {{}, list.data(), static_cast<int>(list.size())};
  }
  /// Forced tokens of a view when its ranking's tokens are shared alike.
  [[nodiscard]] forced_set forced(int v) const {
    int at = 0;
    while (v >= memory_.ranking[at].last) ++at;
    return memory::forced_of(memory::rules(call_.layers, call_.params), call_.seen(v),
                             average(memory_.ranking[at], 1, call_.cached(v)));
  }

  /// Sorts the keys of every head; they lie at `sorted`.
  [[nodiscard]] status sort(unsigned const*& sorted) const {
    auto args = listing<sort_args>();
    int longest = 0;
    status s =
        launch_views<sort_tiles_body>(call_.on, call_.views(), call_.heads(), 1, args, [&](int v, sort_part& part) {
          int const tokens = call_.cached(v);
          forced_set const f = forced(v);
          index const at = memory_.score_offset[v];
          part = {memory_.scores + at, memory_.key[0] + at, score_stride(tokens), tokens, f.sink, f.recent};
          longest = longest < tokens ? tokens : longest;
          return pieces(tokens, tile);
        });
    unsigned *from = memory_.key[0], *to = memory_.key[1];
    for (index run = tile; s && run < longest; run *= 2) {
      merge_runs_args merging{{}, run};
      s = launch_views<merge_runs_body>(call_.on, call_.views(), call_.heads(), 1, merging,
                                        [&](int v, merge_runs_part& part) {
                                          int const tokens = call_.cached(v);
                                          index const at = memory_.score_offset[v];
                                          part = {from + at, to + at, score_stride(tokens), tokens};
                                          return pieces(tokens, tile);
                                        });
      unsigned* const now = to;
      to = from;
      from = now;
    }
    sorted = from;
    return s;
  }

  [[nodiscard]] status means(unsigned const* sorted) const {
    auto args = listing<curve_args>();
    return launch_views<mean_curve_body>(call_.on, call_.views(), 1, 1, args, [&](int v, curve_part& part) {
      int const tokens = call_.cached(v);
      forced_set const f = forced(v);
      index const at = memory_.score_offset[v];
      part = {sorted + at,
              memory_.curve + at / call_.heads(),
              memory_.curve_of + v,
              score_stride(tokens),
              call_.heads(),
              tokens,
              f.sink,
              f.recent};
      int const segments = pieces(tokens, segment_scores);
      return segments < 1 ? 1 : segments;  // one says how many places there are
    });
  }

  [[nodiscard]] status raise() const {
    raise_args args{};
    return launch_views<raise_curve_body>(call_.on, memory_.rankings, 1, 1, args, [&](int i, raise_part& part) {
      counts::ranking const& r = memory_.ranking[i];
      part = {memory_.curve, memory_.curve_of + r.first, r.last - r.first};
      return pieces(call_.cached(r.first), segment_scores);
    });
  }

  Call const& call_;
  memory const& memory_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
