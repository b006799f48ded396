// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Selections that cut a row into pieces: chunks, windows, pages, top-k in chunks and in spans.
#include <kvsieve/reference/chunks.hpp>
#include <kvsieve/reference/pages.hpp>
#include <kvsieve/reference/top_k_in_chunks.hpp>
#include <kvsieve/reference/top_k_in_spans.hpp>
#include <kvsieve/reference/windows.hpp>

#include <catch2/catch_all.hpp>

#include "raw_scores.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using budget_params = budget::uniform::params;

rc::Gen<int> lengths() { return rc::gen::resize(100, rc::gen::element(1, 2, 5, 16, 20, 64, 1000)); }

// Forced tokens of one piece stay: as many of its tokens as the plan's mask holds.
template <class Select>
std::string refusal(typename Select::params const& p, int tokens = 100) {
  support::raw_scores scores(1, 0, 1, {tokens});
  auto const c = support::choose_on<budget::uniform, Select>(host::on{}, scores.get(), {}, p);
  CHECK(!c.plan);
  return support::message_of(c.plan.state);
}
template <class Select>
std::vector<int> kept_of(support::raw_scores& scores, budget_params const& b, typename Select::params const& p) {
  auto const c = support::choose_on<budget::uniform, Select>(host::on{}, scores.get(), b, p);
  REQUIRE(c.plan);
  return c.kept[0];
}
std::vector<int> tokens_between(std::initializer_list<std::pair<int, int>> ranges) {
  std::vector<int> all;
  for (auto const& [from, to] : ranges)
    for (int t = from; t < to; ++t) all.push_back(t);
  return all;
}
}  // namespace

TEST_CASE("chunks: whole chunks as the reference keeps them, for any number of threads") {
  CHECK(support::holds("chunks: as the reference", 250, [] {
    auto c = support::draw_choice();
    int const length = *lengths();
    auto const p = c.forced.in(select::chunks::params{.length = length});
    support::assert_choice<budget::uniform, select::chunks>(c, {.keep = c.keep}, p, [&](int v, int h) {
      return reference::chunks(c.scores.row(v, h), length, c.keep, c.forced.reference());
    });
  }));
}

TEST_CASE("windows: as the reference keeps them before the scorer's suffix") {
  CHECK(support::holds("windows: as the reference", 250, [] {
    forced_ends const ends{0, *rc::gen::resize(100, rc::gen::inRange(0, 40))};
    auto c = support::draw_choice(700, ends);
    int const length = *lengths();
    auto const p = c.forced.in(select::windows::params{.length = length, .group = 1});
    support::assert_choice<budget::uniform, select::windows>(c, {.keep = c.keep}, p, [&](int v, int h) {
      auto const row = c.scores.row(v, h);
      int const n = static_cast<int>(row.size()), suffix = std::min(ends.tail, n);
      return reference::windows(row, length, suffix, static_cast<int>(std::floor(n * c.keep)),
                                c.forced.reference(ends));
    });
  }));
}

TEST_CASE("windows: layers of a group take the windows of the first one") {
  CHECK(support::holds("windows: groups", 60, [] {
    int const n = *support::token_counts(1, 300), group = *rc::gen::resize(100, rc::gen::inRange(1, 5));
    support::raw_scores scores(*rc::gen::arbitrary<std::uint32_t>(), 0, 2, {n, n, n, n, n, n, n, n, n, n});
    support::choice_case c{std::move(scores), {}, *support::fractions(), 3};
    // Two sequences of five layers, or layers that the caller names.
    int const named[] = {0, 1, 7, 8, 9, 0, 1, 7, 8, 9};
    bool const names = *rc::gen::arbitrary<bool>();
    select::windows::params p{.length = 8, .group = group, .layers = 5};
    if (names) p.layer = named;
    auto const layer = [&](int v) { return names ? named[v] : v % 5; };
    support::assert_choice<budget::uniform, select::windows>(c, {.keep = c.keep}, p, [&](int v, int h) {
      int first = v / 5 * 5;
      while (layer(first) / group != layer(v) / group) ++first;
      return reference::windows(c.scores.row(first, h), 8, 0, static_cast<int>(std::floor(n * c.keep)));
    });
  }));
}

