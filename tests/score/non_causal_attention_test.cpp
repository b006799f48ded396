// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/non_causal_attention.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace {
namespace ref = kvsieve::reference;
using strategy = kvsieve::compressor<kvsieve::score::non_causal_attention>;

// A logit is a dot product of D terms with a query scaled twice: off by gamma(D + 6) of at most ||q|| ||k||, and by its
// difference to the largest. Twice that moves a probability; beside it sums of up to 64 terms a block and a block after
// another, exponentials and a quotient; the score adds up the queries of the chunk, 64 at a time.
template <int D>
support::expected reference_of(auto const& l, int head, int group, strategy::params const& params) {
  auto const& p = params.score;
  int const tokens = l.keys.tokens();
  support::expected e(tokens);
  auto const largest_norm = [](auto const& view, int of, int from, int to) {
    double most = 0;
    for (int t = from; t < to; ++t)
      if (ref::finite_row(view, of, t)) most = std::max(most, ref::norm_of(view, of, t));
    return most;
  };
  for (int from = p.sink; from < tokens - p.recent; from += p.chunk) {
    int const to = std::min(from + p.chunk, tokens - p.recent);
    for (int g = 0; g < group; ++g) {
      auto const before = e.score;
      int const q = head * group + g;
      ref::non_causal_attention(l.queries.view(), q, l.keys.view(), head, from, to, p.as_source ? p.chunk : 0,
                                1.0 / group, e.score);
      double const size = largest_norm(l.queries.view(), q, from, to) * largest_norm(l.keys.view(), head, from, to);
      double const error = support::gamma(D + 10) * size;
      double const relative =
          error < 1 ? std::exp(2 * error) - 1 + support::gamma(64 + p.chunk / 64 + group * p.chunk + 40) : 1e9;
      for (int t = from; t < to; ++t) {
        auto const i = static_cast<std::size_t>(t);
        // Where nothing can be said: the chunk's queries give at most 1 each.
        e.bound[i] += relative > 1e8 ? 2.0 * p.chunk : relative * std::abs(e.score[i] - before[i]) + 1e-34;
      }
    }
  }
  return e;
}
}  // namespace

TEST_CASE("non_causal_attention: scores and kept tokens are the reference's") {
  CHECK(support::holds("non_causal_attention: scores and kept tokens are the reference's", 50, [] {
    auto s = *support::shapes(1, 300);
    s.group = s.group % 4 + 1;
    double const keep = *support::fractions();
    strategy::params params{.budget = {.keep = keep}};
    params.score.chunk = *rc::gen::element(1, 5, 64, 100, 256);
    params.score.sink = *rc::gen::element(0, 0, 3, 400);
    params.score.recent = *rc::gen::element(0, 0, 5);
    params.score.as_source = *rc::gen::arbitrary<bool>();
    support::with_combination<4>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int n) { return n; });
      auto const p = support::make_plan<strategy>(s.executor, layers, params);
      support::assert_plan(
          p, s, keep,
          [&](int v, int h) { return reference_of<D>(layers[static_cast<std::size_t>(v)], h, s.group, params); },
          [&](int) { return support::ends(params.score.sink, params.score.recent); });
    });
  }));
}

TEST_CASE("non_causal_attention: chunks do not see each other, and the scores of one add up to its queries") {
  std::vector<support::layer<float, 64>> a;
  a.emplace_back(1, 2, 100, 100, support::layout::packed, support::content::normal, 3);
  auto b = a;
  for (int t = 60; t < 100; ++t)
    for (int d = 0; d < 64; ++d) b[0].keys.set(0, t, d, 9.0f), b[0].queries.set(1, t, d, -1.0f);
  strategy::params const params{.score = {.chunk = 60}};
  auto const one = support::make_plan<strategy>(0, a, params), other = support::make_plan<strategy>(0, b, params);
  double sum = 0;
  for (std::size_t t = 0; t < 60; ++t) {
    CHECK(one.plan.scores(0, 0)[t] == other.plan.scores(0, 0)[t]);
    sum += static_cast<double>(one.plan.scores(0, 0)[t]);
  }
  CHECK(sum == Catch::Approx(60).epsilon(1e-5));
}
