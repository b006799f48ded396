// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Budgets that measure heads or layers, on emulated blocks: the same counts, lists and notes as on the host.
#include "counted_plans.hpp"

#include <kvsieve/budget/composite.hpp>
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/lazy_layers.hpp>
#include <kvsieve/budget/uncertainty.hpp>

using namespace kvsieve_test;
namespace budget = kvs::budget;

TEST_CASE("device counts: layers by how many tokens hold their mass, as on the host", "[device][budget]") {
  CHECK(support::holds("uncertainty", rounds, [] {
    auto const g = support::draw_views(false, 250);
    int const layers = *rc::gen::arbitrary<bool>() ? 1 : 0;
    both_select<budget::uncertainty>(g, {.keep = *support::fractions(),
                                         .tokens = drawn_limit(),
                                         .mass = *support::fractions(),
                                         .least = *support::fractions(),
                                         .layers = layers});
  }));
}

TEST_CASE("device counts: layers by how their heads differ, as on the host", "[device][budget]") {
  CHECK(support::holds("layer_variance", rounds, [] {
    auto const g = support::draw_views(false, 250);
    std::vector<int> layer;
    if (*rc::gen::arbitrary<bool>())
      for (int v = 0; v < g.s.views(); ++v) layer.push_back(*rc::gen::resize(100, rc::gen::inRange(0, 10)));
    both_select<budget::layer_variance>(g, {.keep = *support::fractions(),
                                            .tokens = drawn_limit(),
                                            .whole_first = *rc::gen::element(0, 1, 2),
                                            .whole_last = *rc::gen::element(0, 1),
                                            .layers = layer.empty() ? 0 : 10,
                                            .layer = layer});
  }));
}

TEST_CASE("device counts: layers that look at their ends, as on the host", "[device][budget]") {
  CHECK(support::holds("lazy_layers", rounds, [] {
    auto g = support::draw_views(false, 250);
    for (float& x : g.table)
      if (*rc::gen::arbitrary<bool>() && x > 1) x = 1 / x;  // some sums near the threshold
    both_select<budget::lazy_layers>(g, {.threshold = *support::fractions(),
                                         .sink = *rc::gen::element(0, 1, 4, 90),
                                         .recent = *rc::gen::element(1, 5, 20, 140)});
  }));
}

TEST_CASE("device counts: one ranking of sorted heads, as on the host", "[device][budget]") {
  CHECK(support::holds("composite", rounds, [] {
    auto const g = support::draw_views(false, 250);
    both_select<budget::composite>(g, {.keep = *support::fractions(),
                                       .tokens = drawn_limit(),
                                       .least = *rc::gen::element(0, 0, 3, 100),
                                       .layers = *rc::gen::arbitrary<bool>() ? 1 : 0});
  }));
  if (race_check) return;  // the same bodies
  // Several runs to merge, in several segments of a curve.
  CHECK(support::holds("composite, long", 8, [] {
    auto const g = support::draw_views(false, 5000);
    both_select<budget::composite>(g, {.keep = *support::fractions()});
  }));
}

TEST_CASE("device counts: layers by numbers measured of them, as on the host", "[device][budget]") {
  CHECK(support::holds("entropy_variance", rounds, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const views = *resize(100, inRange(1, 12)), heads = *resize(100, inRange(1, 4));
    int const tokens = *resize(100, inRange(1, 500)), window = std::min(tokens, *rc::gen::element(0, 1, 16));
    std::vector<double> measured;
    for (int v = 0; v < views; ++v) {
      bool const bad = *resize(100, inRange(0, 12)) == 0;
      measured.push_back(bad ? *rc::gen::element<double>(0, -1, not_a_number, infinite, 1e-310)
                             : 2000 * *support::fractions());
      measured.push_back(*support::fractions());
    }
    budget::entropy_variance::params const p{.tokens = *resize(100, inRange(0, 500)),
                                             .tau1 = *rc::gen::element(0.5, 1.0, 1.6),
                                             .tau2 = *rc::gen::element(0.4, 1.0, 2.3),
                                             .layers = *rc::gen::element(0, 1, views + 2),
                                             .prompt = *rc::gen::element(0, tokens + 70)};
    // What plan() launches, over numbers of the test's own.
    std::vector<double> preference(static_cast<std::size_t>(views));
    std::vector<int> count(static_cast<std::size_t>(views * heads), -1);
    std::vector const layout(static_cast<std::size_t>(views), kvs::device::view_layout{tokens, 0, window, false});
    int const layers = p.layers > 0 ? p.layers : views, step = std::min(layers, views);
    kvs::device::split_args<budget::entropy_variance> args{{}, p, nullptr, 0, layers};
    int const sequences = views / step;
    for (int i = 0; i < sequences; ++i) {
      int const first = i * step;
      args.views.part[i] = {layout.data() + first,
                            nullptr,
                            preference.data() + first,
                            measured.data() + 2 * first,
                            nullptr,
                            count.data() + first * heads,
                            step,
                            heads};
    }
    RC_ASSERT(
        static_cast<bool>(emulated_device<32>{}.launch<kvs::device::split_statistics_body<budget::entropy_variance>>(
            {1, 1, sequences}, args)));

    std::vector<float> const row(static_cast<std::size_t>(heads * kvs::score_stride(tokens)));
    std::vector const seen(static_cast<std::size_t>(views), kvs::scored_view{tokens, {0, window}, {}});
    std::vector<kvs::index> const offset(static_cast<std::size_t>(views), 0);
    kvs::token_scores scores;
    scores.shape = {views, heads, 64};
    scores.seen = seen.data();
    scores.score = const_cast<float*>(row.data());
    scores.score_offset = offset.data();
    scores.statistics = {measured.data(), 2};
    kvs::host::on<> const inline_;
    using kvs::select::top_k;
    auto const bytes = kvs::choose_tokens_workspace_bytes<budget::entropy_variance, top_k>(inline_, scores, p, {});
    std::vector<workspace_line> memory(bytes / 64 + 1);
    auto const want = kvs::choose_tokens<budget::entropy_variance, top_k>(
        inline_, scores, p, {}, std::span(reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64));
    RC_ASSERT(static_cast<bool>(want));
    RC_ASSERT(count == support::counts_of(want));
  }));
}
