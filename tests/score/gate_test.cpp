// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/gate.hpp>
#include <kvsieve/score/gate.hpp>

#include <catch2/catch_all.hpp>

#include "hidden_states.hpp"
#include "planned.hpp"
#include "refusal.hpp"
#include "tolerance.hpp"

namespace {
using namespace kvsieve;
using support::span_of;
using gated = compressor<score::gate>;

struct tables_of_gate {
  std::vector<float> weight, bias, query_norm, key_norm, base_key, offset;
  tables_of_gate(std::size_t heads, std::size_t group, std::size_t channels, std::size_t base_keys, std::size_t width,
                 std::uint32_t seed)
      : weight(support::draw_weights(heads * (group + 1) * channels * width, 0.2f, seed)),
        bias(support::draw_weights(heads * group * channels, 0.5f, seed + 1)),
        query_norm(support::draw_weights(channels, 1.0f, seed + 2)),
        key_norm(support::draw_weights(channels, 1.0f, seed + 3)),
        base_key(support::draw_weights(heads * base_keys * channels, 1.0f, seed + 4)),
        offset(support::draw_weights(heads * group, 1.0f, seed + 5)) {}
};

// How far a score of head h may be off. A product is off by delta = gamma(width + 1) of its magnitudes; in a row of d
// of them with root mean square r (at least 1e-3) an entry of the normed row by delta (1 + sqrt(d)) / r and d + 4
// roundings of itself, at most sqrt(d); a logit by both rows' errors, at most one factor's each, and the roundings of d
// products. Two logits in a quotient of exponentials move it by half their errors' sum; the exponentials, their sum and
// the mean add base_keys + group + 20 roundings.
double score_error(support::shape const& s, int h, int d, int base_keys, tables_of_gate const& w,
                   std::vector<double> const& x) {
  auto const width = x.size();
  auto const y = reference::products(w.weight, w.bias, x);
  double const root = std::sqrt(d);
  auto const row_error = [&](int first) {
    double squares = 0, magnitude = 0;
    for (int i = 0; i < d; ++i) {
      auto const o = static_cast<std::size_t>(first + i);
      squares += y[o] * y[o];
      double sum = o < w.bias.size() ? std::abs(static_cast<double>(w.bias[o])) : 0;
      for (std::size_t k = 0; k < width; ++k) sum += std::abs(static_cast<double>(w.weight[o * width + k]) * x[k]);
      magnitude = std::max(magnitude, sum);
    }
    return support::gamma(static_cast<double>(width) + 1) * magnitude * (1 + root) / std::sqrt(squares / d + 1e-6) +
           support::gamma(d + 4) * root;
  };
  auto const largest = [](std::vector<float> const& v) {
    double m = 0;
    for (float const f : v) m = std::max(m, std::abs(static_cast<double>(f)));
    return m;
  };
  double const of_query = largest(w.query_norm), of_key = largest(w.key_norm), of_base = largest(w.base_key);
  double const key = row_error((s.kv_heads * s.group + h) * d);
  double most = 0;
  for (int g = 0; g < s.group; ++g) {
    double const query = row_error((h * s.group + g) * d);
    double const own = of_query * of_key * root * (key + query) * root, other = of_base * of_query * query * root,
                 rounding = support::gamma(d + 6) *
                            (of_query * of_key * d * root + of_base * of_query * d + largest(w.offset));
    most = std::max(most, own + other + rounding);
  }
  return most + support::gamma(base_keys + s.group + 20);
}
}  // namespace

