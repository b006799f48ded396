// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/store/levels.hpp>

#include <catch2/catch_all.hpp>

#include <cmath>
#include <numeric>
#include <random>

#include "generators.hpp"
#include "random_plan.hpp"
#include "workspace.hpp"

namespace store_tests {
using kvsieve::index, kvsieve::token_plan;
using support::place, support::places, support::random_plan;

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

TEST_CASE("levels: a plan fills the bytes, and the last level gives way where more fit") {
  using level = kvsieve::store::levels::level;
  CHECK(support::holds("levels: fit", 1000, [] {
    int const count = *rc::gen::inRange(1, 5);
    std::vector<level> of;
    double shares = 0;
    for (int l = 0, size = 1 + *rc::gen::inRange(0, 400); l < count; ++l, size -= *rc::gen::inRange(0, size)) {
      of.push_back({1 + *rc::gen::inRange(0, 9) * 1.0, size});
      shares += of.back().share;
    }
    for (level& l : of) l.share /= shares;
    kvsieve::store::levels const levels{{of.data(), of.size()}};
    RC_ASSERT(static_cast<bool>(levels.check()));
    index const bytes = *rc::gen::inRange<index>(0, 100000), entries = *rc::gen::inRange<index>(0, 2000);
    std::vector<index> got(of.size()), held(of.size());
    index const most = levels.entries(bytes, {held.data(), held.size()});
    levels.fit(bytes, entries, {got.data(), got.size()});
    index sum = 0, taken = 0;
    for (std::size_t l = 0; l < of.size(); ++l) {
      RC_ASSERT(got[l] >= 0);
      sum += got[l];
      taken += got[l] * of[l].entry_bytes;
    }
    RC_ASSERT(sum == entries);
    if (most <= entries) {
      held.back() += entries - most;
      RC_ASSERT(got == held);
      return;
    }
    RC_ASSERT(taken <= bytes);
    // As many are in the levels above as they hold, and no entry of the last level that is used can move up one by one
    // into each of these.
    std::size_t last = of.size() - 1;
    while (last > 0 && got[last] == 0) --last;
    index up = 0;
    for (std::size_t l = 0; l < last; ++l) up += of[l].entry_bytes - of[last].entry_bytes;
    RC_ASSERT(last == 0 || up == 0 || taken + up + of[0].entry_bytes > bytes);
    for (std::size_t l = 0; l + 1 < last; ++l) {  // in the proportions of their shares, but for what was cut
      double const x = of[l].share / of[l].entry_bytes, y = of[l + 1].share / of[l + 1].entry_bytes;
      RC_ASSERT(std::abs(static_cast<double>(got[l]) * y - static_cast<double>(got[l + 1]) * x) <= x + y);
    }
    // More bytes never take an entry from the first level.
    std::vector<index> more(of.size());
    levels.fit(bytes + 500, entries, {more.data(), more.size()});
    RC_ASSERT(more[0] >= got[0]);
  }));
  level const three[] = {{0.3, 100}, {0.4, 80}, {0.3, 50}};
  kvsieve::store::levels const l{{three, 3}};
  index entries[3];
  auto const fit = [&](index bytes, index count) {
    l.fit(bytes, count, {entries, 3});
    return std::vector<index>(entries, entries + 3);
  };
  CHECK(fit(10000, 140) == std::vector<index>{30, 50, 60});
  CHECK(fit(10000, 150) == std::vector<index>{30, 50, 70});  // does not fit; the caller sees it
  CHECK(fit(10000, 120) == std::vector<index>{40, 66, 14});  // 0.003 and 0.005 of 4000 / 0.3 and what rounding cut
  CHECK(fit(10000, 110) == std::vector<index>{60, 50, 0});   // 1200 bytes more than 80 each, 20 an entry
  CHECK(fit(10000, 90) == std::vector<index>{90, 0, 0});
  level const rising[] = {{0.5, 50}, {0.5, 80}};
  CHECK_FALSE(kvsieve::store::levels{{rising, 2}}.check());
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
