// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/leverage.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace {
namespace ref = kvsieve::reference;
using policy = kvsieve::score::leverage;
using strategy = kvsieve::compressor<policy>;

ref::matrix sketch_of(policy::params const& p, int head, int channels) {
  ref::matrix m = ref::zeros(static_cast<std::size_t>(channels), static_cast<std::size_t>(p.sketch));
  for (int d = 0; d < channels; ++d)
    for (int c = 0; c < p.sketch; ++c)
      m[static_cast<std::size_t>(d)][static_cast<std::size_t>(c)] =
          policy::sketch_entry(p, static_cast<std::uint64_t>(head), d, c);
  return m;
}

// score = y^T A^-1 y, y = Phi^T x. Channel d of x is off by 8 u of its magnitude (the two channels of its pair and the
// mean), an entry (i, j) of the moments therefore and by chains of 64 products by (gamma(64) + 16 u) M_i M_j, M_i^2
// being the sum of squared magnitudes. To first order a change dS moves the score by a^T dS a, a = Phi A^-1 y, one of x
// by 2 a^T dx, and the rounding of the factor W (W^T W = Phi A^-1 Phi^T) by 2 gamma(D + 2) sqrt(score) ||W||_F ||x||.
// The bound is twice that; where it reaches a quarter, it says nothing but that leverages lie in [0, 1].
template <int D>
support::expected reference_of(auto const& layer, int head, policy::params const& p, int place) {
  auto const keys = layer.keys.view();
  int const tokens = layer.keys.tokens();
  support::expected e(tokens);
  ref::matrix const sketch = sketch_of(p, place, D);
  ref::leverage(keys, head, sketch, p.ridge, p.sink, p.recent, p.rope, e.score);

  auto const k = static_cast<std::size_t>(p.sketch);
  std::vector<std::vector<double>> rows, size;
  std::vector<std::size_t> at;
  std::vector<double> mean(D, 0.0), mass(D, 0.0);
  for (int t = p.sink; t < tokens - p.recent; ++t) {
    if (std::isnan(e.score[static_cast<std::size_t>(t)])) continue;
    rows.push_back(ref::before_rotation(keys, head, t, p.rope.first_position + t, p.rope));
    at.push_back(static_cast<std::size_t>(t));
    for (std::size_t d = 0; d < D; ++d) mean[d] += rows.back()[d];
  }
  for (double& m : mean) m /= static_cast<double>(std::max<std::size_t>(rows.size(), 1));
  for (auto const& x : rows) {
    auto& s = size.emplace_back(D, 0.0);
    for (int i = 0; i < D / 2; ++i) {
      auto const [a, b] = ref::rope_pair(p.rope, i, D);
      s[a] = s[b] = std::hypot(x[a], x[b]);
    }
    for (std::size_t d = 0; d < D; ++d) s[d] += std::abs(mean[d]), mass[d] += s[d] * s[d];
  }
  ref::matrix gram = ref::zeros(k, k);
  std::vector<std::vector<double>> sketched;
  for (auto const& x : rows) {
    auto& y = sketched.emplace_back(k, 0.0);
    for (std::size_t d = 0; d < D; ++d)
      for (std::size_t c = 0; c < k; ++c) y[c] += (x[d] - mean[d]) * sketch[d][c];
    for (std::size_t a = 0; a < k; ++a)
      for (std::size_t b = 0; b < k; ++b) gram[a][b] += y[a] * y[b];
  }
  for (std::size_t c = 0; c < k; ++c) gram[c][c] += p.ridge;
  ref::matrix const inverse = ref::inverse_of(gram);
  double frobenius = 0;
  for (auto const& row : sketch) frobenius += ref::quadratic(inverse, row);
  double const of_moments = support::gamma(64) + 16 * support::u;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<double> z(k, 0.0);
    for (std::size_t a = 0; a < k; ++a)
      for (std::size_t b = 0; b < k; ++b) z[a] += inverse[a][b] * sketched[i][b];
    double moved = 0, row = 0, norm = 0;
    for (std::size_t d = 0; d < D; ++d) {
      double a = 0;
      for (std::size_t c = 0; c < k; ++c) a += sketch[d][c] * z[c];
      moved += std::abs(a) * std::sqrt(mass[d]);
      row += std::abs(a) * size[i][d];
      norm += size[i][d] * size[i][d];
    }
    double const score = std::max(e.score[at[i]], 0.0);
    double const factor = support::gamma(D + 2) * std::sqrt(frobenius * norm);
    double const bound = of_moments * moved * moved + 16 * support::u * row + 2 * std::sqrt(score) * factor +
                         factor * factor + support::gamma(p.sketch) * score;
    e.bound[at[i]] = bound < 0.125 ? 2 * bound + 1e-30 : 1.5;
  }
  return e;
}
}  // namespace

