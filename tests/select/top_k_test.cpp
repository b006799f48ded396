// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/top_k.hpp>

#include <set>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "scripted.hpp"

namespace {
namespace reference = kvsieve::reference;

// Scores in which everything happens that a selection has to tell apart.
std::vector<float> draw_scores(std::mt19937& random, int kind, std::size_t count) {
  std::normal_distribution<float> normal;
  float const few[] = {0.0f, -0.0f, 1.0f, -1.0f, NAN, -NAN, HUGE_VALF, -HUGE_VALF, 0x1p-149f, -0x1p-149f};
  std::vector<float> scores(count);
  for (std::size_t i = 0; i < count; ++i) {
    float& x = scores[i];
    if (kind == 0) x = normal(random);
    if (kind == 1) x = few[random() % std::size(few)];
    if (kind == 2) x = 0.5f;                                                        // all equal
    if (kind == 3) x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));  // any bits
    if (kind == 4) x = 1.0f + 0x1p-23f * static_cast<float>(random() % 7);          // neighbours
    if (kind == 5) x = static_cast<float>(random() % 3) * 1e-3f - static_cast<float>(i % 2);
    if (kind == 6) x = -static_cast<float>(i);  // sorted
    if (kind == 7) x = NAN;
  }
  return scores;
}

struct selection {
  int sink = 0, recent = 0;
  std::vector<int> white_list;
};
selection draw_selection(int shortest) {
  auto const few = [](int most) {
    return rc::gen::resize(100,
                           rc::gen::weightedOneOf<int>(
                               {{2, rc::gen::just(0)}, {2, rc::gen::inRange(0, 9)}, {1, rc::gen::inRange(0, most)}}));
  };
  selection chosen{*few(shortest + 3), *few(shortest + 3), {}};
  if (*rc::gen::arbitrary<bool>()) {
    auto const listed =
        *rc::gen::resize(20, rc::gen::container<std::set<int>>(rc::gen::resize(100, rc::gen::inRange(0, shortest))));
    chosen.white_list.assign(listed.begin(), listed.end());
  }
  return chosen;
}

// Plans over scores of the test's own and holds the kept lists against the reference's, which have to be equal.
template <class C, class Params, class Recent>
void check(support::shape const& s, int kind, Params select, selection const& chosen, double keep, int limit,
           Recent const& recent) {
  int const longest = *std::max_element(s.tokens.begin(), s.tokens.end());
  std::mt19937 random(s.seed);
  auto const table = draw_scores(random, kind, static_cast<std::size_t>(s.views() * s.kv_heads * longest));
  select.sink = chosen.sink;
  select.white_list = {chosen.white_list.data(), chosen.white_list.size()};
  auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
  auto const p = support::make_plan<C>(s.executor, layers,
                                       {.score = {.table = table.data(), .stride = longest},
                                        .budget = {.keep = keep, .tokens = limit},
                                        .select = select});
  RC_ASSERT(static_cast<bool>(p.plan));
  RC_ASSERT(p.memory.guards_hold());
  bool budget_under_forced = false;
  for (int v = 0; v < s.views(); ++v) {
    int const tokens = s.tokens[static_cast<std::size_t>(v)];
    int const count = kvsieve::budget::uniform::count({.keep = keep, .tokens = limit}, {.tokens = tokens});
    reference::forced_tokens const forced{chosen.sink, recent(count), chosen.white_list};
    int forced_count = 0;
    for (int t = 0; t < tokens; ++t)
      forced_count += reference::reason_of(t, tokens, forced) != reference::reason::score;
    budget_under_forced = budget_under_forced || forced_count > count;
    for (int h = 0; h < s.kv_heads; ++h) {
      float const* const row = table.data() + (v * s.kv_heads + h) * longest;
      auto const want = reference::top_k(std::vector<double>(row, row + tokens), count, forced);
      auto const kept = p.plan.kept(v, h);
      RC_ASSERT(std::vector<int>(kept.begin(), kept.end()) == want);
      support::expected e(tokens);
      for (int t = 0; t < tokens; ++t) e.score[static_cast<std::size_t>(t)] = static_cast<double>(row[t]);
      support::assert_scores(p.plan, v, h, e, forced);
    }
  }
  RC_ASSERT(static_cast<bool>(p.plan.note) == !budget_under_forced);
}
}  // namespace

