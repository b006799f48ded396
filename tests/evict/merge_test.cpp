// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merging into the nearest kept token, in every published combination, against the formulas of each.
#include <kvsieve/evict/merge.hpp>

#include <catch2/catch_all.hpp>

#include "merging.hpp"

namespace {
using namespace kvsieve;

// `settle(params)` sets numbers; `expect(m, v, h, head, want)` fills `want`, or says false where rounding may decide.
template <class E, class Settle, class Expect>
bool matches(char const* what, Settle const& settle, Expect const& expect) {
  using C = compressor<score::random, E>;
  return support::holds(what, 60, [&] {
    auto const s = *support::shapes(1, 300);
    typename C::params params{.score = {.seed = s.seed}, .budget = {.keep = *support::fractions()}};
    params.select.sink = *rc::gen::element(0, 0, 3);
    params.evict.most_bias = *rc::gen::element(0.5f, 3.0f, 15.9375f);
    settle(params.evict);
    auto const where = *rc::gen::element(support::layout::packed, support::layout::nhd, support::layout::padded);
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      support::merged<C, T, D, Strided> const m(s, params, where);
      for (int v = 0; v < s.views(); ++v)
        for (int h = 0; h < s.kv_heads; ++h) {
          reference::merged_head want;
          auto const head = m.head(v, h);
          if (expect(m, params.evict, v, h, head, want))
            support::assert_merged(m, v, h, want, static_cast<double>(params.evict.most_bias));
        }
    });
  });
}
constexpr auto as_they_are = [](auto&) {};
}  // namespace

TEST_CASE("merge_nearest weighs values by scores and biases by their sum") {
  CHECK(matches<evict::merge_nearest>("merge_nearest", as_they_are,
                                      [](auto const& m, auto const&, int v, int h, auto const& head, auto& want) {
                                        if (support::close_cosines(head)) return false;
                                        auto const scores = m.scores(v, h);
                                        want = reference::merge_nearest(head, scores);
                                        return true;
                                      }));
}

TEST_CASE("merge_on_evict weighs values by cosine and norms, through threshold and fraction") {
  CHECK(matches<evict::merge_on_evict>(
      "merge_on_evict",
      [](auto& p) {
        p.gate.threshold = *rc::gen::element(0.0f, 0.1f, -1.0f);
        p.gate.fraction = *rc::gen::element(1.0, 0.5, 0.1);
        p.gate.as_source = *rc::gen::arbitrary<bool>();
      },
      [](auto const&, auto const& p, int, int, auto const& head, auto& want) {
        if (support::close_cosines(head)) return false;
        auto const n = reference::nearest_by_cosine(head);
        double const threshold = static_cast<double>(p.gate.threshold);
        if (support::close_cut(n.similarity, threshold)) return false;
        // The quantile is one of the similarities or between two: rounding may put it on either side of one.
        if (p.gate.fraction < 1) {
          auto sorted = n.similarity;
          std::sort(sorted.begin(), sorted.end());
          for (std::size_t i = 1; i < sorted.size(); ++i)
            if (sorted[i] - sorted[i - 1] < 1e-4) return false;
          double const place = (1 - p.gate.fraction) * (static_cast<double>(sorted.size()) - 1);
          if (std::abs(place - std::round(place)) < 1e-2) return false;
        }
        want = reference::merge_on_evict(head, threshold, p.gate.fraction, p.gate.as_source);
        return true;
      }));
}

TEST_CASE("LOOK-M: pivot and weighted, keys and values") {
  auto const against = [](bool pivot) {
    return [pivot](auto const&, auto const&, int, int, auto const& head, auto& want) {
      if (support::close_cosines(head)) return false;
      want = reference::look_m(head, pivot);
      return true;
    };
  };
  CHECK(matches<evict::look_m_pivot>("pivot", as_they_are, against(true)));
  CHECK(matches<evict::look_m_weighted>("weighted", as_they_are, against(false)));
}

TEST_CASE("Elastic Cache merges into the nearest position, never into the ends") {
  CHECK(matches<evict::elastic_merge>(
      "elastic",
      [](auto& p) {
        p.nearest.sink = *rc::gen::element(0, 1, 4);
        p.nearest.recent = *rc::gen::element(0, 1, 3);
      },
      [](auto const&, auto const& p, int, int, auto const& head, auto& want) {
        want = reference::elastic_cache(head, p.nearest.sink, p.nearest.recent);
        return true;
      }));
}

TEST_CASE("D2O merges what is more alike than the mean over all heads, or than a running mean") {
  float state = 0;
  CHECK(matches<evict::d2o_merge>(
      "d2o", [](auto& p) { p.gate.together = *rc::gen::arbitrary<bool>(); },
      [](auto const& m, auto const& p, int v, int h, auto const& head, auto& want) {
        std::vector<reference::nearest_of> heads;
        for (int g = 0; g < m.p.plan.heads; ++g) {
          auto const other = m.head(v, g);
          if (support::close_cosines(other)) return false;
          heads.push_back(reference::nearest_by_cosine(other));
        }
        auto const& own = heads[static_cast<std::size_t>(h)];
        double const least = reference::mean_similarity(heads);
        auto judged = own.similarity;
        if (p.gate.together)
          for (std::size_t i = 0; i < judged.size(); ++i) {
            judged[i] = 0;
            for (auto const& n : heads) judged[i] += n.similarity[i] / static_cast<double>(heads.size());
          }
        if (support::close_cut(judged, least)) return false;
        want = reference::d2o(head, own, judged, least);
        return true;
      }));
  CHECK(state == 0);
}
