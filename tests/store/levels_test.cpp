// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/store/levels.hpp>

#include <catch2/catch_all.hpp>

#include <numeric>
#include <random>

#include "generators.hpp"
#include "workspace.hpp"

namespace store_tests {
namespace {
using kvsieve::index, kvsieve::token_plan;

// A plan that keeps random tokens; scores are of few values, so that many are equal.
struct random_plan {
  int views, heads;
  std::vector<int> tokens, list;
  std::vector<index> offset, score_offset;
  std::vector<float> score;

  explicit random_plan(std::uint32_t seed) {
    std::mt19937 random(seed);
    auto const below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint32_t>(n)); };
    views = 1 + below(3);
    heads = 1 + below(4);
    offset.push_back(0);
    for (int v = 0; v < views; ++v) {
      tokens.push_back(1 + below(60));
      score_offset.push_back(static_cast<index>(score.size()));
      int const keep = below(4);
      for (int h = 0; h < heads; ++h) {
        for (int t = 0; t < tokens.back(); ++t)
          if (below(3) < keep) list.push_back(t);
        offset.push_back(static_cast<index>(list.size()));
        for (int t = 0; t < kvsieve::score_stride(tokens.back()); ++t) {
          float const values[] = {0.5f, 1.0f, -2.0f, INFINITY, -INFINITY, std::nanf("")};
          score.push_back(below(2) == 0 ? values[below(6)] : static_cast<float>(below(1000)));
        }
      }
    }
  }
  [[nodiscard]] token_plan view() const {
    token_plan p;
    p.views = views;
    p.heads = heads;
    p.logical_tokens = tokens.data();
    p.offset = offset.data();
    p.list = list.data();
    p.score = score.data();
    p.score_offset = score_offset.data();
    return p;
  }
};

struct place {
  int view, head, token;
  bool operator==(place const&) const = default;
};
std::vector<place> places(token_plan const& p) {
  std::vector<place> all;
  for (int v = 0; v < p.views; ++v)
    for (int h = 0; h < p.heads; ++h)
      for (int const t : p.kept(v, h)) all.push_back({v, h, t});
  return all;
}
}  // namespace

TEST_CASE("levels: entries are divided by rank over everything, and every part is a plan") {
  CHECK(support::holds("levels: entries by rank", 300, [] {
    random_plan const r(*rc::gen::arbitrary<std::uint32_t>());
    auto const plan = r.view();
    int const parts = *rc::gen::inRange(1, 5);
    std::vector<index> entries;
    for (int p = 0; p < parts; ++p) entries.push_back(*rc::gen::inRange<index>(0, 80));
    std::vector<token_plan> divided(static_cast<std::size_t>(parts));
    support::workspace memory(kvsieve::store::divide_by_score_workspace_bytes(plan, parts));
    RC_ASSERT(static_cast<bool>(
        kvsieve::store::divide_by_score(plan, kvsieve::cs::span<index const>(entries.data(), entries.size()),
                                        memory.span(), kvsieve::cs::span<token_plan>(divided.data(), divided.size()))));
    RC_ASSERT(memory.guards_hold());
    auto ranked = places(plan);
    auto const score = [&](place const& p) {
      float const s = plan.scores(p.view, p.head)[static_cast<std::size_t>(p.token)];
      return std::isnan(s) ? -INFINITY : s;
    };
    std::stable_sort(ranked.begin(), ranked.end(), [&](auto const& a, auto const& b) { return score(a) > score(b); });
    std::size_t first = 0;
    for (int p = 0; p < parts; ++p) {
      bool const last = p + 1 == parts;
      std::size_t const end =
          last ? ranked.size()
               : std::min(ranked.size(), first + static_cast<std::size_t>(entries[static_cast<std::size_t>(p)]));
      std::vector<place> want(ranked.begin() + static_cast<std::ptrdiff_t>(first),
                              ranked.begin() + static_cast<std::ptrdiff_t>(end));
      std::sort(want.begin(), want.end(), [](auto const& a, auto const& b) {
        return std::tuple(a.view, a.head, a.token) < std::tuple(b.view, b.head, b.token);
      });
      RC_ASSERT(places(divided[static_cast<std::size_t>(p)]) == want);
      first = end;
    }
  }));
}

