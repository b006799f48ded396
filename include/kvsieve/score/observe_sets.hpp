// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Observations of several sets of queries: those the caller describes, and the chunks of a reconstruction pass.
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/rules.hpp>
#include <kvsieve/score/observe.hpp>

namespace kvsieve::inline v0 {
namespace observe {

/// Factors of the probabilities of each query, [views, queries], or none.
using query_scales = cs::span<float const>;
/// Ok, or what is wrong with them.
[[nodiscard]] constexpr status check_scales(query_scales scale, double queries, int views) {
  if (scale.empty()) return {};
  status s = range::entries("score.scale", static_cast<double>(scale.size()), queries * views);
  for (cs::size_t i = 0; s && i < scale.size(); ++i)
    s = range::within("score.scale", static_cast<double>(scale[i]), 0, 1e30);
  return s;
}

/// Sets of queries that the caller describes: their numbers, weights, positions and what they see. The queries given
/// are those of all sets, in their order, and no others. With `own`, the last tokens of the view are keys of the
/// queries themselves: seen, not scored, no part of the plan, whose N leaves them out.
struct sets : base {
  /// Its numbers.
  struct params {
    cs::span<query_set const> sets{};  ///< at least one; the caller's memory
    int own = 0;                       ///< last tokens of the view that are the queries' own
    int sink = 0;                      ///< first tokens that stay
    int recent = 0;                    ///< last tokens of the cache that stay and are not scored
    query_scales scale{};              ///< [views, queries]: factors of their probabilities; the host alone has them
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("own", self.own, "tokens", "last of the view that are the queries' own and no part of the cache");
      visit("sink", self.sink, "tokens", "first of the cache that stay");
      visit("recent", self.recent, "tokens", "last of the cache that stay and are not scored");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      double count = 0;
      status each{};
      for (auto const& set : sets) {
        count += set.count;
        each = range::all(each, range::at_least("score.sets.count", set.count, 1));
      }
      return range::all(each, range::at_most("score.sets.count, summed,", count, 1 << 30),
                        range::at_least("score.sets", static_cast<double>(sets.size()), 1),
                        range::at_least("score.own", own, 0), range::at_least("score.sink", sink, 0),
                        range::at_least("score.recent", recent, 0), check_scales(scale, count, call.views));
    }
  };
  /// As many as given.
  static constexpr int set_count(params const& p, int) { return static_cast<int>(p.sets.size()); }
  /// As given.
  static constexpr query_set set(params const& p, int, int s) { return p.sets[static_cast<cs::size_t>(s)]; }
  /// The queries' own tokens.
  static constexpr int own(params const& p, int) { return p.own; }
  /// Sinks and recent tokens.
  static constexpr forced_ends forced(params const& p, int) { return {p.sink, p.recent}; }
  /// Refuses sets that do not lie in the view, or whose queries are not those given.
  static constexpr status fits(params const& p, int tokens, double given) {
    status s = p.own < tokens
                   ? status{}
                   : fail(errc::bad_params, "score.own", p.own, "must be less than the number of tokens,", tokens);
    if (s) s = range::at_most("score.recent", p.recent, tokens - p.own);
    double count = 0, weight = 0;
    for (auto const& set : p.sets) {
      s = s ? set.check(tokens, tokens - p.own) : s;
      count += set.count;
      weight += static_cast<double>(set.weight) * set.count;
    }
    if (s && count != given)
      s = fail(errc::bad_params, "score.sets.count, summed,", count, "must equal the queries given,", given);
    return range::all(s, range::above("score.sets.weight, summed,", weight, 0));
  }
};

/// Tokens [from, to) of the cache, and how many queries reconstruct them.
struct repeated {
  int from = 0;     ///< first token of the chunk
  int to = 0;       ///< one past its last
  int queries = 0;  ///< of its part of the pass: instruction and repeated tokens
};

/// The queries of a pass that repeats the cache chunk after chunk (KVzip, arXiv 2505.23416). A query sees the first
/// `sink` tokens, its chunk, and the keys of its own part of the pass up to itself: the softmax counts them all. The
/// view holds the cache and, behind it, the keys of the whole pass; the queries given are those of the pass. Sinks
/// stay. A pass whose keys are dropped chunk after chunk is several calls, each with one chunk.
struct reconstruction : base {
  /// Its numbers.
  struct params {
    cs::span<repeated const> chunks{};  ///< at least one; the caller's memory
    int sink = 4;                       ///< first tokens of the cache that every query sees; they stay
    query_scales scale{};               ///< [views, queries]: factors of their probabilities; the host alone has them
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first of the cache, which every query sees; they stay");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      double count = 0;
      status each{};
      for (auto const& c : chunks) {
        count += c.queries;
        each = range::all(each, range::at_least("score.chunks.queries", c.queries, 1));
      }
      return range::all(each, range::at_most("score.chunks.queries, summed,", count, 1 << 30),
                        range::at_least("score.chunks", static_cast<double>(chunks.size()), 1),
                        range::at_least("score.sink", sink, 0), check_scales(scale, count, call.views));
    }
  };
  /// One a chunk.
  static constexpr int set_count(params const& p, int) { return static_cast<int>(p.chunks.size()); }
  /// A chunk's queries stand at their own keys.
  static constexpr query_set set(params const& p, int tokens, int s) {
    int position = tokens - own(p, tokens);
    for (int i = 0; i < s; ++i) position += p.chunks[static_cast<cs::size_t>(i)].queries;
    auto const& c = p.chunks[static_cast<cs::size_t>(s)];
    return {c.queries, 1, position, p.sink < c.from ? p.sink : c.from, c.from, c.to};
  }
  /// The keys of the pass.
  static constexpr int own(params const& p, int) {
    int sum = 0;
    for (auto const& c : p.chunks) sum += c.queries;
    return sum;
  }
  /// The sinks.
  static constexpr forced_ends forced(params const& p, int) { return {p.sink, 0}; }
  /// Refuses chunks that do not lie in the cache, or whose queries are not those given.
  static constexpr status fits(params const& p, int tokens, double given) {
    status s{};
    double count = 0;
    for (auto const& c : p.chunks) count += c.queries;
    if (s && count != given)
      s = fail(errc::bad_params, "score.chunks.queries, summed,", count, "must equal the queries given,", given);
    if (s && count >= tokens)
      s = fail(errc::bad_params, "score.chunks.queries, summed,", count, "must be less than the number of tokens,",
               tokens);
    double const cached = tokens - count;
    for (auto const& c : p.chunks)
      s = range::all(s, range::at_least("score.chunks.from", c.from, 0),
                     range::at_least("score.chunks.to", c.to, double{1} * c.from + 1),
                     range::at_most("score.chunks.to", c.to, cached));
    return s;
  }
};
}  // namespace observe
}  // namespace kvsieve::inline v0
