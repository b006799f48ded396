// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/projected_value.hpp>
#include <kvsieve/weigh/projected_value.hpp>

#include "after_score.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;

std::vector<float> draw_table(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> table(size);
  for (float& x : table) x = 0.1f * normal(random);
  return table;
}

// How far a weight may be off, for values without denormals. L1: an entry is a sum of D products, so it is off by
// gamma(D) of the sum of the magnitudes; the norm adds hidden of them. L2: the same for the quadratic form, D^2
// products with Gram entries of `hidden` products each, taken of the magnitudes; the root of x off by e is off by at
// most e / sqrt(x), and by sqrt(e). Joining a group adds a rounding a head.
template <int D>
std::vector<double> weight_error(auto const& values, int head, std::vector<float> const& output, int query_heads,
                                 int hidden, bool euclidean, int tokens) {
  int const group = query_heads / values.heads();
  std::vector<double> error(static_cast<std::size_t>(tokens));
  for (int t = 0; t < tokens; ++t)
    for (int q = head * group; q < (head + 1) * group; ++q) {
      double sum = 0, squares = 0, norm = 0;
      for (int o = 0; o < hidden; ++o) {
        double entry = 0, exact = 0;
        for (int d = 0; d < D; ++d) {
          double const term = static_cast<double>(output[static_cast<std::size_t>((o * query_heads + q) * D + d)]) *
                              static_cast<double>(values.get(head, t, d));
          entry += std::abs(term);
          exact += term;
        }
        sum += entry;
        squares += entry * entry;
        norm += exact * exact;
      }
      double const off = support::gamma(hidden + 2 * D + 4) * squares;
      double const own =
          euclidean ? std::min(std::sqrt(off), off / std::sqrt(norm)) + 1e-18 : support::gamma(D + hidden + 4) * sum;
      error[static_cast<std::size_t>(t)] += own;
    }
  return error;
}

template <class Norm, class Group, class T, int D>
void check_weight(support::shape const& s, int window, int hidden, float epsilon, reference::joined how) {
  int const query_heads = s.kv_heads * s.group;
  auto const output = draw_table(static_cast<std::size_t>(hidden * query_heads * D), s.seed);
  double largest = 0;
  support::check_after_score<weigh::projected_value<Norm, Group>, T, D>(
      s, window,
      [&](auto& params) {
        params.weigh = {
            .output = {output.data(), output.size()}, .query_heads = query_heads, .hidden = hidden, .epsilon = epsilon};
      },
      [&](auto const& layer, auto& rows) {
        largest = 0;
        int head = 0;
        for (auto& row : rows) {
          auto const weight =
              reference::projected_norms(layer.values.view(), head, output, query_heads, Norm::quadratic, how);
          for (double const e : weight_error<D>(layer.values, head++, output, query_heads, hidden, Norm::quadratic,
                                                static_cast<int>(row.size())))
            if (std::isfinite(e)) largest = std::max(largest, e);
          reference::projected_value(std::span(weight).first(row.size()), static_cast<double>(epsilon), row);
        }
      },
      [&](double want, double had, double) {
        return (std::abs(had) + static_cast<double>(epsilon)) * largest + support::gamma(s.group + 6) * std::abs(want) +
               1e-18;
      });
}

support::shape draw_shape() {
  auto s = *support::shapes(1, 400);
  s.kv_heads = std::min(s.kv_heads, 3);
  s.group = std::min(s.group, 3);
  return s;
}
}  // namespace

TEST_CASE("weigh::projected_value: scores times the norm behind the output projection") {
  CHECK(support::holds("weigh::projected_value: scores times the norm behind the output projection", 40, [] {
    using projected::length, projected::magnitudes;
    auto const s = draw_shape();
    int const window = *rc::gen::resize(100, rc::gen::inRange(1, s.shortest() + 1));
    int const hidden = *rc::gen::element(1, 7, 100), form = *rc::gen::inRange(0, 4);
    float const epsilon = *rc::gen::element(0.0f, 1e-4f, 2.0f);
    if (form == 0)
      check_weight<magnitudes, aggregate::group_mean, float, 64>(s, window, hidden, epsilon, reference::joined::mean);
    if (form == 1)
      check_weight<length, aggregate::group_max, bf16, 80>(s, window, hidden, epsilon, reference::joined::largest);
    if (form == 2)
      check_weight<length, aggregate::group_mean, float, 16>(s, window, hidden, epsilon, reference::joined::mean);
    if (form == 3)
      check_weight<magnitudes, aggregate::group_sum, f16, 64>(s, window, hidden, epsilon, reference::joined::sum);
  }));
}