TEST_CASE("windows: sinks and recent entries stay as they were, whole tiles between them are encoded") {
  CHECK(support::holds("windows", 300, [] {
    random_plan const r(*rc::gen::arbitrary<std::uint32_t>());
    auto const plan = r.view();
    kvsieve::store::windows const rule{
        .sink = *rc::gen::inRange(0, 5), .recent = *rc::gen::inRange(0, 20), .tile = *rc::gen::element(1, 4, 16)};
    token_plan parts[2];
    support::workspace memory(kvsieve::store::divide_workspace_bytes(plan, 2));
    RC_ASSERT(
        static_cast<bool>(kvsieve::store::divide(plan, rule, memory.span(), kvsieve::cs::span<token_plan>(parts, 2))));
    RC_ASSERT(memory.guards_hold());
    for (int v = 0; v < plan.views; ++v)
      for (int h = 0; h < plan.heads; ++h) {
        int const n = plan.count(v, h), middle = parts[0].count(v, h);
        auto const all = plan.kept(v, h), encoded = parts[0].kept(v, h), plain = parts[1].kept(v, h);
        RC_ASSERT(middle % rule.tile == 0);
        RC_ASSERT(n - middle >= std::min(n, rule.sink + rule.recent));
        RC_ASSERT(n - middle < rule.sink + rule.recent + rule.tile || middle == 0);
        std::vector<int> joined(plain.begin(), plain.begin() + std::min(rule.sink, parts[1].count(v, h)));
        if (middle == 0) joined.assign(plain.begin(), plain.end());
        joined.insert(joined.end(), encoded.begin(), encoded.end());
        if (middle > 0) joined.insert(joined.end(), plain.begin() + rule.sink, plain.end());
        RC_ASSERT(joined == std::vector<int>(all.begin(), all.end()));
      }
  }));
}

TEST_CASE("levels: bytes become entries, and are refused where they cannot") {
  using level = kvsieve::store::levels::level;
  level const three[] = {{0.3, 100}, {0.4, 80}, {0.3, 50}};
  kvsieve::store::levels const l{{three, 3}};
  REQUIRE(l.check());
  index entries[3];
  CHECK(l.entries(10000, {entries, 3}) == 30 + 50 + 60);
  CHECK(entries[0] == 30);
  CHECK(entries[1] == 50);
  CHECK(entries[2] == 60);
  l.share_out(141, {entries, 3});
  CHECK(entries[0] + entries[1] + entries[2] == 141);
  CHECK(entries[0] == 30);
  level const half[] = {{0.3, 100}, {0.3, 80}};
  CHECK_FALSE(kvsieve::store::levels{{half, 2}}.check());
  level const none[] = {{1, 0}};
  CHECK_FALSE(kvsieve::store::levels{{none, 1}}.check());
  CHECK_FALSE(kvsieve::store::levels{}.check());
}

TEST_CASE("divide refuses parts that are not there and memory that is too small, and changes nothing") {
  random_plan const r(7);
  auto const plan = r.view();
  token_plan parts[2];
  parts[0].heads = parts[1].heads = -5;
  support::workspace memory(kvsieve::store::divide_workspace_bytes(plan, 2));
  kvsieve::cs::span<token_plan> const out(parts, 2);
  CHECK(kvsieve::store::divide(
            plan, [](int, int, int) { return 2; }, memory.span(), out)
            .code == kvsieve::errc::bad_params);
  CHECK(kvsieve::store::divide(
            plan, [](int, int, int) { return 0; }, memory.span().first(64), out)
            .code == kvsieve::errc::workspace_too_small);
  index const negative[] = {-1, 2};
  CHECK(kvsieve::store::divide_by_score(plan, {negative, 2}, memory.span(), out).code == kvsieve::errc::bad_params);
  CHECK(kvsieve::store::divide(plan, kvsieve::store::windows{.tile = 0}, memory.span(), out).code ==
        kvsieve::errc::bad_params);
  CHECK(parts[0].heads == -5);
  CHECK(parts[1].heads == -5);
}
}  // namespace store_tests