TEST_CASE("leverage: scores and kept tokens are the reference's") {
  CHECK(support::holds("leverage: scores and kept tokens are the reference's", 60, [] {
    auto const s = *support::shapes(1, 400);
    double const keep = *support::fractions();
    strategy::params params{.budget = {.keep = keep}};
    params.score.sketch = *rc::gen::element(1, 7, 16, 48);
    params.score.sink = *rc::gen::element(0, 0, 3, 500);
    params.score.recent = *rc::gen::element(0, 0, 5);
    params.score.seed = *rc::gen::arbitrary<std::uint64_t>();
    params.score.rope.rope_interleaved = *rc::gen::arbitrary<bool>();
    params.score.rope.first_position = *rc::gen::element(0, 1000);
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const p = support::make_plan<strategy>(s.executor, layers, params);
      support::assert_plan(
          p, s, keep,
          [&](int v, int h) {
            return reference_of<D>(layers[static_cast<std::size_t>(v)], h, params.score, v * s.kv_heads + h);
          },
          [&](int) { return support::ends(params.score.sink, params.score.recent); });
    });
  }));
}

TEST_CASE("leverage: the sketch is normal, of its place and seed alone") {
  policy::params p{.sketch = 64};
  double sum = 0, squares = 0, product = 0;
  int const n = 512 * 64;
  for (int d = 0; d < 512; ++d)
    for (int c = 0; c < 64; ++c) {
      double const x = policy::sketch_entry(p, 3, d, c) * 8, other = policy::sketch_entry(p, 4, d, c) * 8;
      sum += x, squares += x * x, product += x * other;
    }
  CHECK(std::abs(sum / n) < 5 / std::sqrt(n));                // five standard errors
  CHECK(std::abs(squares / n - 1) < 5 * std::sqrt(2.0 / n));  // of the variance of a square, 2
  CHECK(std::abs(product / n) < 5 / std::sqrt(n));
  CHECK(policy::sketch_entry(p, 3, 5, 6) == policy::sketch_entry(p, 3, 5, 6));
  CHECK(policy::sketch_entry(p, 3, 5, 6) != policy::sketch_entry({.sketch = 64, .seed = 1}, 3, 5, 6));
}

TEST_CASE("leverage: equal keys score 0, one key too, and huge keys end in no infinite loop") {
  for (int const n : {1, 2, 40}) {
    std::vector<support::layer<float, 64>> layers;
    layers.emplace_back(1, 1, n, 1, support::layout::packed, support::content::normal, 1);
    for (int t = 0; t < n; ++t)
      for (int d = 0; d < 64; ++d) layers[0].keys.set(0, t, d, 0.0f);
    auto const zeros = support::make_plan<kvsieve::leverage<>>(0, layers, {});
    REQUIRE(zeros.plan);
    for (float const x : zeros.plan.scores(0, 0)) CHECK(x == 0.0f);
    for (int t = 0; t < n; ++t)
      for (int d = 0; d < 64; ++d) layers[0].keys.set(0, t, d, t % 2 == 0 ? 2e18f : -2e18f);
    auto const huge = support::make_plan<strategy>(0, layers, {});
    REQUIRE(huge.plan);
    CHECK(huge.memory.guards_hold());
    CHECK(huge.plan.count(0) == n / 4);
  }
}

TEST_CASE("leverage: keys and ridge scaled alike give the same") {
  // y^T (S + ridge)^-1 y does not change when y is scaled by 4 and S and the ridge by 16.
  std::vector<support::layer<float, 64>> layers;
  layers.emplace_back(2, 1, 90, 1, support::layout::packed, support::content::normal, 4);
  auto scaled = layers;
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 90; ++t)
      for (int d = 0; d < 64; ++d) scaled[0].keys.set(h, t, d, 4 * layers[0].keys.get(h, t, d));
  auto const a = support::make_plan<strategy>(0, layers, {.score = {.ridge = 0.25}});
  auto const b = support::make_plan<strategy>(0, scaled, {.score = {.ridge = 4.0}});
  for (int h = 0; h < 2; ++h)
    for (std::size_t t = 0; t < 90; ++t) CHECK(a.plan.scores(0, h)[t] == Catch::Approx(b.plan.scores(0, h)[t]));
}
