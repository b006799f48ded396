// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/cap_kv.hpp>
#include <kvsieve/reference/expected_attention.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace {
namespace ref = kvsieve::reference;
using strategy = kvsieve::compressor<kvsieve::score::cap_kv>;

// score = w v^T M^-1 v. A cosine is off by gamma(2 D) + gamma(D + 8) of ||m|| ||k|| over their product, so w by twice
// that times the sharpness, and M^-1 by as much, as its weights are. Sums of M are off by (gamma(64) + 8 u) n_i n_j,
// n_i^2 the weighed squares of channel i, which moves v^T M^-1 v by a^T dM a, a = M^-1 v; the rounding of the factor W
// by 2 gamma(D + 2) sqrt(v^T M^-1 v) ||W||_F ||v||. The bound is twice the sum.
template <int D>
support::expected reference_of(auto const& l, int head, int group, strategy::params const& params) {
  auto const& p = params.score;
  int const tokens = l.keys.tokens(), sink = std::min(p.sink, tokens);
  support::expected e(tokens);
  auto const keys = l.keys.view(), values = l.values.view();
  for (int g = 0; g < group; ++g) {
    auto const s = ref::statistics_of(l.queries.view(), head * group + g, std::max(tokens - p.sink, 1), tokens, p.rope);
    std::vector<double> one(e.score.size(), 0.0);
    ref::matrix const inverse =
        ref::cap_kv(keys, values, head, s.mean, sink, p.future, static_cast<double>(p.sharpness),
                    static_cast<double>(p.epsilon), p.rope, s.queries > 0 ? 1.0 / group : 0.0, one);
    // The mean rotation shortens: its result is off by what went in.
    auto const turned =
        ref::turned(s.mean, p.rope, ref::mean_rotation(p.rope, D, p.rope.first_position + tokens, p.future));
    double length = 0, row = 0;
    for (double const x : turned) length += x * x;
    for (int t = 0; t < l.queries.tokens(); ++t)
      if (ref::finite_row(l.queries.view(), head * group + g, t))
        row = std::max(row, ref::norm_of(l.queries.view(), head * group + g, t));
    double const size = row / std::max(std::sqrt(length), 1e-12);
    double const of_weight =
        2 * static_cast<double>(p.sharpness) * (support::gamma(2 * D) + 12 * support::u * (1 + size)) + 8 * support::u;
    double trace = 0;
    for (std::size_t d = 0; d < D; ++d) trace += inverse[d][d];
    std::vector<double> mass(D, 0.0), form(e.score.size(), 0.0), weight(e.score.size(), 0.0);
    std::vector<std::vector<double>> v(e.score.size(), std::vector<double>(D, 0.0));
    for (auto t = static_cast<std::size_t>(sink); t < one.size(); ++t) {
      if (std::isnan(one[t])) continue;
      for (std::size_t d = 0; d < D; ++d)
        v[t][d] = static_cast<double>(l.values.get(head, static_cast<int>(t), static_cast<int>(d)));
      form[t] = ref::quadratic(inverse, v[t]);
      weight[t] = form[t] > 0 ? one[t] * group / form[t] : 1;
      for (std::size_t d = 0; d < D; ++d) mass[d] += v[t][d] * v[t][d] * (weight[t] + static_cast<double>(p.epsilon));
    }
    for (auto t = static_cast<std::size_t>(sink); t < one.size(); ++t) {
      e.score[t] += one[t];
      double moved = 0, norm = 0;
      for (std::size_t i = 0; i < D; ++i) {
        double a = 0;
        for (std::size_t j = 0; j < D; ++j) a += inverse[i][j] * v[t][j];
        moved += std::abs(a) * std::sqrt(mass[i]);
        norm += v[t][i] * v[t][i];
      }
      double const factor = support::gamma(D + 2) * std::sqrt(trace * norm);
      double const of_form = (support::gamma(64) + 8 * support::u) * moved * moved + 2 * std::sqrt(form[t]) * factor +
                             factor * factor + support::gamma(D) * form[t];
      e.bound[t] += 2 * (weight[t] * (of_form + of_weight * form[t]) + of_weight * form[t] * weight[t]) / group + 1e-30;
    }
  }
  return e;
}
}  // namespace

TEST_CASE("cap_kv: scores and kept tokens are the reference's") {
  CHECK(support::holds("cap_kv: scores and kept tokens are the reference's", 40, [] {
    auto s = *support::shapes(1, 150);
    s.group = s.group % 3 + 1;
    double const keep = *support::fractions();
    strategy::params params{.budget = {.keep = keep}};
    params.score.sink = *rc::gen::element(0, 4, 50);
    params.score.future = *rc::gen::element(1, 100);
    params.score.sharpness = *rc::gen::element(0.0f, 1.0f, 5.0f);
    params.score.epsilon = *rc::gen::element(0.0f, 1e-6f, 0.1f);
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int n) { return n; });
      auto const p = support::make_plan<strategy>(s.executor, layers, params);
      support::assert_plan(
          p, s, keep,
          [&](int v, int h) { return reference_of<D>(layers[static_cast<std::size_t>(v)], h, s.group, params); },
          [&](int) { return support::ends(params.score.sink, 0); });
    });
  }));
}
