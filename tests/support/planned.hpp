// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Runs plan() over one or several random layers, and holds what it says against the reference.
#pragma once
#include <cmath>
#include <thread>
#include <vector>

#include <rapidcheck.h>

#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/top_k.hpp>

#include "cache.hpp"
#include "generators.hpp"
#include "workspace.hpp"

namespace support {

/// The kinds of executor behind one type, so that what a test calls is compiled once.
struct any_executor {
  enum { calling_thread, team, backwards } kind;

  template <class Job>
  void operator()(int n, Job const& job) const {
    static kvsieve::host::team standing{workers};
    if (kind == team) return standing.run(job);
    for (int i = n; i-- > 0;) job(i);
  }
  [[nodiscard]] kvsieve::host::on<kvsieve::host::detail::caller_pool<any_executor>> on() const {
    return {kind == calling_thread ? 1 : kind == team ? workers : 4, *this};
  }

 private:
  static constexpr int workers = 3;
};
/// Calls f(executor): in the calling thread, on a standing team, or by a parallel-for that goes backwards.
template <class F>
auto with_executor(int which, F const& f) {
  static constexpr any_executor all[] = {
      {any_executor::calling_thread}, {any_executor::team}, {any_executor::backwards}};
  return f(all[which].on());
}

/// One random layer for each view of a shape; `query_tokens(N)` says how many queries a view of N tokens has.
template <class T, int D, bool Strided, class QueryTokens>
std::vector<layer<T, D, Strided>> make_layers(shape const& s, QueryTokens const& query_tokens) {
  std::vector<layer<T, D, Strided>> layers;
  std::uint32_t seed = s.seed;
  for (int const n : s.tokens) layers.emplace_back(s.kv_heads, s.group, n, query_tokens(n), s.where, s.what, seed++);
  return layers;
}

/// A plan and the memory it lies in.
struct planned {
  workspace memory;
  kvsieve::token_plan plan;
};

/// plan<C>() with a workspace of exactly the size that workspace_bytes<C>() asks for.
template <class C, class Layer>
planned make_plan(int executor, std::vector<Layer> const& layers, typename C::params const& params) {
  return with_executor(executor, [&](auto const& on) {
    auto const run = [&](auto const&... views) {
      planned p{workspace(kvsieve::workspace_bytes<C>(on, views..., params)), {}};
      p.plan = kvsieve::plan<C>(on, views..., params, p.memory.span());
      return p;
    };
    std::vector<decltype(layers[0].const_view())> views;
    std::vector<decltype(layers[0].queries.view())> queries;
    for (auto const& l : layers) {
      views.push_back(l.const_view());
      queries.push_back(l.queries.view());
    }
    using view = typename decltype(views)::value_type;
    using query = typename decltype(queries)::value_type;
    kvsieve::cs::span<view const> const all(views.data(), views.size());
    if constexpr (C::observes_queries) {
      if (layers.size() == 1) return run(views[0], queries[0]);
      return run(all, kvsieve::cs::span<query const>(queries.data(), queries.size()));
    } else {
      if (layers.size() == 1) return run(views[0]);
      return run(all);
    }
  });
}

/// What the reference gives for one head, and how far float arithmetic may be from it, token by token.
struct expected {
  std::vector<double> score, bound;
  explicit expected(int tokens) : score(static_cast<std::size_t>(tokens)), bound(static_cast<std::size_t>(tokens)) {}
};

/// Asserts that a plan's scores of one head are the expected ones, forced tokens marked +inf.
inline void assert_scores(kvsieve::token_plan const& plan, int view, int head, expected const& e,
                          kvsieve::reference::forced_tokens const& forced) {
  auto const scores = plan.scores(view, head);
  int const tokens = static_cast<int>(e.score.size());
  RC_ASSERT(static_cast<int>(scores.size()) == tokens);
  for (int t = 0; t < tokens; ++t) {
    auto const i = static_cast<std::size_t>(t);
    double const got = scores[i], want = e.score[i];
    bool agrees;
    if (kvsieve::reference::reason_of(t, tokens, forced) != kvsieve::reference::reason::score)
      agrees = got == HUGE_VAL;
    else if (std::isnan(want))
      agrees = std::isnan(got);
    else if (std::isinf(want))
      agrees = got == want;
    else
      agrees = std::abs(got - want) <= e.bound[i];
    if (!agrees) {
      RC_LOG() << "view " << view << ", head " << head << ", token " << t << ": score " << got << ", reference " << want
               << ", bound " << e.bound[i] << std::endl;
      RC_FAIL("scores differ");
    }
  }
}

/// Asserts that one head keeps what the reference's rule keeps of the plan's own scores, exactly.
inline void assert_selection(kvsieve::token_plan const& plan, int view, int head, int keep,
                             kvsieve::reference::forced_tokens const& forced) {
  auto const scores = plan.scores(view, head);
  std::vector<double> const seen(scores.begin(), scores.end());
  std::vector<int> const want = kvsieve::reference::top_k(seen, keep, forced);
  auto const kept = plan.kept(view, head);
  RC_ASSERT(std::vector<int>(kept.begin(), kept.end()) == want);
}

/// Asserts that what one head keeps is what the reference keeps of its own scores, but for tokens whose scores lie
/// closer to each other than the bounds allow to tell.
inline void assert_kept(kvsieve::token_plan const& plan, int view, int head, int keep, expected const& e,
                        kvsieve::reference::forced_tokens const& forced) {
  std::vector<int> const want = kvsieve::reference::top_k(e.score, keep, forced);
  auto const kept = plan.kept(view, head);
  RC_ASSERT(kept.size() == want.size());
  std::vector<int> mine, theirs;
  std::set_difference(kept.begin(), kept.end(), want.begin(), want.end(), std::back_inserter(mine));
  std::set_difference(want.begin(), want.end(), kept.begin(), kept.end(), std::back_inserter(theirs));
  for (int const a : mine)
    for (int const b : theirs) {
      auto const i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
      RC_ASSERT(e.score[j] - e.score[i] <= e.bound[i] + e.bound[j]);
    }
}

/// The last `tail` and first `head` tokens, as the reference takes them.
[[nodiscard]] inline kvsieve::reference::forced_tokens ends(int head, int tail) { return {head, tail, {}}; }

/// Asserts all of the above and that the plan is well formed, for every head; `expect(view, head)` gives the reference.
template <class Expect, class Forced>
void assert_plan(planned const& p, shape const& s, double keep, Expect const& expect, Forced const& forced) {
  RC_ASSERT(static_cast<bool>(p.plan));
  RC_ASSERT(p.memory.guards_hold());
  RC_ASSERT(p.plan.views == s.views());
  RC_ASSERT(p.plan.heads == s.kv_heads);
  for (int v = 0; v < s.views(); ++v) {
    int const tokens = s.tokens[static_cast<std::size_t>(v)], count = static_cast<int>(std::floor(tokens * keep));
    RC_ASSERT(p.plan.tokens(v) == tokens);
    RC_ASSERT(p.plan.count(v) == count);
    for (int h = 0; h < s.kv_heads; ++h) {
      expected const e = expect(v, h);
      assert_scores(p.plan, v, h, e, forced(tokens));
      assert_selection(p.plan, v, h, count, forced(tokens));
      assert_kept(p.plan, v, h, count, e, forced(tokens));
    }
  }
}
}  // namespace support