TEST_CASE("gate: scores and kept tokens are the reference's") {
  CHECK(support::holds("gate: scores and kept tokens are the reference's", 40, [] {
    auto const s = *support::shapes(1, 200);
    double const keep = *support::fractions();
    int const width = *rc::gen::element(16, 48, 272), channels = *rc::gen::element(1, 5, 16),
              base_keys = *rc::gen::element(0, 1, 16), sink = *rc::gen::element(0, 4);
    auto const type = *rc::gen::element(dtype::f32, dtype::bf16);
    auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
    std::vector<support::hidden_states> states;
    std::vector<hidden_rows> rows;
    for (int const n : s.tokens) states.emplace_back(type, n, width, s.seed + static_cast<std::uint32_t>(n));
    for (auto const& h : states) rows.push_back(h.rows());
    auto const n = [](int x) { return static_cast<std::size_t>(x); };
    tables_of_gate const w(n(s.kv_heads), n(s.group), n(channels), n(base_keys), n(width), s.seed);
    auto const p = support::make_plan<gated>(s.executor, layers,
                                             {.score = {.hidden = {rows.data(), rows.size()},
                                                        .width = width,
                                                        .group = s.group,
                                                        .channels = channels,
                                                        .base_keys = base_keys,
                                                        .weight = span_of(w.weight),
                                                        .bias = span_of(w.bias),
                                                        .query_norm = span_of(w.query_norm),
                                                        .key_norm = span_of(w.key_norm),
                                                        .base_key = span_of(w.base_key),
                                                        .offset = span_of(w.offset),
                                                        .sink = sink},
                                              .budget = {.keep = keep}});
    auto const expect = [&](int v, int h) {
      auto const& of_view = states[static_cast<std::size_t>(v)];
      support::expected e(of_view.tokens);
      for (std::size_t t = 0; t < e.score.size(); ++t) {
        e.score[t] = reference::gate({s.kv_heads, s.group, channels, base_keys, w.weight, w.bias, w.query_norm,
                                      w.key_norm, w.base_key, w.offset},
                                     of_view.row(static_cast<int>(t)))[static_cast<std::size_t>(h)];
        e.bound[t] = score_error(s, h, channels, base_keys, w, of_view.row(static_cast<int>(t)));
      }
      return e;
    };
    support::assert_plan(p, s, keep, expect,
                         [&](int tokens) { return support::ends(sink, static_cast<int>(tokens * 0.02)); });
  }));
}

TEST_CASE("gate: a short prompt keeps a share of it, a long one a number of tokens") {
  score::gate::params const p{.sink = 4, .window = 50, .window_share = 0.25, .long_prompt = 1000};
  CHECK(score::gate::forced(p, 3).tail == 0);
  CHECK(score::gate::forced(p, 999).tail == 249);
  CHECK(score::gate::forced(p, 1000).tail == 50);
  CHECK(score::gate::forced(p, 1000).head == 4);
}

TEST_CASE("gate refuses tables that do not fit") {
  support::layer<float, 64> const l(2, 2, 20, 1, support::layout::packed, support::content::normal, 1);
  support::hidden_states const states(dtype::f32, 20, 32, 1);
  hidden_rows const rows = states.rows();
  tables_of_gate const w(2, 2, 16, 3, 32, 1);
  using numbers = score::gate::params;
  numbers const good{.hidden = {&rows, 1},
                     .width = 32,
                     .group = 2,
                     .channels = 16,
                     .base_keys = 3,
                     .weight = span_of(w.weight),
                     .bias = span_of(w.bias),
                     .query_norm = span_of(w.query_norm),
                     .key_norm = span_of(w.key_norm),
                     .base_key = span_of(w.base_key),
                     .offset = span_of(w.offset)};
  support::workspace memory(1 << 18);
  auto const refused = [&](auto const& change, errc code, std::vector<std::string> const& parts) {
    numbers p = good;
    change(p);
    auto const made = plan<gated>(host::on{}, l.const_view(), {.score = p}, memory.span());
    support::check_refused(made.state, code, parts);
    CHECK(memory.untouched());
  };
  refused([](numbers& p) { p.channels = 65; }, errc::bad_params, {"score.channels is 65", "at most 64"});
  refused([](numbers& p) { p.base_keys = 65; }, errc::bad_params, {"score.base_keys is 65", "at most 64"});
  refused([](numbers& p) { p.group = 0; }, errc::bad_params, {"score.group is 0", "at least 1"});
  refused([](numbers& p) { p.window_share = 1.5; }, errc::bad_params, {"score.window_share is 1.5", "at most 1"});
  refused([](numbers& p) { p.weight = {}; }, errc::bad_shape, {"score.weight is 0", "a multiple of 3072"});
  refused([](numbers& p) { p.bias = p.bias.first(5); }, errc::bad_shape, {"score.bias is 5", "a multiple of 64"});
  refused([](numbers& p) { p.query_norm = {}; }, errc::bad_shape, {"score.query_norm is 0", "a multiple of 16"});
  refused([](numbers& p) { p.key_norm = {}; }, errc::bad_shape, {"score.key_norm is 0", "a multiple of 16"});
  refused([](numbers& p) { p.base_key = {}; }, errc::bad_shape, {"score.base_key is 0", "a multiple of 96"});
  refused([](numbers& p) { p.offset = {}; }, errc::bad_shape, {"score.offset is 0", "a multiple of 4"});
  refused([](numbers& p) { p.hidden = {}; }, errc::bad_shape, {"score.hidden is 0", "views, 1"});
}
