// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/worst_case_and_mean.hpp>
#include <kvsieve/reference/mean.hpp>

#include "accumulators.hpp"

namespace {
using namespace kvsieve;
}

TEST_CASE("worst_case_and_mean: the row beside the worst case is the mean over queries and group, also in parts") {
  constexpr int tokens = 300, window = 70, group = 3, heads = 2;
  for (auto const what : {support::content::normal, support::content::non_finite}) {
    support::layer<float, 64> const l{heads, group, tokens, window, support::layout::packed, what, 7};
    using driver = host::score_per_query<score::attention<>, aggregate::worst_case_and_mean, aggregate::group_max>;
    using plain = compressor<score::attention<>, aggregate::worst_case, aggregate::group_max>;
    auto const view = l.const_view();
    auto const queries = l.queries.view();
    cs::span<decltype(view) const> const layers(&view, 1);
    cs::span<decltype(queries) const> const asked(&queries, 1);
    host::on const on;
    observe::window::params const observed{.window = window};
    arena measuring;
    (void)driver::carve(measuring, layers, asked, 1, observed, {}, {});
    support::workspace memory(measuring.used());
    arena a(memory.span());
    auto const d = driver::carve(a, layers, asked, 1, observed, {}, {});
    std::vector<float> rows(static_cast<std::size_t>(heads * score_stride(tokens)));
    kvsieve::index const start = 0;
    d.run(on, layers, asked, {rows.data(), &start});
    CHECK(memory.guards_hold());
    auto const fold = [](auto p, int n, auto score) { reference::mean(p, n, score); };
    std::vector<float> whole;
    for (int h = 0; h < heads; ++h) {
      auto const e = support::attention_reference(l, h, group, window, fold, reference::group_mean);
      float const* const got = d.beside_rows().row(0, h, tokens);
      whole.insert(whole.end(), got, got + tokens);
      for (std::size_t t = 0; t < tokens; ++t) {
        CAPTURE(h, t);
        if (std::isnan(e.score[t]))
          CHECK(std::isnan(got[t]));
        else
          CHECK(std::abs(static_cast<double>(got[t]) - e.score[t]) <= e.bound[t]);
      }
    }
    // The first row is what it is without the second.
    std::vector<support::layer<float, 64>> one{l};
    auto const p = support::make_plan<plain>(0, one, {.score = {.window = window}});
    for (int h = 0; h < heads; ++h)
      for (int t = 0; t < tokens - window; ++t) {
        float const x = p.plan.scores(0, h)[static_cast<std::size_t>(t)],
                    y = rows[static_cast<std::size_t>(h * score_stride(tokens) + t)];
        CHECK((x == y || (std::isnan(x) && std::isnan(y))));
      }
    // In parts of 64 queries and the rest.
    std::vector<float> state(static_cast<std::size_t>(driver::state_floats(layers, asked, observed)));
    for (auto const& [first, count] : {std::pair{0, 64}, {64, window - 64}}) {
      auto const part = make_rows<64>(l.queries.view().data_handle() + kvsieve::index{first} * 64, group * heads, count,
                                      kvsieve::index{window} * 64, 64);
      d.run(on, layers, cs::span<decltype(part) const>(&part, 1), {rows.data(), &start}, state.data(), first);
    }
    for (int h = 0; h < heads; ++h)
      for (int t = 0; t < tokens; ++t) {
        float const x = d.beside_rows().row(0, h, tokens)[t], y = whole[static_cast<std::size_t>(h * tokens + t)];
        CHECK((x == y || (std::isnan(x) && std::isnan(y))));
      }
  }
}
