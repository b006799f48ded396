// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From the columns of a KV head to its scores, once all observed queries are folded.
#pragma once
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/host/score/fold_queries.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Folded, class Grouped>
struct query_results {
  static constexpr int lanes = fragment::lanes;
  static constexpr int states = Folded::states;
  static constexpr int statistics = statistics_of<Folded>;

  typename Folded::params const& folding;
  typename Grouped::params const& grouping;
  cs::span<query_set const> sets;
  index view, head;

  /// The accumulator's result, the group's, and NaN where a key is not finite.
  template <class Exec, class Layer>
  void write(Exec const& on, Layer const& l, query_scratch const& c, query_columns const& column, float* score) const {
    index const tokens = column.tokens;
    float queries = 0;
    for (query_set const& set : sets) queries += set.weight * static_cast<float>(set.count);
    on.sweep(segments_of(tokens), false, [&](index segment, int worker) {
      index const first = segment * segment_rows, last = first + segment_rows < tokens ? first + segment_rows : tokens;
      if constexpr (Folded::linear && Grouped::additive) {
        for (index t = first; t < last; ++t) {
          float const state[1] = {column.data[t]};
          observation<float> const o{queries, observers(t, tokens)};
          score[t] = Grouped::result(Folded::result(folding, state, o), column.group);
        }
      } else {
        double* const measured = c.measured + segment * statistics;
        for (int k = 0; k < statistics; ++k) measured[k] = 0;
        for (index t = first; t < last; t += lanes) join_heads_at(t, last, queries, column, measured, score);
      }
      for (index b = first / key_block; b * key_block < last; ++b) {
        if (c.bad[b] == ~0ull)  // no query saw the block, or all its keys are bad
          c.bad[b] = load_keys(l.keys, head, b * key_block, c.room + worker * key_block * Layer::head_dim).bad;
        for (int j = 0; c.bad[b] != 0 && j < key_block && b * key_block + j < tokens; ++j)
          if ((c.bad[b] >> j & 1u) != 0) score[b * key_block + j] = __builtin_nanf("");
      }
    });
  }

  /// Joins what the segments measured.
  void add_measured(query_scratch const& c, index tokens, double* of_head) const {
    for (int k = 0; k < statistics; ++k) {
      of_head[k] = 0;
      for (index segment = 0; segment < segments_of(tokens); ++segment)
        of_head[k] += c.measured[segment * statistics + k];
    }
  }

 private:
  /// Observed queries that see token t, each counted with its weight.
  [[nodiscard]] float observers(index t, index tokens) const {
    float sum = 0;
    for (query_set const& set : sets)
      sum += set.weight * static_cast<float>(set.observers(static_cast<int>(t), static_cast<int>(tokens)));
    return sum;
  }

  // Scores of tokens [t, t + lanes) before `last`.
  void join_heads_at(index t, index last, float queries, query_columns const& column, [[maybe_unused]] double* measured,
                     float* score) const {
    float joined[lanes], each[lanes];
    for (int j = 0; j < lanes; ++j) each[j] = t + j < column.tokens ? observers(t + j, column.tokens) : 1.0f;
    observation<fragment> const o{queries, load(each)};
    for (int g = 0; g < column.group; ++g) {
      fragment state[states];
      for (int k = 0; k < states; ++k) state[k] = load(column.data + (g * states + k) * column.stride + t);
      if constexpr (statistics > 0) {
        fragment part[statistics];
        Folded::measure(folding, state, o, part);
        for (int k = 0; k < statistics; ++k)
          for (int j = 0; j < lanes && t + j < column.past; ++j) measured[k] += static_cast<double>(part[k][j]);
      }
      fragment result = Folded::result(folding, state, o);
      [[maybe_unused]] index const query_head = head * column.group + g;
      if constexpr (weighs_heads<Grouped>) result = result * fragment(Grouped::head_weight(grouping, view, query_head));
      if constexpr (weighs_tokens<Grouped>) {
        float const* const weight = Grouped::token_weights(grouping, view, query_head) + t;
        float of_token[lanes];
        for (int j = 0; j < lanes; ++j) of_token[j] = t + j < column.tokens ? weight[j] : 0.0f;
        result = result * load(of_token);
      }
      store(g == 0 ? joined : each, result);
      for (int j = 0; g > 0 && j < lanes; ++j) joined[j] = Grouped::combine(joined[j], each[j]);
    }
    for (int j = 0; j < lanes && t + j < last; ++j) score[t + j] = Grouped::result(joined[j], column.group);
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
