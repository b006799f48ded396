// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Page bounds and the pages that Quest's own code selects by them.
#include "golden.hpp"

namespace {
using namespace kvsieve;

constexpr int pages = 48, page = 16;

/// One query head as a cache of its own, planned by C.
template <class C>
struct of_query_head {
  support::workspace memory{0};
  token_plan plan;
  of_query_head(tool::dump_layer const& inputs, int query_head, typename C::params const& params) {
    auto const head = [](tool::tensor const& t, int which) {
      return make_rows<golden::head_dim>(t.as<float>() + which * t.shape[1] * golden::head_dim, 1,
                                         static_cast<int>(t.shape[1]));
    };
    kv_layer const cache{head(inputs.keys, query_head / 3), head(inputs.values, query_head / 3)};
    auto const queries = head(inputs.queries, query_head);
    host::on const on;
    memory = support::workspace(workspace_bytes<C>(on, cache, queries, params));
    plan = kvsieve::plan<C>(on, cache, queries, params, memory.span());
    REQUIRE(plan);
  }
  [[nodiscard]] std::vector<int> kept_pages() const {
    std::vector<int> all;
    for (int const t : plan.kept(0, 0))
      if (t % page == 0) all.push_back(t / page);
    CHECK(plan.kept(0, 0).size() == all.size() * page);
    return all;
  }
};
}  // namespace

TEST_CASE("page_bound gives the bounds of Quest's own code, and whole pages by them are its pages") {
  auto const source = golden::read_json("quest.json");
  for (int const layer : {0, 9, 21}) {
    auto const inputs = golden::read_layer(layer);
    auto const want = golden::read_table("quest.safetensors", "quest." + std::to_string(layer) + ".page_score");
    for (int q = 0; q < 9; ++q) {
      CAPTURE(layer, q);
      auto const bounds = want.row(q);
      for (auto const& [name, count] : {std::pair{"quest_budget64", 4}, {"quest_budget200", 12}}) {
        // No page is forced in the form that the authors evaluate: chunks as long as pages.
        of_query_head<compressor<score::page_bound<>, select::chunks, store::ragged>> const p(
            inputs, q, {.budget = {.keep = static_cast<double>(count) / pages}, .select = {.length = page}});
        auto const scores = p.plan.scores(0, 0);
        for (std::size_t t = 0; t < scores.size(); ++t)
          CHECK(std::abs(scores[t] - bounds[t / page]) <= 1e-4f * std::abs(bounds[t / page]));
        auto const pages_of_source =
            source[name]["kept"][std::to_string(layer)][static_cast<std::size_t>(q)].get<std::vector<int>>();
        CHECK(p.kept_pages() == pages_of_source);
        // The preset has the newest page beside the best of the others.
        of_query_head<quest<>> const with_newest(inputs, q, {.budget = {.tokens = count * page}});
        auto expected = pages_of_source;
        if (expected.back() != pages - 1) {
          expected.erase(std::min_element(expected.begin(), expected.end(), [&](int a, int b) {
            return bounds[static_cast<std::size_t>(a)] < bounds[static_cast<std::size_t>(b)];
          }));
          expected.push_back(pages - 1);
        }
        CHECK(with_newest.kept_pages() == expected);
      }
    }
  }
}

TEST_CASE("quest takes the largest bound of the query heads of a group") {
  for (int const layer : {0, 9, 21}) {
    auto const want = golden::read_table("quest.safetensors", "quest." + std::to_string(layer) + ".page_score");
    golden::plan_of_layer<quest<>> const p(layer, {.budget = {.keep = 0.25}});
    for (int h = 0; h < 3; ++h)
      for (std::size_t t = 0; t < golden::tokens - page; ++t) {
        float largest = -HUGE_VALF;
        for (int g = 0; g < 3; ++g) largest = std::max(largest, want.row(3 * h + g)[t / page]);
        CHECK(std::abs(p.plan.scores(0, h)[t] - largest) <= 1e-4f * std::abs(largest));
      }
  }
}