TEST_CASE("pages: whole pages as the reference keeps them, the newest always") {
  CHECK(support::holds("pages: as the reference", 250, [] {
    auto c = support::draw_choice();
    int const page = *lengths();
    auto const p = c.forced.in(select::pages::params{.page = page});
    auto const plan = support::assert_choice<budget::uniform, select::pages>(c, {.keep = c.keep}, p, [&](int v, int h) {
      auto const row = c.scores.row(v, h);
      int const budget = static_cast<int>(std::floor(static_cast<double>(row.size()) * c.keep));
      return reference::pages(row, page, budget, c.forced.reference());
    });
    RC_ASSERT(plan.uniformity_class == uniformity::U1);
  }));
}

TEST_CASE("top_k_in_chunks: as the reference keeps them") {
  CHECK(support::holds("top_k_in_chunks: as the reference", 250, [] {
    auto c = support::draw_choice();
    int const length = *lengths();
    auto const p = c.forced.in(select::top_k_in_chunks::params{.length = length});
    support::assert_choice<budget::uniform, select::top_k_in_chunks>(c, {.keep = c.keep}, p, [&](int v, int h) {
      return reference::top_k_in_chunks(c.scores.row(v, h), length, c.keep, c.forced.reference());
    });
  }));
}

TEST_CASE("top_k_in_spans: fair shares and quotas, as the reference keeps them") {
  CHECK(support::holds("top_k_in_spans: as the reference", 250, [] {
    int const n = *support::token_counts(1, 700);
    support::raw_scores scores(*rc::gen::arbitrary<std::uint32_t>(),
                               *rc::gen::resize(100, rc::gen::inRange(0, support::score_kinds)), 2, {n, n});
    auto const forced = support::draw_forced(n);
    support::choice_case c{std::move(scores), forced, *support::fractions(),
                           *rc::gen::resize(100, rc::gen::inRange(1, 9))};
    std::vector<int> begin{0}, spans{0};
    for (int const cut : *rc::gen::resize(
             6, rc::gen::container<std::vector<int>>(rc::gen::resize(100, rc::gen::inRange(1, std::max(2, n)))))) {
      if (cut < n) begin.push_back(cut);
    }
    std::sort(begin.begin(), begin.end());
    begin.erase(std::unique(begin.begin(), begin.end()), begin.end());
    for (std::size_t i = 1; i < begin.size(); ++i) spans.insert(spans.end(), {begin[i], begin[i]});
    spans.push_back(n);
    std::vector<int> quota;
    if (*rc::gen::arbitrary<bool>())
      for (std::size_t i = 0; i < begin.size(); ++i)
        quota.push_back(*rc::gen::resize(100, rc::gen::inRange(0, spans[2 * i + 1] - spans[2 * i] + 1)));
    auto p = c.forced.in(select::top_k_in_spans::params{});
    p.spans = {spans.data(), spans.size()};
    p.quota = {quota.data(), quota.size()};
    int const budget = static_cast<int>(std::floor(n * c.keep));
    support::assert_choice<budget::uniform, select::top_k_in_spans>(c, {.keep = c.keep}, p, [&](int v, int h) {
      auto const row = c.scores.row(v, h);
      auto const f = c.forced.reference();
      auto const want = quota.empty() ? reference::top_k_in_spans(row, begin, budget, f)
                                      : reference::top_k_of_each(row, begin, quota, f);
      if (quota.empty()) RC_ASSERT(static_cast<int>(want.size()) == budget);
      return want;
    });
  }));
}

