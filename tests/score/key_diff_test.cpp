// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/key_diff.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace {
// Rows of one unit of work, whose sum is one chain of additions (host/tasks.hpp).
constexpr double chain = 1024;

// score = -<k, a> / (||k|| ||a||). A norm is off by gamma(D); a weighed row by two more roundings; the mean a_d by
// gamma(D + 3 + chain + segments) of the mean of the magnitudes; the dot product by gamma(D) sum |k_d a_d| beside
// sum |k_d| (error of a_d); ||a|| by the length of the errors of a and gamma(D) of itself. Where ||a|| nearly cancels
// the bound grows with it, and beyond the range of a cosine it says nothing.
template <int D>
support::expected reference_of(auto const& layer, int head) {
  auto const keys = layer.keys.view();
  int const tokens = layer.keys.tokens();
  support::expected e(tokens);
  kvsieve::reference::key_diff(keys, head, e.score);

  auto const mean = kvsieve::reference::mean_direction(keys, head);
  std::vector<double> magnitude(D, 0.0);
  for (int t = 0; t < tokens; ++t) {
    if (!kvsieve::reference::finite_row(keys, head, t)) continue;
    double const norm = std::max(kvsieve::reference::norm_of(keys, head, t), 1e-12);
    for (int d = 0; d < D; ++d)
      magnitude[static_cast<std::size_t>(d)] += std::abs(layer.keys.get(head, t, d)) / norm / tokens;
  }
  double const of_mean = support::gamma(D + 3 + std::min<double>(tokens, chain) + std::ceil(tokens / chain));
  double mean_squares = 0, error_squares = 0;
  for (std::size_t d = 0; d < D; ++d) {
    mean_squares += mean[d] * mean[d];
    error_squares += of_mean * magnitude[d] * of_mean * magnitude[d];
  }
  double const mean_norm = std::max(std::sqrt(mean_squares), 1e-8);
  double const mean_norm_error = (std::sqrt(error_squares) + support::gamma(D) * mean_norm) / mean_norm;

  for (int t = 0; t < tokens; ++t) {
    double dot_error = 0;
    for (int d = 0; d < D; ++d) {
      auto const i = static_cast<std::size_t>(d);
      dot_error += std::abs(static_cast<double>(layer.keys.get(head, t, d))) *
                   (support::gamma(D) * std::abs(mean[i]) + (1 + support::gamma(D)) * of_mean * magnitude[i]);
    }
    double const norm = std::max(kvsieve::reference::norm_of(keys, head, t), 1e-8);
    auto const i = static_cast<std::size_t>(t);
    double const relative = support::gamma(D + 4) + mean_norm_error;
    double const underflow = D * 0x1p-149 / (norm * mean_norm);
    e.bound[i] =
        mean_norm_error < 0.25
            ? (dot_error / (norm * mean_norm) + underflow + std::abs(e.score[i]) * relative) / (1 - 2 * relative)
            : 2.1;
  }
  return e;
}
}  // namespace

TEST_CASE("key_diff: scores and kept tokens are the reference's") {
  CHECK(support::holds("key_diff: scores and kept tokens are the reference's", 150, [] {
    auto const s = *support::shapes();
    double const keep = *support::fractions();
    support::with_combination(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const p = support::make_plan<kvsieve::key_diff<>>(s.executor, layers, {.budget = {.keep = keep}});
      support::assert_plan(
          p, s, keep, [&](int v, int h) { return reference_of<D>(layers[static_cast<std::size_t>(v)], h); },
          [](int) { return support::ends(0, 0); });
    });
  }));
}

TEST_CASE("key_diff: a zero key scores 0, and so does every key of a cache of zeros") {
  support::layer<float, 64> l(1, 1, 40, 1, support::layout::packed, support::content::normal, 1);
  for (int d = 0; d < 64; ++d) l.keys.set(0, 7, d, 0.0f);
  std::vector<support::layer<float, 64>> layers{l};
  auto const some = support::make_plan<kvsieve::key_diff<>>(0, layers, {});
  REQUIRE(some.plan);
  CHECK(some.plan.scores(0, 0)[7] == 0.0f);
  for (int t = 0; t < 40; ++t)
    for (int d = 0; d < 64; ++d) layers[0].keys.set(0, t, d, 0.0f);
  auto const all = support::make_plan<kvsieve::key_diff<>>(0, layers, {});
  REQUIRE(all.plan);
  for (float const score : all.plan.scores(0, 0)) CHECK(score == 0.0f);
  for (int i = 0; i < 10; ++i) CHECK(all.plan.kept(0, 0)[static_cast<std::size_t>(i)] == i);
}
