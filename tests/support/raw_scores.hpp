// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores that a test writes down, and choices among them without a cache.
#pragma once
#include <memory>
#include <vector>

#include <kvsieve/kvsieve.hpp>

#include "planned.hpp"
#include "scores.hpp"

namespace support {

/// Rows of scores for every view and head, of different lengths.
struct raw_scores {
  std::vector<kvsieve::scored_view> seen;
  std::vector<kvsieve::index> offset;
  std::vector<float> data, weighed;
  int heads;

  raw_scores(std::uint32_t seed, int kind, int heads_of_each, std::vector<int> const& tokens,
             kvsieve::forced_ends ends = {})
      : heads(heads_of_each) {
    std::mt19937 random(seed);
    kvsieve::index size = 0;
    for (int const n : tokens) {
      seen.push_back({n, ends, {}});
      offset.push_back(size);
      size += heads * kvsieve::score_stride(n);
    }
    data = draw_scores(random, kind, static_cast<std::size_t>(size));
    weighed = draw_scores(random, kind, static_cast<std::size_t>(size));
  }
  [[nodiscard]] kvsieve::token_scores get(bool both = false) {
    kvsieve::token_scores s;
    s.shape = {views(), heads, 64};
    s.seen = seen.data();
    s.score = data.data();
    s.score_offset = offset.data();
    s.weighed = both ? weighed.data() : nullptr;
    return s;
  }
  [[nodiscard]] int views() const { return static_cast<int>(seen.size()); }
  [[nodiscard]] std::vector<double> row(int view, int head, bool second = false) const {
    auto const v = static_cast<std::size_t>(view);
    float const* const from =
        (second ? weighed : data).data() + offset[v] + head * kvsieve::score_stride(seen[v].tokens);
    return {from, from + seen[v].tokens};
  }
};

/// Kept lists of a choice, view after view, head after head.
struct chosen_lists {
  kvsieve::token_plan plan;
  workspace memory{0};
  std::vector<std::vector<int>> kept;
};

/// choose_tokens() with a workspace of exactly the size asked for. Lists lie one behind another.
template <class Budget, class Select, class Exec>
chosen_lists choose_on(Exec const& on, kvsieve::token_scores const& scores, typename Budget::params const& budget,
                       typename Select::params const& select) {
  chosen_lists c;
  c.memory = workspace(kvsieve::choose_tokens_workspace_bytes<Budget, Select>(on, scores, budget, select));
  c.plan = kvsieve::choose_tokens<Budget, Select>(on, scores, budget, select, c.memory.span());
  if (!c.plan) return c;
  for (int v = 0; v < c.plan.views; ++v)
    for (int h = 0; h < c.plan.heads; ++h) c.kept.emplace_back(c.plan.kept(v, h).begin(), c.plan.kept(v, h).end());
  return c;
}

/// Forced tokens of a case, and the members of params that say so.
struct forced_case {
  int sink = 0, recent = 0;
  std::vector<int> white_list;
  [[nodiscard]] kvsieve::reference::forced_tokens reference(kvsieve::forced_ends const& ends = {}) const {
    return {std::max(sink, ends.head), std::max(recent, ends.tail), white_list};
  }
  template <class Params>
  [[nodiscard]] Params in(Params p) const {
    p.sink = sink;
    p.recent = recent;
    p.white_list = {white_list.data(), white_list.size()};
    return p;
  }
};
/// Forced tokens for rows of at least `shortest` tokens; none of them in half of the cases.
inline forced_case draw_forced(int shortest) {
  auto const few = rc::gen::resize(
      100, rc::gen::weightedOneOf<int>(
               {{4, rc::gen::just(0)}, {2, rc::gen::inRange(0, 9)}, {1, rc::gen::inRange(0, shortest + 3)}}));
  forced_case f{*few, *few, {}};
  if (*rc::gen::resize(100, rc::gen::inRange(0, 3)) != 0) return f;
  auto const listed =
      *rc::gen::resize(20, rc::gen::container<std::vector<int>>(rc::gen::resize(100, rc::gen::inRange(0, shortest))));
  f.white_list = listed;
  std::sort(f.white_list.begin(), f.white_list.end());
  f.white_list.erase(std::unique(f.white_list.begin(), f.white_list.end()), f.white_list.end());
  return f;
}

/// One random call: scores of every kind, rows of different lengths, on any executor.
struct choice_case {
  raw_scores scores;
  forced_case forced;
  double keep;
  int threads;
};
inline choice_case draw_choice(int most = 700, kvsieve::forced_ends ends = {}) {
  auto const tokens = *views_of(1, most);
  int const shortest = *std::min_element(tokens.begin(), tokens.end());
  raw_scores scores(*rc::gen::arbitrary<std::uint32_t>(), *rc::gen::resize(100, rc::gen::inRange(0, score_kinds)),
                    *rc::gen::resize(100, rc::gen::inRange(1, 4)), tokens, ends);
  auto const forced = draw_forced(shortest);
  return {std::move(scores), forced, *fractions(), *rc::gen::resize(100, rc::gen::inRange(1, 9))};
}

/// Chooses on one thread and on `c.threads`, and asserts that both give the lists that want(view, head) gives.
template <class Budget, class Select, class Want>
kvsieve::token_plan assert_choice(choice_case& c, typename Budget::params const& budget,
                                  typename Select::params const& select, Want const& want, bool both = false) {
  auto const scores = c.scores.get(both);
  auto const alone = choose_on<Budget, Select>(kvsieve::host::on{}, scores, budget, select);
  char line[200];
  if (!alone.plan) RC_FAIL(std::string(alone.plan.state.message(line)));
  RC_ASSERT(alone.memory.guards_hold());
  kvsieve::host::team team{c.threads};
  auto const together = choose_on<Budget, Select>(kvsieve::host::on{team}, scores, budget, select);
  RC_ASSERT(together.kept == alone.kept);
  kvsieve::index lists = 0;
  for (int v = 0; v < c.scores.views(); ++v)
    for (int h = 0; h < c.scores.heads; ++h) {
      auto const i = static_cast<std::size_t>(v * c.scores.heads + h);
      RC_ASSERT(alone.kept[i] == want(v, h));
      RC_ASSERT(alone.plan.offset[i] == lists);
      lists += static_cast<kvsieve::index>(alone.kept[i].size());
    }
  RC_ASSERT(alone.plan.offset[c.scores.views() * c.scores.heads] == lists);
  return alone.plan;
}
}  // namespace support
