// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/host/budget/count_best.hpp>
#include <kvsieve/reference/over_all.hpp>

#include <set>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "scores.hpp"

namespace {

// Rows of scores with forced ends and white lists.
struct competition {
  std::vector<std::vector<float>> score;
  std::vector<std::vector<int>> white_list;
  std::vector<int> sink, recent;

  [[nodiscard]] std::size_t rows() const { return score.size(); }
  [[nodiscard]] kvsieve::forced_set forced(std::size_t i) const {
    return {static_cast<int>(score[i].size()), sink[i], recent[i], white_list[i].data(),
            static_cast<int>(white_list[i].size())};
  }
  [[nodiscard]] kvsieve::index competing() const {
    kvsieve::index n = 0;
    for (std::size_t i = 0; i < rows(); ++i) n += static_cast<kvsieve::index>(score[i].size()) - forced(i).size();
    return n;
  }
};

competition draw_competition(std::uint32_t seed, int rows, int longest, bool forced) {
  std::mt19937 random(seed);
  auto const below = [&](int n) { return n <= 0 ? 0 : static_cast<int>(random() % static_cast<unsigned>(n)); };
  competition c;
  for (int i = 0; i < rows; ++i) {
    int const n = below(4) == 0 ? below(20) : 1 + below(longest);
    c.score.push_back(support::draw_scores(random, below(support::score_kinds), static_cast<std::size_t>(n)));
    c.sink.push_back(forced && below(2) == 0 ? below(n + 1) % 40 : 0);
    c.recent.push_back(forced && below(2) == 0 ? below(n + 1) % 90 : 0);
    std::set<int> listed;
    for (int k = forced && n > 0 ? below(12) : 0; k > 0; --k) listed.insert(below(n));
    c.white_list.emplace_back(listed.begin(), listed.end());
  }
  return c;
}

std::vector<int> count(competition const& c, kvsieve::index total, int executor) {
  kvsieve::index scores = 0;
  for (auto const& s : c.score) scores += kvsieve::round_up<kvsieve::index>(static_cast<kvsieve::index>(s.size()), 16);
  kvsieve::arena counting;
  (void)kvsieve::host::count_best_scratch::carve(counting, static_cast<kvsieve::index>(c.rows()), scores);
  support::workspace memory(counting.used());
  kvsieve::arena a(memory.span());
  auto const scratch = kvsieve::host::count_best_scratch::carve(a, static_cast<kvsieve::index>(c.rows()), scores);
  std::vector<int> out(c.rows());
  support::with_executor(executor, [&](auto const& on) {
    kvsieve::host::count_best(
        on, static_cast<kvsieve::index>(c.rows()),
        [&](kvsieve::index i) {
          auto const r = static_cast<std::size_t>(i);
          return kvsieve::host::competing_row{c.score[r].data(), c.forced(r)};
        },
        total, out.data(), scratch);
    return 0;
  });
  RC_ASSERT(memory.guards_hold());
  return out;
}

// Against a sort: forced tokens taken out of the counts again.
std::vector<int> expected(competition const& c, kvsieve::index total) {
  std::vector<kvsieve::reference::ranked_row> rows;
  for (std::size_t i = 0; i < c.rows(); ++i) {
    auto const f = c.forced(i);
    kvsieve::reference::ranked_row r;
    for (int t = 0; t < f.tokens; ++t)
      if (!f.holds(t)) r.score.push_back(static_cast<double>(c.score[i][static_cast<std::size_t>(t)]));
    r.stays.assign(r.score.size(), false);
    rows.push_back(r);
  }
  return kvsieve::reference::over_all(rows, total);
}
}  // namespace

TEST_CASE("count_best: counts are those of a sort, for any number of workers") {
  CHECK(support::holds("count_best: counts are those of a sort", 400, [] {
    auto const seed = *rc::gen::arbitrary<std::uint32_t>();
    int const rows = *rc::gen::resize(100, rc::gen::inRange(1, 12));
    int const longest = *rc::gen::resize(100, rc::gen::element(40, 300, 3000));
    auto const c = draw_competition(seed, rows, longest, *rc::gen::arbitrary<bool>());
    auto const all = static_cast<int>(c.competing());
    int const total = *rc::gen::resize(
        100, rc::gen::weightedOneOf<int>(
                 {{1, rc::gen::just(0)},
                  {1, rc::gen::just(all)},
                  {1, rc::gen::inRange(0, std::min(all, 3) + 1)},
                  {1, rc::gen::map(rc::gen::inRange(0, std::min(all, 3) + 1), [all](int x) { return all - x; })},
                  {6, rc::gen::inRange(0, all + 1)}}));
    auto const want = expected(c, total);
    for (int executor = 0; executor < 3; ++executor) RC_ASSERT(count(c, total, executor) == want);
  }));
}

TEST_CASE("count_best: every total of one competition, ties among them") {
  for (int const kind : {1, 2, 4, 5}) {
    std::mt19937 random(7);
    competition c;
    for (int i = 0; i < 5; ++i) {
      c.score.push_back(support::draw_scores(random, kind, 37));
      c.sink.push_back(i);
      c.recent.push_back(2 * i);
      c.white_list.push_back({11, 20});
    }
    for (kvsieve::index total = 0; total <= c.competing(); ++total) {
      CAPTURE(kind, total);
      CHECK(count(c, total, 1) == expected(c, total));
    }
  }
}

TEST_CASE("count_best: a sample that misleads costs a second pass, not the result") {
  // What is sampled (every step-th score) is unlike the rest, so the cut lies outside the bracket.
  kvsieve::index const n = 3 * kvsieve::host::count_best_scratch::samples;
  for (bool const sampled_are_large : {false, true}) {
    competition c;
    for (int i = 0; i < 2; ++i) {
      std::vector<float> s(static_cast<std::size_t>(n));
      for (std::size_t t = 0; t < s.size(); ++t) {
        std::size_t const place = t + static_cast<std::size_t>(i) * s.size();
        bool const sampled = place % 7 == 0;  // all / samples + 1 = 7
        s[t] = static_cast<float>(t % 1000) + (sampled == sampled_are_large ? 5000.0f : 0.0f);
      }
      c.score.push_back(s);
      c.sink.push_back(0);
      c.recent.push_back(0);
      c.white_list.push_back({});
    }
    for (kvsieve::index const total : {n / 10, n / 2, n, n + n / 2}) {
      CAPTURE(sampled_are_large, total);
      CHECK(count(c, total, 0) == expected(c, total));
      CHECK(count(c, total, 2) == expected(c, total));
    }
  }
}
