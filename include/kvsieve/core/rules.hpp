// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What follows from shapes and numbers alone: how many tokens a head keeps and which of them are forced. Host and
// device share it.
#pragma once
#include <cuda/std/cstdint>

#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {

/// What every policy may know of a call before it starts.
struct call_shape {
  int views = 1;      ///< layers of sequences
  int heads = 1;      ///< KV heads of each
  int head_dim = 0;   ///< channels of a row
  int row_bytes = 0;  ///< of a token of a head, its key and its value; 0: not known
};

/// One head as a budget sees it before there are scores.
struct head_shape {
  int tokens = 0;  ///< of the row
  int view = 0;    ///< which one
  int views = 1;   ///< the views of a call in their order: layers, for a budget that differs by layer
  int head = 0;    ///< which one
  int heads = 1;   ///< KV heads of the view
};

/// One view as selection sees it, beside its scores.
struct scored_view {
  int tokens = 0;    ///< of the cache: scores of each row
  forced_ends ends;  ///< what the scorer itself keeps
  partition spans;   ///< what the scorer splits it into; only for a selection in partitions
};

/// What a scorer says of a view of `tokens`.
template <class Score>
[[nodiscard]] constexpr scored_view describe(typename Score::params const& p, int tokens) {
  scored_view v{tokens, {}, {}};
  if constexpr (requires { Score::cached(p, tokens); }) v.tokens = Score::cached(p, tokens);
  if constexpr (requires { Score::forced(p, tokens); }) v.ends = Score::forced(p, tokens);
  if constexpr (requires { Score::partitions(p, tokens); }) v.spans = Score::partitions(p, tokens);
  return v;
}

/// A budget that gives every head a count of its own making, without looking at scores or at other heads.
template <class B>
concept closed_budget = requires(typename B::params const& p, head_shape const& s) {
  { B::count(p, s) } -> cs::same_as<int>;
};

/// A budget whose counts are rankings of scores, of which shapes tell how many there are and what they spend:
/// `rankings(params, rows, rank)` calls rank(counts::ranking) for each, ascending, and every view is in one.
template <class B>
concept ranked_budget = requires { requires B::ranks; };
/// A ranked budget that shares out what a ranking of one view gave its heads:
/// `share(params, heads, tokens, forced, count, scratch)`.
template <class B>
concept shared_ranking = ranked_budget<B> && requires { requires B::shares_ranking; };

/// A budget whose counts are alike in a view and follow from a ranking over the views of a sequence: it has the
/// `rankings` of a ranked budget, `mean(params, tokens)`, what a head keeps on average, and `split`, which makes the
/// counts of the views of a sequence.
template <class B>
concept splits_ranking = requires(typename B::params const& p) {
  requires B::reads_scores;
  { B::mean(p, 1) } -> cs::same_as<int>;
  { B::waits(p, 1) } -> cs::same_as<bool>;
};
/// A budget whose counts are alike in a view and follow from a number of each head: `measure(params, row)` makes it of
/// the head's scores (see host::measured_row), and `split(params, counts::sequence)` the counts of `step(params,
/// views)` views that follow one another. What is forced is that of a head which keeps `asked(params, rows, view)`
/// tokens.
template <class B>
concept measures_rows = requires(typename B::params const& p) {
  requires B::measures;
  { B::step(p, 1) } -> cs::same_as<int>;
};
/// A budget whose counts are alike in a view and follow from numbers of whole views that an aggregate policy measures:
/// `of_layer(params, number, number)` is the preference of a view, and `kept(params, preferences, known, layers, i,
/// tokens, forced)` the count of one of the first `known` views of a sequence, `step(params, views)` of them in a call,
/// of which a head keeps `mean(params, tokens)` on average.
template <class B>
concept reads_statistics = requires(typename B::params const& p) {
  requires B::statistics > 0;
  { B::step(p, 1) } -> cs::same_as<int>;
  { B::mean(p, 1) } -> cs::same_as<int>;
};
/// A budget that ranks what the heads of a view have at the same place when each is sorted: it has the `rankings` of a
/// ranked budget, of views instead of heads.
template <class B>
concept ranks_curves = requires { requires B::ranks_places; };
/// A budget whose counts follow from the shapes of all views: total(params, rows) tokens a head.
template <class B>
concept shape_budget = requires { requires B::reads_shapes; };

/// A row's budget as a share, for a selection that spends it on pieces of the row: chunks, or the tokens of a span.
struct row_share {
  double exact = -1;  ///< the share itself; negative: kept / tokens
  int kept = 0;       ///< what the budget allots to the row
  int tokens = 0;     ///< of the row

