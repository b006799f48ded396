// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/kv_zap.hpp>
#include <kvsieve/score/kv_zap.hpp>

#include <catch2/catch_all.hpp>

#include "hidden_states.hpp"
#include "planned.hpp"
#include "refusal.hpp"
#include "tolerance.hpp"

namespace {
using namespace kvsieve;
using support::span_of;
using linear = compressor<score::kv_zap_linear>;
using network = compressor<score::kv_zap>;

double magnitude(std::span<float const> weight, float bias, std::span<double const> x) {
  double sum = std::abs(static_cast<double>(bias));
  for (std::size_t i = 0; i < x.size(); ++i) sum += std::abs(static_cast<double>(weight[i]) * x[i]);
  return sum;
}

struct views {
  std::vector<support::layer<float, 64>> layers;
  std::vector<support::hidden_states> states;
  std::vector<hidden_rows> rows;
  views(support::shape const& s, int width, dtype type)
      : layers(support::make_layers<float, 64, false>(s, [](int) { return 1; })) {
    for (int v = 0; v < s.views(); ++v)
      states.emplace_back(type, s.tokens[static_cast<std::size_t>(v)], width, s.seed + static_cast<std::uint32_t>(v));
    for (auto const& h : states) rows.push_back(h.rows());
  }
  [[nodiscard]] cs::span<hidden_rows const> hidden() const { return {rows.data(), rows.size()}; }
};
}  // namespace

TEST_CASE("kv_zap_linear: scores and kept tokens are the reference's") {
  CHECK(support::holds("kv_zap_linear: scores and kept tokens are the reference's", 60, [] {
    auto const s = *support::shapes(1, 400);
    double const keep = *support::fractions();
    int const width = *rc::gen::element(16, 48, 256, 272, 528);
    views const all(s, width, *rc::gen::element(dtype::f32, dtype::f16, dtype::bf16));
    auto const per_layer = static_cast<std::size_t>(s.kv_heads * width);
    auto const weight = support::draw_weights(per_layer * all.rows.size(), 0.1f, s.seed),
               bias = support::draw_weights(static_cast<std::size_t>(s.kv_heads) * all.rows.size(), 1.0f, s.seed + 1);
    auto const p = support::make_plan<linear>(
        s.executor, all.layers,
        {.score = {.hidden = all.hidden(), .width = width, .weight = span_of(weight), .bias = span_of(bias)},
         .budget = {.keep = keep}});
    auto const expect = [&](int v, int h) {
      auto const i = static_cast<std::size_t>(v);
      std::span const w(weight.data() + per_layer * i, per_layer);
      std::span const b(bias.data() + i * static_cast<std::size_t>(s.kv_heads), static_cast<std::size_t>(s.kv_heads));
      support::expected e(all.states[i].tokens);
      for (std::size_t t = 0; t < e.score.size(); ++t) {
        auto const x = all.states[i].row(static_cast<int>(t));
        auto const head = static_cast<std::size_t>(h);
        e.score[t] = reference::kv_zap_linear(w, b, x)[head];
        e.bound[t] = support::gamma(width + 1) * magnitude(w.subspan(head * x.size(), x.size()), b[head], x);
      }
      return e;
    };
    support::assert_plan(p, s, keep, expect, [](int) { return support::ends(0, 0); });
  }));
}

TEST_CASE("kv_zap: scores and kept tokens are the reference's") {
  CHECK(support::holds("kv_zap: scores and kept tokens are the reference's", 40, [] {
    auto const s = *support::shapes(1, 200);
    double const keep = *support::fractions();
    int const width = *rc::gen::element(16, 48, 272), units = *rc::gen::element(1, 5, 100);
    views const all(s, width, *rc::gen::element(dtype::f32, dtype::f16, dtype::bf16));
    // One network for all views.
    auto const heads = static_cast<std::size_t>(s.kv_heads), n = static_cast<std::size_t>(units);
    auto const weight = support::draw_weights(n * static_cast<std::size_t>(width), 0.2f, s.seed),
               bias = support::draw_weights(n, 1.0f, s.seed + 1),
               out_weight = support::draw_weights(heads * n, 1.0f, s.seed + 2),
               out_bias = support::draw_weights(heads, 1.0f, s.seed + 3);
    auto const p = support::make_plan<network>(s.executor, all.layers,
                                               {.score = {.hidden = all.hidden(),
                                                          .width = width,
                                                          .units = units,
                                                          .weight = span_of(weight),
                                                          .bias = span_of(bias),
                                                          .out_weight = span_of(out_weight),
                                                          .out_bias = span_of(out_bias)},
                                                .budget = {.keep = keep}});
    // A unit is off by gamma(width + 1) of its magnitudes; GELU's slope is below 1.13, its own error 1e-7 of the unit
    // and ten roundings; then a product of `units` terms.
    auto const expect = [&](int v, int h) {
      auto const& states = all.states[static_cast<std::size_t>(v)];
      support::expected e(states.tokens);
      auto const head = static_cast<std::size_t>(h);
      for (std::size_t t = 0; t < e.score.size(); ++t) {
        auto const x = states.row(static_cast<int>(t));
        e.score[t] = reference::kv_zap(weight, bias, out_weight, out_bias, x)[head];
        double off = support::gamma(units + 1) * std::abs(static_cast<double>(out_bias[head]));
        for (std::size_t i = 0; i < n; ++i) {
          double const m = magnitude(std::span(weight).subspan(i * x.size(), x.size()), bias[i], x);
          off += std::abs(static_cast<double>(out_weight[head * n + i])) *
                 (1.13 * support::gamma(width + 1) * m + 1e-7 * m + support::gamma(units + 12) * m);
        }
        e.bound[t] = off;
      }
      return e;
    };
    support::assert_plan(p, s, keep, expect, [](int) { return support::ends(0, 0); });
  }));
}

