// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/compact.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "raw_bits.hpp"

namespace {
// Random bits in keys and values; a plan by random scores, so that each head keeps other tokens.
template <class T, int D, bool Strided>
struct setting {
  std::vector<support::layer<T, D, Strided>> layers;
  support::planned p;

  setting(support::shape const& s, double keep)
      : layers(support::make_layers<T, D, Strided>(s, [](int) { return 1; })),
        p(support::make_plan<kvsieve::random<>>(s.executor, layers,
                                                {.score = {.seed = s.seed}, .budget = {.keep = keep}})) {
    std::mt19937 random(s.seed);
    for (auto& l : layers) {
      support::fill_bits(l.keys, random);
      support::fill_bits(l.values, random);
    }
    RC_ASSERT(static_cast<bool>(p.plan));
  }
};

template <class Layers>
auto views_of(Layers& layers) {
  std::vector<decltype(layers[0].view())> views;
  for (auto& l : layers) views.push_back(l.view());
  return views;
}
template <class View>
auto span_of(std::vector<View> const& views) {
  return kvsieve::cs::span<View const>(views.data(), views.size());
}

// Rows [0, count) of every head hold the kept rows of `before`.
template <class Tensor>
bool holds_kept_rows(kvsieve::token_plan const& plan, int v, Tensor const& before, Tensor const& after) {
  Tensor want = after;
  for (int h = 0; h < plan.heads; ++h) {
    auto const kept = plan.kept(v, h);
    kvsieve::reference::compact(before.view(), h, std::span<int const>(kept.data(), kept.size()), want.view());
  }
  return support::same_elsewhere(want, after, [](int, int) { return false; });
}
}  // namespace

TEST_CASE("compact: out of place the kept rows move bit for bit, and nothing else is written") {
  CHECK(support::holds("compact out of place", 120, [] {
    auto const s = *support::shapes();
    double const keep = *support::fractions();
    int const spare = *rc::gen::element(0, 0, 5);
    auto const where = *rc::gen::element(support::layout::packed, support::layout::nhd, support::layout::padded);
    support::with_combination(s.combination, [&]<class T, int D, bool Strided>() {
      setting<T, D, Strided> given(s, keep);
      auto const untouched = given.layers;
      std::vector<support::layer<T, D, Strided>> out;
      std::mt19937 random(s.seed + 1);
      for (int v = 0; v < s.views(); ++v) {
        out.emplace_back(s.kv_heads, 1, given.p.plan.count(v) + spare, 1, where, support::content::normal, 0u);
        support::fill_bits(out.back().keys, random);
        support::fill_bits(out.back().values, random);
      }
      auto const before = out;
      auto const from = views_of(given.layers), to = views_of(out);
      auto const done = support::with_executor(s.executor, [&](auto const& on) {
        if (s.views() == 1) return kvsieve::apply<kvsieve::random<>>(on, given.p.plan, from[0], to[0]);
        return kvsieve::apply<kvsieve::random<>>(on, given.p.plan, span_of(from), span_of(to));
      });
      RC_ASSERT(static_cast<bool>(done));
      for (int v = 0; v < s.views(); ++v) {
        auto const i = static_cast<std::size_t>(v);
        auto const nowhere = [](int, int) { return false; };
        auto const kept_rows = [&](int h, int t) { return t < given.p.plan.count(v, h); };
        RC_ASSERT(holds_kept_rows(given.p.plan, v, given.layers[i].keys, out[i].keys));
        RC_ASSERT(holds_kept_rows(given.p.plan, v, given.layers[i].values, out[i].values));
        RC_ASSERT(support::same_elsewhere(before[i].keys, out[i].keys, kept_rows));
        RC_ASSERT(support::same_elsewhere(before[i].values, out[i].values, kept_rows));
        RC_ASSERT(support::same_elsewhere(untouched[i].keys, given.layers[i].keys, nowhere));
        RC_ASSERT(support::same_elsewhere(untouched[i].values, given.layers[i].values, nowhere));
      }
    });
  }));
}

TEST_CASE("compact: in place the kept rows move to the front bit for bit, and no gap is written") {
  CHECK(support::holds("compact in place", 120, [] {
    auto const s = *support::shapes();
    double const keep = *support::fractions();
    support::with_combination(s.combination, [&]<class T, int D, bool Strided>() {
      setting<T, D, Strided> given(s, keep);
      auto const before = given.layers;
      auto const views = views_of(given.layers);
      auto const done = support::with_executor(s.executor, [&](auto const& on) {
        if (s.views() == 1) return kvsieve::apply<kvsieve::random<>>(on, given.p.plan, views[0]);
        return kvsieve::apply<kvsieve::random<>>(on, given.p.plan, span_of(views));
      });
      RC_ASSERT(static_cast<bool>(done));
      for (int v = 0; v < s.views(); ++v) {
        auto const i = static_cast<std::size_t>(v);
        auto const any_row = [](int, int) { return true; };
        RC_ASSERT(support::same_elsewhere(before[i].keys, given.layers[i].keys, any_row));  // the gaps
        RC_ASSERT(support::same_elsewhere(before[i].values, given.layers[i].values, any_row));
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const kept = given.p.plan.kept(v, h);
          for (std::size_t r = 0; r < kept.size(); ++r)
            for (int d = 0; d < D; ++d) {
              auto const row = static_cast<kvsieve::index>(r);
              RC_ASSERT(
                  support::same_bits(given.layers[i].keys.view()(h, row, d), before[i].keys.view()(h, kept[r], d)));
              RC_ASSERT(
                  support::same_bits(given.layers[i].values.view()(h, row, d), before[i].values.view()(h, kept[r], d)));
            }
        }
      }
    });
  }));
}