  /// What stays of a row that is cut into `pieces`, rounded down.
  [[nodiscard]] KVSIEVE_HD constexpr int of(int pieces) const {
    if (exact >= 0) return static_cast<int>(static_cast<double>(pieces) * exact);
    return tokens == 0 ? 0 : static_cast<int>(cs::int64_t{pieces} * kept / tokens);
  }
};

/// A budget against what is forced; too little where `budget` is less.
struct shortage {
  int budget = 0;                                     ///< what may stay
  int needed = 0;                                     ///< what is forced
  char const* rule = "less than the forced tokens,";  ///< for a status
};

/// A selection whose rows keep another number of tokens than the budget allots, which follows from shapes alone.
template <class S>
concept recounting = requires(typename S::params const& p, row_share const& share) {
  { S::count(p, share) } -> cs::same_as<int>;
};
/// A selection whose rows keep a number of tokens that only the scores tell.
template <class S>
inline constexpr bool counts_float = requires { requires S::counts_float; };
/// A selection by two rows of scores: without the weight, and with it.
template <class S>
inline constexpr bool reads_unweighed = requires { requires S::reads_unweighed; };
/// A selection by scores and by the cosines of neighbouring keys.
template <class S>
inline constexpr bool reads_links = requires { requires S::reads_links; };
/// The class of a selection's plans with a budget of class `budget`; `joined`: all heads of a layer have the same
/// scores.
template <class S>
[[nodiscard]] constexpr uniformity class_of(uniformity budget, bool joined) {
  if constexpr (requires { S::least_uniformity(joined); })
    return budget < S::least_uniformity(joined) ? S::least_uniformity(joined) : budget;
  else
    return budget;
}

/// Budget and selection of a call, before any score is known.
template <class Budget, class Select>
struct selection_rules {
  typename Budget::params budget;  ///< numbers of the budget
  typename Select::params select;  ///< numbers of the selection
  call_shape call;                 ///< views, heads and channels of the call

  /// Tokens that the budget allots to a head of view `v`.
  [[nodiscard]] int allotted(scored_view const& seen, int v, int head = 0) const
    requires closed_budget<Budget>
  {
    head_shape shape{seen.tokens, v, call.views, head, call.heads};
    if constexpr (Select::in_partitions) {
      shape.tokens = seen.spans.length;
      return seen.tokens - seen.spans.count * (seen.spans.length - Budget::count(budget, shape));
    } else {
      return Budget::count(budget, shape);
    }
  }
  /// Tokens that a head of view `v` keeps, where shapes tell.
  [[nodiscard]] int kept(scored_view const& seen, int v, int head = 0) const
    requires closed_budget<Budget>
  {
    return selected(seen, allotted(seen, v, head));
  }
  /// Tokens that a head keeps when the budget allots it `kept`.
  [[nodiscard]] int selected(scored_view const& seen, int kept) const {
    if constexpr (recounting<Select>)
      return Select::count(select, share(seen, kept));
    else
      return kept;
  }
  /// The budget of a head that is allotted `kept` tokens, as a share.
  [[nodiscard]] row_share share(scored_view const& seen, int kept) const {
    if constexpr (requires { Budget::share(budget); })
      return {Budget::share(budget), kept, seen.tokens};
    else
      return {-1, kept, seen.tokens};
  }

  /// Forced tokens of a head that keeps `kept`, before they are cut to that.
  [[nodiscard]] forced_set forced(scored_view const& seen, int kept) const {
    int sink = seen.ends.head, recent = seen.ends.tail;
    forced_set f;
    if constexpr (requires { Budget::forced(budget, seen); }) {
      forced_ends const own = Budget::forced(budget, seen);
      sink = sink < own.head ? own.head : sink;
      recent = recent < own.tail ? own.tail : recent;
    }
    if constexpr (requires { Select::recent(select, kept); }) {
      int const own = Select::recent(select, kept);
      sink = sink < select.sink ? select.sink : sink;
      recent = recent < own ? own : recent;
      f.white_list = select.white_list.data();
      f.white_count = static_cast<int>(select.white_list.size());
    }
    f.tokens = seen.tokens;
    f.sink = sink < seen.tokens ? sink : seen.tokens;
    f.recent = recent < seen.tokens ? recent : seen.tokens;
    return f;
  }
};
}  // namespace kvsieve::inline v0