TEST_CASE("kv_zap_threshold keeps what kv_zap scores above the threshold, and its window") {
  support::shape s;
  s.tokens = {90};
  views const all(s, 32, dtype::f32);
  auto const heads = static_cast<std::size_t>(s.kv_heads);
  auto const weight = support::draw_weights(5 * 32, 0.2f, 1), bias = support::draw_weights(5, 1, 2),
             out_weight = support::draw_weights(heads * 5, 1, 3), out_bias = support::draw_weights(heads, 1, 4);
  kv_zap_threshold<>::params const params{.score = {.hidden = all.hidden(),
                                                    .width = 32,
                                                    .units = 5,
                                                    .weight = span_of(weight),
                                                    .bias = span_of(bias),
                                                    .out_weight = span_of(out_weight),
                                                    .out_bias = span_of(out_bias)},
                                          .select = {.threshold = 0, .recent = 20}};
  auto const p = support::make_plan<kv_zap_threshold<>>(0, all.layers, params);
  REQUIRE(p.plan);
  for (int h = 0; h < s.kv_heads; ++h) {
    std::vector<int> want;
    for (int t = 0; t < 90; ++t) {
      double const score =
          reference::kv_zap(weight, bias, out_weight, out_bias, all.states[0].row(t))[static_cast<std::size_t>(h)];
      CHECK(std::abs(score) > 1e-4);  // far enough from the threshold for float
      if (t >= 70 || score >= 0) want.push_back(t);
    }
    auto const kept = p.plan.kept(0, h);
    CHECK(std::vector<int>(kept.begin(), kept.end()) == want);
    CHECK(want.size() < 90);
    CHECK(want.size() > 20);
  }
}

TEST_CASE("kv_zap: a hidden state that is not finite touches its own score alone") {
  support::shape s;
  s.tokens = {70};
  views all(s, 32, dtype::f32);
  auto const weight = support::draw_weights(32, 1, 1), bias = support::draw_weights(1, 1, 2);
  auto const run = [&] {
    return support::make_plan<linear>(
        0, all.layers,
        {.score = {.hidden = all.hidden(), .width = 32, .weight = span_of(weight), .bias = span_of(bias)}});
  };
  auto const clean = run();
  all.states[0].wide[static_cast<std::size_t>(33 * all.states[0].stride + 5)] = NAN;
  auto const one = run();
  REQUIRE(clean.plan);
  REQUIRE(one.plan);
  for (std::size_t t = 0; t < 70; ++t)
    if (t == 33)
      CHECK(std::isnan(one.plan.scores(0, 0)[t]));
    else
      CHECK(one.plan.scores(0, 0)[t] == clean.plan.scores(0, 0)[t]);
}

TEST_CASE("kv_zap refuses hidden states and tables that do not fit") {
  support::shape s;
  s.kv_heads = 2;
  s.tokens = {20};
  views const all(s, 32, dtype::bf16);
  auto const table = support::draw_weights(64, 1, 1);
  support::workspace memory(1 << 16);
  auto const cache = all.layers[0].const_view();
  using numbers = score::kv_zap_linear::params;
  numbers const good{.hidden = all.hidden(), .width = 32, .weight = span_of(table), .bias = span_of(table).first(2)};
  auto const refused = [&](numbers const& p, errc code, std::vector<std::string> const& parts) {
    auto const made = plan<linear>(host::on{}, cache, {.score = p}, memory.span());
    support::check_refused(made.state, code, parts);
    CHECK(memory.untouched());
  };
  auto const with = [&](auto const& change) {
    numbers p = good;
    change(p);
    return p;
  };
  refused(with([](numbers& p) { p.hidden = {}; }), errc::bad_shape, {"score.hidden is 0", "views, 1"});
  refused(with([](numbers& p) { p.width = 0; }), errc::bad_params, {"score.width is 0", "at least 16"});
  refused(with([](numbers& p) { p.width = 40; }), errc::bad_params, {"score.width is 40", "a multiple of 16"});
  refused(with([](numbers& p) { p.weight = p.weight.first(63); }), errc::bad_shape,
          {"score.weight is 63", "a multiple of 64"});
  refused(with([](numbers& p) { p.bias = {}; }), errc::bad_shape, {"score.bias is 0", "a multiple of 2"});
  auto const states = [&](auto const& change, errc code, std::vector<std::string> const& parts) {
    hidden_rows rows = all.rows[0];
    change(rows);
    refused(with([&](numbers& p) { p.hidden = {&rows, 1}; }), code, parts);
  };
  states([](hidden_rows& r) { r.tokens = 19; }, errc::bad_shape, {"score.hidden.tokens is 19", "tokens, 20"});
  states([](hidden_rows& r) { r.width = 48; }, errc::bad_shape, {"score.hidden.width is 48", "score.width, 32"});
  states([](hidden_rows& r) { r.stride = -1; }, errc::bad_shape, {"score.hidden.stride is -1"});
  states([](hidden_rows& r) { r.data = nullptr; }, errc::bad_pointer, {"score.hidden is 0", "null"});
  states([](hidden_rows& r) { r.data = static_cast<char const*>(r.data) + 1; }, errc::bad_pointer,
         {"score.hidden is 1", "alignment"});
}
