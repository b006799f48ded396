// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of the per-query scorers, behind the two of sum_exponentials.hpp: the probabilities of the observed
// queries folded by the accumulator and over the group. Logits are formed anew and never stored.
#pragma once
#include <cmath>

#include <kvsieve/device/score/observed_queries.hpp>
#include <kvsieve/device/score/sum_exponentials.hpp>
#include <kvsieve/device/tile/product_tile.hpp>
#include <kvsieve/device/tile/sum_of_all.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Block (token tile, head, view): the scores of its tokens. Linear accumulators under a group policy that adds fold
/// all query heads at once, others one query head after the other; neither stores a column of probabilities. In parts,
/// a block goes on from the state of its tokens and leaves it, until the last query came.
template <accumulator Aggregate, class Group, class Form, row_view Queries, row_view Keys, bool InParts>
struct fold_queries {
  static_assert(
      !requires { requires Form::joins_group; }, "kvsieve::row_form::softmax_of_largest is formed on the host");
  static_assert(Form::normalises || takes_logits<Aggregate>,
                "kvsieve::row_form::logits goes with an aggregate policy that is linear, or kvsieve::aggregate::max");
  static constexpr bool at_once = Aggregate::linear && Group::additive;
  static constexpr int states = Aggregate::states;
  static constexpr bool pools = pools_tokens<Aggregate>;
  static constexpr int statistics = statistics_of<Aggregate>;
  static_assert(!weighs_heads<Group> || Group::additive,
                "kvsieve: a group policy that weighs its query heads has to be additive");
  static_assert(!weighs_tokens<Group> || !Group::additive,
                "kvsieve: a group policy that weighs the tokens of its query heads is not additive");
  static_assert(!pools || Form::normalises,
                "kvsieve::aggregate::worst_case pools probabilities: use kvsieve::row_form::softmax");
  using params = typename Aggregate::params;

  /// Tokens that a block scores: pools reach beyond them on both sides.
  template <class View>
  [[nodiscard]] KVSIEVE_HD static int step_of(View const& view, int tokens) {
    return tokens - (view.kernel - 1);
  }

  template <block Block>
  struct shared {
    using shape = tile_shape<Block::threads>;
    tile_of_logits<Block, Queries, Keys> tile;
    float state[shape::lines][states][shape::tokens];
    float probability[pools ? shape::rows : 1][shape::tokens];  // before they are pooled
    double measured[statistics > 0 ? Block::threads : 1];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, fold_queries_args<Aggregate, Group, Queries, Keys, InParts> const& a, work w,
                             shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const& view = a.views.part[w.z];
    int const tokens = view.cached;
    int const step_of_tokens = step_of(view, shape::tokens), begin_of_tokens = w.x * step_of_tokens;
    if (w.x >= pieces(tokens, step_of_tokens)) return;
    int const rows = view.rows(), own = begin_of_tokens + b.rank();
    int const first = begin_of_tokens < view.kernel / 2 ? 0 : begin_of_tokens - view.kernel / 2, column = own - first;
    bool const has_token = b.rank() < step_of_tokens && own < tokens;
    auto const tile = b.template tile<shape::columns>();
    [[maybe_unused]] float const* const mass = view.mass + index{w.y} * rows;
    float joined = 0;
    [[maybe_unused]] double measured[statistics > 0 ? statistics : 1] = {};
    bool bad = false;
    int parity = 0;
    s.tile.reset(b);