namespace {
template <class Stage>
support::planned weighed(support::layer<float, 64> const& l, std::vector<float> const& output, float epsilon = 0) {
  std::vector<support::layer<float, 64>> const layers{l};
  return support::make_plan<compressor<score::key_norm, Stage>>(
      0, layers,
      {.weigh = {.output = {output.data(), output.size()}, .query_heads = 4, .hidden = 9, .epsilon = epsilon}});
}
}  // namespace

TEST_CASE("weigh::projected_value: shares over the heads of a token") {
  support::layer<float, 64> l(2, 2, 70, 1, support::layout::packed, support::content::normal, 1);
  auto const output = draw_table(9 * 4 * 64, 5);
  for (int h = 0; h < 2; ++h)
    for (int d = 0; d < 64; ++d) l.values.set(h, 33, d, 0.0f);
  using shares = weigh::projected_value<projected::magnitudes, aggregate::group_mean, true>;
  auto const p = weighed<shares>(l, output);
  auto const plain = support::make_plan<key_norm<>>(0, std::vector{l}, {});
  REQUIRE(p.plan);
  REQUIRE(plain.plan);
  std::vector<std::vector<double>> weight;
  for (int h = 0; h < 2; ++h)
    weight.push_back(reference::projected_norms(l.values.view(), h, output, 4, false, reference::joined::mean));
  reference::share_over_heads(weight);
  for (int h = 0; h < 2; ++h)
    for (std::size_t t = 0; t < 70; ++t) {
      // Weights are sums of positive terms, entries of them products that cancel little: 1e-5 is far above rounding.
      double const want = plain.plan.scores(0, h)[t] * weight[static_cast<std::size_t>(h)][t];
      CHECK(std::abs(p.plan.scores(0, h)[t] - want) <= 1e-5 * std::abs(want));
      if (t == 33) CHECK(p.plan.scores(0, h)[t] == 0.0f);
    }
}

TEST_CASE("weigh::projected_value: values twice as long weigh twice as much, and share alike") {
  support::layer<float, 64> l(2, 2, 70, 1, support::layout::packed, support::content::normal, 1);
  auto const output = draw_table(9 * 4 * 64, 6);
  using shares = weigh::projected_value<projected::magnitudes, aggregate::group_mean, true>;
  using lengths = weigh::projected_value<projected::length>;
  auto const once = weighed<weigh::projected_value<>>(l, output), length = weighed<lengths>(l, output),
             share = weighed<shares>(l, output);
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 70; ++t)
      for (int d = 0; d < 64; ++d) l.values.set(h, t, d, 2 * l.values.get(h, t, d));
  auto const twice = weighed<weigh::projected_value<>>(l, output), twice_length = weighed<lengths>(l, output),
             same = weighed<shares>(l, output);
  for (int h = 0; h < 2; ++h)
    for (std::size_t t = 0; t < 70; ++t) {
      CHECK(twice.plan.scores(0, h)[t] == 2 * once.plan.scores(0, h)[t]);
      CHECK(twice_length.plan.scores(0, h)[t] == 2 * length.plan.scores(0, h)[t]);
      CHECK(same.plan.scores(0, h)[t] == share.plan.scores(0, h)[t]);
    }
}

TEST_CASE("weigh::projected_value refuses a table that does not fit") {
  support::layer<float, 64> const l(2, 1, 40, 1, support::layout::packed, support::content::normal, 1);
  std::vector<float> const output(9 * 4 * 64);
  support::workspace memory(1 << 16);
  using weighed_norm = compressor<score::key_norm, weigh::projected_value<>>;
  auto const refused = [&](std::size_t size, int query_heads, int hidden, float epsilon, errc code,
                           std::vector<std::string> const& parts) {
    auto const p = plan<weighed_norm>(
        host::on{}, l.const_view(),
        {.weigh = {.output = {output.data(), size}, .query_heads = query_heads, .hidden = hidden, .epsilon = epsilon}},
        memory.span());
    support::check_refused(p.state, code, parts);
    CHECK(memory.untouched());
  };
  refused(0, 4, 9, 0, errc::bad_shape, {"weigh.output is 0", "a multiple of 2304"});
  refused(2303, 4, 9, 0, errc::bad_shape, {"weigh.output is 2303", "a multiple of 2304"});
  refused(2304, 3, 12, 0, errc::bad_shape, {"weigh.query_heads is 3", "a multiple of the KV heads, 2"});
  refused(2304, 0, 9, 0, errc::bad_params, {"weigh.query_heads is 0", "at least 1"});
  refused(2304, 4, 0, 0, errc::bad_params, {"weigh.hidden is 0", "at least 1"});
  refused(2304, 4, 9, -1, errc::bad_params, {"weigh.epsilon is -1", "at least 0"});
}
