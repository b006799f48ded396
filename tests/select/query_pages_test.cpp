// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/pages.hpp>

#include <catch2/catch_all.hpp>

#include "raw_scores.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
}

TEST_CASE("query_pages: whole pages as the reference keeps them, none forced but the newest unless params say so") {
  CHECK(support::holds("query_pages: as the reference", 150, [] {
    auto c = support::draw_choice();
    bool const wide = *rc::gen::arbitrary<bool>();
    auto const check = [&]<int Page>() {
      auto const p = c.forced.in(typename select::query_pages<Page>::params{});
      auto const plan =
          support::assert_choice<budget::uniform, select::query_pages<Page>>(c, {.keep = c.keep}, p, [&](int v, int h) {
            auto const row = c.scores.row(v, h);
            int const budget = static_cast<int>(std::floor(static_cast<double>(row.size()) * c.keep));
            return reference::pages(row, Page, budget, c.forced.reference());
          });
      RC_ASSERT(plan.uniformity_class == uniformity::U1);
    };
    wide ? check.template operator()<64>() : check.template operator()<16>();
  }));
}

TEST_CASE("query_pages refuse what does not fit, and say when a budget has no room for the newest page") {
  support::raw_scores scores(1, 0, 1, {100});
  auto const choose = [&](double keep, select::query_pages<>::params const& p) {
    return support::choose_on<budget::uniform, select::query_pages<>>(host::on{}, scores.get(), {.keep = keep}, p);
  };
  CHECK(support::message_of(choose(0.5, {.page = 0}).plan.state) == "select.page is 0, must be at least 1");
  CHECK(support::message_of(choose(0.5, {.sink = -1}).plan.state) == "select.sink is -1, must be at least 0");
  auto const c = choose(0.02, {});
  CHECK(c.kept[0] == std::vector<int>{96, 97, 98, 99});
  CHECK(support::message_of(c.plan.note).find("less than the newest page") != std::string::npos);
}