TEST_CASE("a budget that reads scores goes with every way to cut a row") {
  using budget::over_heads;
  CHECK(support::holds("pieces under AdaKV's budget", 60, [] {
    auto c = support::draw_choice(300);
    int const length = *lengths();
    over_heads::params const b{.keep = c.keep};
    auto const counts = support::choose_on<over_heads, select::top_k>(host::on{}, c.scores.get(), b,
                                                                      c.forced.in(select::top_k::params{}));
    RC_ASSERT(static_cast<bool>(counts.plan));
    auto const allotted = [&](int v, int h) {
      return static_cast<int>(counts.kept[static_cast<std::size_t>(v * c.scores.heads + h)].size());
    };
    auto const pages = support::assert_choice<over_heads, select::pages>(
        c, b, c.forced.in(select::pages::params{.page = length}), [&](int v, int h) {
          return reference::pages(c.scores.row(v, h), length, allotted(v, h), c.forced.reference());
        });
    RC_ASSERT(pages.uniformity_class == uniformity::U3);
    support::assert_choice<over_heads, select::top_k_in_chunks>(
        c, b, c.forced.in(select::top_k_in_chunks::params{.length = length}), [&](int v, int h) {
          // floor(pieces * allotted / tokens) in whole numbers
          auto const row = c.scores.row(v, h);
          std::vector<int> begin, quota;
          for (int t = 0, n = static_cast<int>(row.size()); t < n; t += length) {
            begin.push_back(t);
            quota.push_back(std::max(1, std::min(length, n - t) * allotted(v, h) / n));
          }
          return reference::top_k_of_each(row, begin, quota, c.forced.reference());
        });
  }));
}

TEST_CASE("chunks: a quarter of 39 chunks is nine, and a forced token takes its chunk along") {
  support::raw_scores scores(1, 2, 1, {768});  // all equal: the front wins
  CHECK(kept_of<select::chunks>(scores, {.keep = 0.25}, {.length = 20}) == tokens_between({{0, 180}}));
  int const listed[] = {399, 400};
  CHECK(
      kept_of<select::chunks>(scores, {.keep = 0.25}, {.length = 20, .sink = 21, .recent = 9, .white_list = listed}) ==
      tokens_between({{0, 100}, {380, 420}, {740, 768}}));
  // Nothing is less than a chunk, but for rows that have none.
  CHECK(kept_of<select::chunks>(scores, {.keep = 0.001}, {.length = 20}).size() == 20);
  CHECK(kept_of<select::chunks>(scores, {.keep = 0.25}, {.length = 1000}).size() == 192);
}

TEST_CASE("chunks: what is not finite neither raises nor lowers its chunk") {
  support::raw_scores scores(1, 2, 1, {9});
  float const row[] = {1, NAN, 1, 2, -HUGE_VALF, HUGE_VALF, NAN, NAN, NAN};
  std::copy(std::begin(row), std::end(row), scores.data.begin());
  CHECK(kept_of<select::chunks>(scores, {.keep = 0.34}, {.length = 3}) == tokens_between({{3, 6}}));
  CHECK(kept_of<select::chunks>(scores, {.keep = 0.67}, {.length = 3}) == tokens_between({{0, 6}}));
}

TEST_CASE("pages: a page of the whole row, and budgets about the newest page") {
  support::raw_scores scores(1, 2, 1, {40});  // pages of 16, 16 and 8
  auto const count = [&](int budget, int page) {
    return kept_of<select::pages>(scores, {.tokens = budget}, {.page = page}).size();
  };
  CHECK(count(0, 16) == 8);
  CHECK(count(8, 16) == 8);
  CHECK(count(23, 16) == 8);
  CHECK(count(24, 16) == 24);
  CHECK(count(39, 16) == 24);
  CHECK(count(40, 16) == 40);
  CHECK(count(10, 40) == 40);
  CHECK(count(10, 100) == 40);
}

TEST_CASE("a budget below the forced pieces is kept, and the note says so") {
  support::raw_scores scores(1, 0, 1, {100});
  auto const note = [&](auto select, auto const& p, int tokens) {
    auto const c =
        support::choose_on<budget::uniform, decltype(select)>(host::on{}, scores.get(), {.tokens = tokens}, p);
    REQUIRE(c.plan);
    return c.plan.note ? std::string() : support::message_of(c.plan.note);
  };
  using select::chunks, select::pages, select::top_k_in_chunks, select::top_k_in_spans, select::windows;
  CHECK(note(chunks{}, chunks::params{.length = 10, .recent = 31}, 30) ==
        "view 0: budget is 3, chunks, less than those with forced tokens, 4");
  CHECK(note(chunks{}, chunks::params{.length = 10, .recent = 31}, 40).empty());
  CHECK(note(pages{}, pages::params{.page = 8}, 3) == "view 0: budget is 3, less than the newest page, 4");
  CHECK(note(pages{}, pages::params{.page = 8}, 11) ==
        "view 0: budget is 0, pages beside the newest, less than those with forced tokens, 1");
  CHECK(note(pages{}, pages::params{.page = 8}, 12).empty());
  CHECK(note(windows{}, windows::params{.length = 10, .sink = 11}, 10) ==
        "view 0: budget is 1, windows, less than those with forced tokens, 2");
  CHECK(note(top_k_in_chunks{}, top_k_in_chunks::params{.length = 10, .recent = 4}, 30) ==
        "view 0: budget is 3, in a chunk, less than its forced tokens, 4");
  int const spans[] = {0, 50, 50, 100}, quota[] = {10, 2};
  CHECK(note(top_k_in_spans{}, top_k_in_spans::params{.spans = spans, .quota = quota, .recent = 3}, 30) ==
        "view 0: budget is 2, in a span, less than its forced tokens, 3");
  CHECK(note(top_k_in_spans{}, top_k_in_spans::params{.spans = spans, .recent = 31}, 30) ==
        "view 0: budget is 30, less than the forced tokens, 31");
}

