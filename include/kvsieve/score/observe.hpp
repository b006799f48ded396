// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which queries are observed: the tags of score::attention with a single set of queries. Each names the keys its
// queries see (core/query_set.hpp), what is forced, and what it refuses. The queries given to a call are [Hq, W, D];
// the last ones of them are observed.
#pragma once
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/query_set.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace observe {

/// What observations share: one set of queries, nothing forced, all tokens of the view are the cache's.
struct base {
  using params = no_params;  ///< none
  /// Sets of queries.
  template <class Params>
  static constexpr int set_count(Params const&, int /*tokens*/) {
    return 1;
  }
  /// Last tokens of a view that are the observed queries' own: seen by these, not scored, and no part of the plan.
  template <class Params>
  static constexpr int own(Params const&, int /*tokens*/) {
    return 0;
  }
  /// What stays whatever the scores; its tail is not scored.
  template <class Params>
  static constexpr forced_ends forced(Params const&, int /*tokens*/) {
    return {};
  }
  /// Ok, or what does not fit a view of `tokens` to which `given` queries came.
  template <class Params>
  static constexpr status fits(Params const&, int /*tokens*/, double /*given*/) {
    return {};
  }
  /// The last `count` queries of the prompt, under a causal mask.
  static constexpr query_set causal(int count, int tokens) { return {count, 1, tokens - count, 0, 0, -1}; }
  /// `count` queries that see every key.
  static constexpr query_set unmasked(int count) { return {count, 1, -1, 0, 0, -1}; }
};

/// The last `window` queries; the window's own tokens are not scored but forced.
struct window : base {
  /// Its number.
  struct params {
    int window = 64;  ///< queries
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("window", self.window, "tokens", "last queries that are observed; their tokens stay");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::at_least("score.window", window, 1); }
  };
  /// The window.
  static constexpr query_set set(params const& p, int tokens, int) { return causal(p.window, tokens); }
  /// The window's tokens.
  static constexpr forced_ends forced(params const& p, int) { return {0, p.window}; }
  /// Refuses a window longer than the view.
  static constexpr status fits(params const& p, int tokens, double) {
    return p.window <= tokens
               ? status{}
               : fail(errc::bad_params, "score.window", p.window, "must be at most the number of tokens,", tokens);
  }
};

/// As window, and the queries may see only what is in front of it: the window's own tokens then take no share.
struct window_or_front : window {
  /// Its numbers.
  struct params {
    int window = 64;       ///< queries
    bool sees_own = true;  ///< they see the window's tokens up to their own, too
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("window", self.window, "tokens", "last queries that are observed; their tokens stay");
      visit("sees_own", self.sees_own, "", "they see the window's tokens up to their own; else those in front of it");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::at_least("score.window", window, 1); }
  };
  /// The window.
  static constexpr query_set set(params const& p, int tokens, int) {
    return p.sees_own ? causal(p.window, tokens) : query_set{p.window, 1, -1, 0, 0, tokens - p.window};
  }
  /// The window's tokens.
  static constexpr forced_ends forced(params const& p, int) { return {0, p.window}; }
  /// Refuses a window longer than the view, or one with nothing in front of it that has to be seen.
  static constexpr status fits(params const& p, int tokens, double) {
    if (!p.sees_own && p.window >= tokens)
      return fail(errc::bad_params, "score.window", p.window, "must be less than the number of tokens,", tokens);
    return p.window <= tokens
               ? status{}
               : fail(errc::bad_params, "score.window", p.window, "must be at most the number of tokens,", tokens);
  }
};

/// The last query; its own token is forced.
struct last : base {
  /// The query.
  static constexpr query_set set(params const&, int tokens, int) { return causal(1, tokens); }
  /// Its token.
  static constexpr forced_ends forced(params const&, int) { return {0, 1}; }
};

/// All queries of the prompt; every token is scored. Cost grows with N^2, memory with N.
struct all : base {
  /// All of them.
  static constexpr query_set set(params const&, int tokens, int) { return causal(tokens, tokens); }
};

/// The last `window` queries, or as many as there are tokens; every token is scored and none is forced (Scissorhands,
/// arXiv 2305.17118).
struct history : base {
  /// Its number.
  struct params {
    int window = 256;  ///< queries; 0: all
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("window", self.window, "tokens", "last queries that are observed; 0: all of the prompt");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::at_least("score.window", window, 0); }
  };
  /// The window.
  static constexpr query_set set(params const& p, int tokens, int) {
    return causal(p.window == 0 || p.window > tokens ? tokens : p.window, tokens);
  }
};

/// The last queries of the prompt without a mask: each sees every key, also those after it; every token is scored
/// (NACL, arXiv 2408.03675).
struct proxy : base {
  /// Its numbers.
  struct params {
    double share = 0.01;  ///< of the tokens whose queries are proxies, at least one
    int queries = -1;     ///< how many; -1: as `share` says
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("share", self.share, "fraction", "of the prompt whose last queries are the proxies");
      visit("queries", self.queries, "queries", "that are the proxies; -1: as share says");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      status const s =
          range::all(range::within("score.share", share, 0, 1), range::at_least("score.queries", queries, -1));
      return s && queries == 0 ? range::at_least("score.queries", queries, 1) : s;
    }
  };
  /// The proxies.
  static constexpr query_set set(params const& p, int tokens, int) {
    int const by_share = static_cast<int>(p.share * tokens);
    return unmasked(p.queries > 0 ? p.queries : by_share < 1 ? 1 : by_share);
  }
};

/// Queries of a draft that stands behind the cache, whose own keys are no part of it: each sees every key. Before them
/// come the last `window` queries of the prompt, whose tokens are forced; 0: none (Lookahead Q-Cache, arXiv
/// 2505.20334).
struct lookahead : base {
  /// Its numbers.
  struct params {
    int queries = 8;         ///< of the draft
    int window = 8;          ///< of the prompt, before them
    bool as_source = false;  ///< all of them under the mask that they had as the last queries of the prompt
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("queries", self.queries, "queries", "of the draft, the last ones given");
      visit("window", self.window, "tokens", "last queries of the prompt, given before them; their tokens stay");
      visit("as_source", self.as_source, "", "mask the draft as if it were the end of the prompt, as the authors do");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      // Their sum has to be an int.
      return range::all(range::within("score.queries", queries, 1, 1 << 29),
                        range::within("score.window", window, 0, 1 << 29));
    }
  };
  /// The prompt's queries are a set, where there are any, and the draft's.
  static constexpr int set_count(params const& p, int) { return p.window == 0 || p.as_source ? 1 : 2; }
  /// The prompt's, then the draft's.
  static constexpr query_set set(params const& p, int tokens, int s) {
    if (p.as_source) return causal(p.window + p.queries, tokens);
    return s == 0 && p.window > 0 ? causal(p.window, tokens) : unmasked(p.queries);
  }
  /// The prompt's window.
  static constexpr forced_ends forced(params const& p, int) { return {0, p.window}; }
  /// Refuses a window longer than the view.
  static constexpr status fits(params const& p, int tokens, double) {
    double const reach = double{1} * p.window + (p.as_source ? p.queries : 0);
    return reach <= tokens
               ? status{}
               : fail(errc::bad_params, "score.window", reach, "must be at most the number of tokens,", tokens);
  }
};
}  // namespace observe
}  // namespace kvsieve::inline v0