    int const step = at_once ? rows : view.observed;
    for (int begin = 0; begin < rows; begin += step) {
      // A thread's part for four tokens, and the whole of its own token where lines are joined after every tile.
      float state[4][states], whole[states];
      KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) start(a.params, state[i]);
      start(a.params, whole);
      if constexpr (InParts)
        if (has_token && view.before > 0)
          each_state(view, w.y, begin, own, whole, [](float& x, float& kept) { x = kept; });
      for (int first_row = begin; first_row < begin + step; first_row += shape::rows) {
        int const last_row = begin + step - first_row < shape::rows ? begin + step : first_row + shape::rows;
        // The first tile is formed in any case: it tells which keys are not finite, and syncs after states were read.
        if (first_row != begin && !view.sees_some(first_row, last_row, first, first + shape::tokens)) continue;
        float logit[4][4];
        s.tile.compute(b, view, w.y, first_row, last_row, first, tokens, parity, logit);
        if (has_token) bad = bad || s.tile.bad_key[parity][column] != 0;
        KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
          int const slot = tile.index() * 4 + j, row = first_row + slot;
          if constexpr (pools) {
            KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) s.probability[slot][tile.rank() * 4 + i] = 0.0f;
          }
          if (row >= last_row) continue;
          int const query = row % view.observed + view.before;
          auto const at = view.place_of(row);
          seen_keys const seen = view.set[at.set].seen(at.query, view.cached);
          float weight = Aggregate::weight(a.params, query, all_of(view), seen.count());
          if (view.set[at.set].weight != 1.0f) weight *= query_factor<Aggregate>(view.set[at.set].weight);
          if constexpr (weighs_heads<Group> && at_once) weight *= *weights_of(view, w.y, row / view.observed);
          float log_mass = 0;
          if constexpr (Form::normalises) {
            log_mass = mass[row];
            if (log_mass != log_mass) continue;
          } else {
            if (s.tile.bad_query[parity][slot] != 0) continue;
            weight *= 0.6931471805599453f;  // logits come in units of log2
          }
          if (weight == 0.0f) continue;
          KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
            int const token = first + tile.rank() * 4 + i;
            if (!view.sees(seen, token) || !finite(logit[j][i])) continue;
            float const x = weight * (Form::normalises ? ::exp2f(logit[j][i] - log_mass) : logit[j][i]);
            if constexpr (!pools)
              update(a.params, state[i], x, query);
            else if (token < view.past)
              s.probability[slot][tile.rank() * 4 + i] = x;
          }
        }
        if constexpr (pools) {
          b.sync();
          update_pooled(a.params, view, tile, first, state, s);
        }
        parity ^= 1;
        if constexpr (in_order()) {
          publish(tile, state, s);
          b.sync();
          if (has_token) join_lines(a.params, whole, column, s);
          KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) start(a.params, state[i]);
        }
      }
      if constexpr (!in_order()) {
        publish(tile, state, s);
        b.sync();
      }
      if (has_token) {
        if constexpr (!in_order()) join_lines(a.params, whole, column, s);
        if constexpr (InParts)
          if (!view.ends()) {
            each_state(view, w.y, begin, own, whole, [](float& x, float& kept) { kept = x; });
            continue;
          }
        observation<float> seen{0, 0};
        for (int i = 0; i < view.set_count; ++i) {
          seen.queries += view.set[i].weight * static_cast<float>(view.set[i].count);
          seen.visible += view.set[i].weight * static_cast<float>(view.set[i].observers(own, view.cached));
        }
        if constexpr (statistics > 0) {
          float part[statistics];
          Aggregate::measure(a.params, whole, seen, part);
          KVSIEVE_UNROLL for (int k = 0; k < statistics; ++k) {
            measured[k] += own < view.past ? static_cast<double>(part[k]) : 0.0;
          }
        }
        float result = Aggregate::result(a.params, whole, seen);
        if constexpr (weighs_heads<Group> && !at_once) result *= *weights_of(view, w.y, begin / view.observed);
        if constexpr (weighs_tokens<Group>) result *= weights_of(view, w.y, begin / view.observed)[own];
        joined = begin == 0 ? result : Group::combine(joined, result);
      }
    }
    if constexpr (InParts)
      if (!view.ends()) return;
    if (has_token) view.score[w.y * view.stride + own] = bad ? __builtin_nanf("") : Group::result(joined, view.group);
    if constexpr (statistics > 0) {
      if (view.measured == nullptr) return;
      double* const to = view.measured + (index{w.y} * pieces(tokens, step_of_tokens) + w.x) * statistics;
      for (int k = 0; k < statistics; ++k) {
        double const sum = sum_of_all(b, measured[k], s.measured);
        if (b.rank() == 0) to[k] = sum;
      }
    }
  }

 private:
  /// Observed queries of a view.
  template <class View>
  KVSIEVE_HD static int all_of(View const& view) {
    if constexpr (InParts)
      return view.all;
    else
      return view.observed;
  }
  /// Calls f(number, where it is kept between the calls) for the state of a token.
  template <class View, class F>
  KVSIEVE_HD static void each_state(View const& view, int head, int begin, int token, float (&state)[states],
                                    F const& f) {
    index const first = head * state_rows<Aggregate, Group>(view.group) + index{begin / view.observed} * states;
    KVSIEVE_UNROLL for (int k = 0; k < states; ++k) f(state[k], view.state[(first + k) * view.stride + token]);
  }
  template <class View>
  KVSIEVE_HD static float const* weights_of(View const& view, int head, int of_group) {
    return view.weight + (index{head} * view.group + of_group) * view.weight_stride;
  }
  KVSIEVE_HD static constexpr bool in_order() {
    if constexpr (Aggregate::linear)
      return false;
    else
      return Aggregate::in_order;
  }
  KVSIEVE_HD static void start(params const& p, float (&state)[states]) {
    if constexpr (Aggregate::linear)
      state[0] = 0.0f;
    else if constexpr (Form::normalises)
      Aggregate::init(p, state);
    else
      Aggregate::init_lowest(p, state);
  }
  KVSIEVE_HD static void update(params const& p, float (&state)[states], float x, int query) {
    if constexpr (Aggregate::linear)
      state[0] += x;
    else if constexpr (Aggregate::in_order)
      Aggregate::update(p, state, x, query);
    else
      Aggregate::update(p, state, x);
  }
  /// Updates with what a pool makes of the tile's probabilities; columns whose pool reaches beyond the tile are not
  /// read.
  template <class View, class Tile, class Shared>
  KVSIEVE_HD static void update_pooled(params const& p, View const& view, Tile const& tile, int first,
                                       float (&state)[4][states], Shared const& s) {
    int const reach = view.kernel / 2;
    KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
      int const at = tile.rank() * 4 + i, from = at < reach ? 0 : at - reach;
      int const to = Shared::shape::tokens - 1 - at < reach ? Shared::shape::tokens - 1 : at + reach;
      if (first + at >= view.past) continue;
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        float const* const row = s.probability[tile.index() * 4 + j];
        float pooled = row[from];
        for (int c = from + 1; c <= to; ++c) pooled += row[c];
        Aggregate::update(p, state[i], pooled);
      }
    }
  }
  // Line l of a tile holds its rows 4 l to 4 l + 3, so joining lines in ascending order is the order of the queries.
  template <class Tile, class Shared>
  KVSIEVE_HD static void publish(Tile const& tile, float const (&state)[4][states], Shared& s) {
    KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
      KVSIEVE_UNROLL for (int k = 0; k < states; ++k) s.state[tile.index()][k][tile.rank() * 4 + i] = state[i][k];
    }
  }
  template <class Shared>
  KVSIEVE_HD static void join_lines(params const& p, float (&whole)[states], int token, Shared const& s) {
    for (int line = 0; line < Shared::shape::lines; ++line) {
      float part[states];
      KVSIEVE_UNROLL for (int k = 0; k < states; ++k) part[k] = s.state[line][k][token];
      if constexpr (Aggregate::linear)
        whole[0] += part[0];
      else
        Aggregate::combine(p, whole, part);
    }
  }
};

/// All observed queries of a call.
template <accumulator Aggregate, class Group, class Form, row_view Queries, row_view Keys>
struct fold_queries_body : fold_queries<Aggregate, Group, Form, Queries, Keys, false> {};
/// Some of them.
template <accumulator Aggregate, class Group, class Form, row_view Queries, row_view Keys>
struct fold_part_body : fold_queries<Aggregate, Group, Form, Queries, Keys, true> {};
}  // namespace device
}  // namespace kvsieve::inline v0