TEST_CASE("pieces refuse what does not fit, and say so") {
  CHECK(refusal<select::chunks>({.length = 0}) == "select.length is 0, must be at least 1");
  CHECK(refusal<select::chunks>({.recent = -1}) == "select.recent is -1, must be at least 0");
  CHECK(refusal<select::windows>({.length = 0}) == "select.length is 0, must be at least 1");
  CHECK(refusal<select::windows>({.group = 0}) == "select.group is 0, must be at least 1");
  int const layers[] = {0, 1};
  CHECK(refusal<select::windows>({.layer = layers}) == "select.layer is 2, entries; it must have 1");
  CHECK(refusal<select::pages>({.page = 0}) == "select.page is 0, must be at least 1");
  int const far[] = {3, 100};
  CHECK(refusal<select::pages>({.white_list = far}) ==
        "view 0: select.white_list is 100, must be less than the number of tokens, 100");
  CHECK(refusal<select::top_k_in_chunks>({.length = -5}) == "select.length is -5, must be at least 1");
  using spans = select::top_k_in_spans;
  int const odd[] = {0, 50, 50}, overlap[] = {0, 50, 40, 100}, gap[] = {0, 50, 60, 100}, late[] = {1, 100},
            empty[] = {0, 50, 50, 50, 50, 100}, backwards[] = {0, 50, 50, 20}, brief[] = {0, 50, 50, 99},
            behind[] = {0, 50, 50, 101}, whole[] = {0, 50, 50, 100};
  CHECK(refusal<spans>({.spans = odd}) == "select.spans is 3, entries; it must have 4");
  CHECK(refusal<spans>({.spans = overlap}) ==
        "view 0: select.spans is 40, overlaps the span before it, which ends at 50");
  CHECK(refusal<spans>({.spans = gap}) ==
        "view 0: select.spans is 60, leaves a gap behind the span before it, which ends at 50");
  CHECK(refusal<spans>({.spans = late}) ==
        "view 0: select.spans is 1, leaves a gap behind the span before it, which ends at 0");
  CHECK(refusal<spans>({.spans = empty}) ==
        "view 0: select.spans is 50, must be greater than the begin of its span, 50");
  CHECK(refusal<spans>({.spans = backwards}) ==
        "view 0: select.spans is 20, must be greater than the begin of its span, 50");
  CHECK(refusal<spans>({.spans = brief}) ==
        "view 0: select.spans is 99, is where they end, which must be the number of tokens, 100");
  CHECK(refusal<spans>({.spans = behind}) ==
        "view 0: select.spans is 101, is where they end, which must be the number of tokens, 100");
  int const one[] = {5}, much[] = {5, 51}, negative[] = {-1, 5};
  CHECK(refusal<spans>({.spans = whole, .quota = one}) == "select.quota is 1, entries; it must have 2");
  CHECK(refusal<spans>({.spans = whole, .quota = much}) ==
        "view 0: select.quota is 51, must be at most the tokens of its span, 50");
  CHECK(refusal<spans>({.spans = whole, .quota = negative}) == "view 0: select.quota is -1, must be at least 0");
  CHECK(refusal<spans>({.quota = one}) == "select.quota is 1, entries; it must have 0");
}