TEST_CASE("top_k: kept tokens are the reference's, exactly") {
  CHECK(support::holds("top_k: kept tokens are the reference's, exactly", 400, [] {
    auto const s = *support::shapes(1, 3001);
    auto const chosen = draw_selection(s.shortest());
    int const kind = *rc::gen::resize(100, rc::gen::inRange(0, 8));
    double const keep = *support::fractions();
    int const limit = *rc::gen::element(-1, -1, -1, 0, 1, 2, 17, 100000);
    check<kvsieve::compressor<support::scripted>>(s, kind, kvsieve::select::top_k::params{.recent = chosen.recent},
                                                  chosen, keep, limit, [&](int) { return chosen.recent; });
  }));
}

TEST_CASE("heavy_hitters: kept tokens are the reference's, exactly") {
  CHECK(support::holds("heavy_hitters: kept tokens are the reference's, exactly", 200, [] {
    auto const s = *support::shapes(1, 3001);
    auto const chosen = draw_selection(s.shortest());
    int const kind = *rc::gen::resize(100, rc::gen::inRange(0, 8));
    double const keep = *support::fractions(), share = *support::fractions();
    check<kvsieve::compressor<support::scripted, kvsieve::select::heavy_hitters>>(
        s, kind, kvsieve::select::heavy_hitters::params{.recent_share = share}, chosen, keep, -1,
        [&](int count) { return static_cast<int>(std::floor(count * share)); });
  }));
}

TEST_CASE("top_k: one long row, every count") {
  support::shape s;
  s.tokens = {70000};
  auto const layers = support::make_layers<kvsieve::f16, 64, false>(s, [](int) { return 1; });
  for (int kind = 0; kind < 8; ++kind) {
    std::mt19937 random(static_cast<unsigned>(kind));
    auto const table = draw_scores(random, kind, 70000);
    std::vector<double> const row(table.begin(), table.end());
    for (int const count : {0, 1, 2, 63, 4096, 35000, 69999, 70000}) {
      CAPTURE(kind, count);
      auto const p = support::make_plan<kvsieve::compressor<support::scripted>>(
          1, layers, {.score = {.table = table.data(), .stride = 70000}, .budget = {.tokens = count}});
      REQUIRE(p.plan);
      auto const kept = p.plan.kept(0, 0);
      CHECK(std::vector<int>(kept.begin(), kept.end()) == reference::top_k(row, count));
    }
  }
}

TEST_CASE(
    "top_k: where the budget is smaller than the forced tokens, recent ones go first, then sinks, then the list") {
  support::shape s;
  s.tokens = {20};
  auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
  std::vector<float> const table(20, 9.0f);
  int const listed[] = {7, 9};
  std::vector<int> const want[] = {{},
                                   {7},
                                   {7, 9},
                                   {0, 7, 9},
                                   {0, 1, 7, 9},
                                   {0, 1, 7, 9, 19},
                                   {0, 1, 7, 9, 18, 19},
                                   {0, 1, 7, 9, 17, 18, 19},
                                   {0, 1, 2, 7, 9, 17, 18, 19}};
  for (int count = 0; count < 9; ++count) {
    CAPTURE(count);
    auto const p = support::make_plan<kvsieve::compressor<support::scripted>>(
        0, layers,
        {.score = {.table = table.data(), .stride = 20},
         .budget = {.tokens = count},
         .select = {.sink = 2, .recent = 3, .white_list = {listed, 2}}});
    REQUIRE(p.plan);
    auto const kept = p.plan.kept(0, 0);
    CHECK(std::vector<int>(kept.begin(), kept.end()) == want[count]);
    CHECK(static_cast<bool>(p.plan.note) == (count >= 7));
    if (count < 7) {
      char buffer[200];
      auto const note = std::string(p.plan.note.message(buffer));
      CAPTURE(note);
      CHECK(note.find(std::to_string(count)) != std::string::npos);  // the budget
      CHECK(note.find('7') != std::string::npos);                    // the forced tokens
    }
  }
}
