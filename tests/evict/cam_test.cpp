// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/reference/cam.hpp>
#include <kvsieve/reference/random.hpp>

#include <catch2/catch_all.hpp>

#include "merging.hpp"

namespace {
using namespace kvsieve;

// The draw of the library: a number in [0, 1) for each head and token.
struct draw {
  bool drawn;
  std::vector<double> number;
  draw(bool by_chance, std::uint64_t seed, int row, int tokens)
      : drawn(by_chance), number(static_cast<std::size_t>(tokens)) {
    reference::random(seed, static_cast<std::uint64_t>(row), number);
  }
  double operator()(int token, double p) const {
    return !drawn ? p : number[static_cast<std::size_t>(token)] < p ? 1 : 0;
  }
  // True where rounding may decide.
  [[nodiscard]] bool close(int token, double p) const {
    return drawn && std::abs(number[static_cast<std::size_t>(token)] - p) < 1e-5;
  }
};

// Attention of all heads of a call, or none; what the library reads then are the scores, forced ones as the largest.
struct attention_table {
  std::vector<float> number;
  [[nodiscard]] std::vector<double> row(support::shape const& s, std::vector<double> const& scores, int v,
                                        int h) const {
    std::vector<double> a = scores;
    if (number.empty()) {
      double largest = 0;
      for (double const x : a)
        if (std::isfinite(x)) largest = std::max(largest, x);
      for (double& x : a) x = x == HUGE_VAL ? largest : x > 0 ? x : 0;
      return a;
    }
    std::size_t at = 0;
    for (int u = 0; u < v; ++u) at += static_cast<std::size_t>(s.tokens[static_cast<std::size_t>(u)] * s.kv_heads);
    at += static_cast<std::size_t>(h) * a.size();
    for (std::size_t t = 0; t < a.size(); ++t) a[t] = static_cast<double>(number[at + t]);
    return a;
  }
};
attention_table some_attention(support::shape const& s) {
  attention_table table;
  if (s.seed % 2 == 0) return table;
  std::mt19937 random(s.seed);
  int tokens = 0;
  for (int const n : s.tokens) tokens += n;
  for (int i = 0; i < tokens * s.kv_heads; ++i)
    table.number.push_back(random() % 16 == 0 ? 0.0f : static_cast<float>(random() % 1000) / 1000);
  return table;
}
}  // namespace

TEST_CASE("cam spreads the values of candidates over the kept tokens behind them") {
  using C = compressor<score::random, evict::cam>;
  CHECK(support::holds("cam", 100, [] {
    auto const s = *support::shapes(1, 300);
    C::params params{.score = {.seed = s.seed}, .budget = {.keep = *support::fractions()}};
    auto const table = some_attention(s);
    params.select.sink = *rc::gen::element(0, 0, 3);
    params.evict = {.candidates = *rc::gen::element(0, 1, 7, 1000),
                    .followers = *rc::gen::element(1, 3, 32),
                    .drawn = *rc::gen::arbitrary<bool>(),
                    .seed = s.seed,
                    .attention = {table.number.data(), table.number.size()}};
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      support::merged<C, T, D, Strided> const m(s, params);
      for (int v = 0; v < s.views(); ++v)
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const head = m.head(v, h);
          auto const scores = m.scores(v, h);
          auto const attention = table.row(s, scores, v, h);
          draw const d(params.evict.drawn, s.seed, v * s.kv_heads + h, static_cast<int>(scores.size()));
          bool close = false;
          auto const want = reference::cam(head, reference::cam_candidates(head, scores, params.evict.candidates),
                                           attention, params.evict.followers, [&](int token, double p) {
                                             close = close || d.close(token, p);
                                             return d(token, p);
                                           });
          if (!close) support::assert_merged(m, v, h, want, 0);
        }
    });
  }));
}

TEST_CASE("cam_prefill spreads every value over the window behind it, one after another") {
  using C = compressor<score::random, evict::cam_prefill>;
  CHECK(support::holds("cam_prefill", 100, [] {
    auto const s = *support::shapes(1, 300);
    C::params params{.score = {.seed = s.seed}, .budget = {.keep = *support::fractions()}};
    auto const table = some_attention(s);
    params.select.sink = *rc::gen::element(0, 0, 3);
    params.evict = {.start = *rc::gen::element(0.0, 0.1, 0.5, 1.0),
                    .window = *rc::gen::element(1, 3, 16, 64),
                    .drawn = *rc::gen::arbitrary<bool>(),
                    .seed = s.seed,
                    .attention = {table.number.data(), table.number.size()}};
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      support::merged<C, T, D, Strided> const m(s, params);
      for (int v = 0; v < s.views(); ++v)
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const head = m.head(v, h);
          auto const scores = m.scores(v, h);
          auto const attention = table.row(s, scores, v, h);
          draw const d(params.evict.drawn, s.seed, v * s.kv_heads + h, static_cast<int>(scores.size()));
          bool close = false;
          auto const all = reference::cam_prefill(head.values, attention, params.evict.start, params.evict.window,
                                                  [&](int token, double p) {
                                                    close = close || d.close(token, p);
                                                    return d(token, p);
                                                  });
          if (close) continue;
          auto want = reference::keep_rows(head);
          for (std::size_t j = 0; j < want.values.size(); ++j)
            want.values[j] = all[static_cast<std::size_t>(head.kept[j])];
          auto const& result = m.result[static_cast<std::size_t>(v)];
          support::assert_rows<T>(result.keys.view(), h, want.keys, support::largest_of(head.keys));
          support::assert_rows<T>(result.values.view(), h, want.values, support::largest_of(all));
        }
    });
  }));
}
