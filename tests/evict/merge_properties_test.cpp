// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What holds for every policy that merges: nothing to merge, one row left, the same bytes on any number of threads,
// masses that are kept, rows that are not finite, and results in ragged memory.
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>

#include <catch2/catch_all.hpp>

#include "merging.hpp"
#include "raw_bits.hpp"

using namespace kvsieve;

namespace {
template <class E>
using drawn = compressor<score::random, E>;
template <class E>
struct of {
  using type = E;
};

// Calls f.operator()<E>() for every policy, then for pieces that no published method has.
template <class F>
void with_every_policy(F const& f) {
  f(of<evict::merge_nearest>{}), f(of<evict::merge_on_evict>{}), f(of<evict::look_m_pivot>{});
  f(of<evict::look_m_weighted>{}), f(of<evict::d2o_merge>{}), f(of<evict::elastic_merge>{});
  f(of<evict::merge_runs>{}), f(of<evict::cam>{}), f(of<evict::cam_prefill>{}), f(of<evict::zero_merge>{});
  f(of<evict::merge<nearest::l2, gate::threshold, merge_weight::gaussian, merged::keys>>{});
  f(of<evict::merge<nearest::dot, gate::fraction, merge_weight::count, merged::values>>{});
}
// Numbers under which every policy merges something of random rows.
template <class E>
typename drawn<E>::params lively(double keep) {
  typename drawn<E>::params p;
  p.budget.keep = keep;
  if constexpr (requires { p.evict.nearest.alike; }) p.evict.nearest.alike = -1;
  if constexpr (requires { p.evict.gate.threshold; }) p.evict.gate.threshold = -1e9f;
  return p;
}
support::shape some_shape(std::vector<int> tokens) {
  support::shape s;
  s.kv_heads = 2;
  s.tokens = std::move(tokens);
  s.seed = 5;
  return s;
}
template <class Tensor>
bool same(Tensor const& a, Tensor const& b) {
  return support::same_elsewhere(a, b, [](int, int) { return false; });
}
}  // namespace

TEST_CASE("where all tokens stay they stay bit for bit, with no bias") {
  with_every_policy([]<class E>(of<E>) {
    support::merged<drawn<E>, bf16, 64, false> const m(some_shape({90, 1}), lively<E>(1));
    for (std::size_t v = 0; v < 2; ++v) {
      // cam_prefill spreads before anything is dropped.
      if (!std::is_same_v<E, evict::cam_prefill>) CHECK(same(m.layers[v].values, m.result[v].values));
      CHECK(same(m.layers[v].keys, m.result[v].keys));
      for (std::size_t i = 0; i + 1 < m.codes[v].size(); ++i) CHECK(m.codes[v][i] == 0);
    }
  });
}

TEST_CASE("where no token stays nothing is written but slots") {
  with_every_policy([]<class E>(of<E>) {
    support::merged<drawn<E>, float, 64, false> const m(some_shape({40}), lively<E>(0));
    CHECK(m.result[0].keys.tokens() == (std::is_same_v<E, evict::zero_merge> ? 1 : 0));
  });
}

TEST_CASE("where one token stays it takes all that merges") {
  auto params = lively<evict::look_m_averaged>(0);
  params.budget.tokens = 1;
  support::merged<drawn<evict::look_m_averaged>, float, 64, false> const m(some_shape({500}), params);
  for (int h = 0; h < 2; ++h) {
    auto const head = m.head(0, h);
    for (int d = 0; d < 64; ++d) {
      double sum = 0;
      for (auto const& v : head.values) sum += v[static_cast<std::size_t>(d)];
      CHECK(std::abs(reference::element_at(m.result[0].values.view(), h, 0, d) - sum / 500) < 1e-4);
    }
    CHECK(std::abs(m.bias(0, h, 0) - 3) == 0);  // log(500) is more than the largest bias
  }
}

TEST_CASE("the same bytes for any number of threads") {
  with_every_policy([]<class E>(of<E>) {
    using C = drawn<E>;
    auto s = some_shape({1500, 70, 1});
    s.kv_heads = 3;
    auto params = lively<E>(0.3);
    std::vector<support::layer<f16, 64>> const layers =
        support::make_layers<f16, 64, false>(s, [](int n) { return n; });
    auto const p = support::make_plan<C>(0, layers, params);
    std::vector<decltype(layers[0].const_view())> from;
    for (auto const& l : layers) from.push_back(l.const_view());
    cs::span<decltype(layers[0].const_view()) const> const all(from.data(), from.size());
    std::vector<std::vector<f16>> first;
    std::vector<cs::uint8_t> first_codes;
    for (int threads = 1; threads <= 8; ++threads) {
      std::vector<support::layer<f16, 64>> result;
      std::vector<cs::uint8_t> codes;
      std::vector<entry_bias_target> bias;
      int most = 0;
      for (int v = 0; v < 3; ++v) {
        int rows = 0;
        for (int h = 0; h < 3; ++h) rows = std::max(rows, merged_rows<C>(p.plan, params, v, h));
        result.emplace_back(3, 1, rows, 1, support::layout::packed, support::content::normal, 9u);
        most = std::max(most, rows);
      }
      codes.resize(static_cast<std::size_t>(9 * most));
      std::vector<decltype(result[0].view())> to;
      for (int v = 0; v < 3; ++v) {
        to.push_back(result[static_cast<std::size_t>(v)].view());
        bias.push_back({codes.data() + 3 * v * most, most, nullptr});
      }
      host::team team{threads};
      host::on const on{team};
      support::workspace memory(apply_workspace_bytes<C>(on, p.plan, all, params));
      REQUIRE(apply<C>(on, p.plan, all, cs::span<decltype(result[0].view()) const>(to.data(), to.size()), params,
                       memory.span(), cs::span<entry_bias_target const>(bias.data(), bias.size())));
      std::vector<std::vector<f16>> bytes;
      for (auto const& r : result) {
        bytes.push_back(r.keys.memory());
        bytes.push_back(r.values.memory());
      }
      if (threads == 1) {
        first = bytes;
        first_codes = codes;
      }
      CHECK(bytes == first);
      CHECK(codes == first_codes);
    }
  });
}

TEST_CASE("merge_nearest: what the values carry, times their scores, is what it was") {
  auto params = lively<evict::merge_nearest>(0.1);
  support::merged<drawn<evict::merge_nearest>, float, 64, false> const m(some_shape({700}), params);
  for (int h = 0; h < 2; ++h) {
    auto const head = m.head(0, h);
    auto const score = m.scores(0, h);
    auto const want = reference::merge_nearest(head, score);
    for (int d = 0; d < 64; ++d) {
      double before = 0, after = 0;
      for (std::size_t t = 0; t < score.size(); ++t) before += score[t] * head.values[t][static_cast<std::size_t>(d)];
      for (std::size_t j = 0; j < want.mass.size(); ++j)
        after += want.mass[j] * score[static_cast<std::size_t>(head.kept[j])] *
                 reference::element_at(m.result[0].values.view(), h, static_cast<int>(j), d);
      CHECK(std::abs(before - after) < 1e-3);
    }
  }
}

TEST_CASE("zero_merge: the rows, times the tokens that they stand for, sum to what they did") {
  auto params = lively<evict::zero_merge>(0.2);
  params.evict.residual = 4;
  support::merged<drawn<evict::zero_merge>, float, 64, false> const m(some_shape({300}), params);
  for (int h = 0; h < 2; ++h) {
    auto const head = m.head(0, h);
    for (int d = 0; d < 64; ++d) {
      double before = 0, after = 0;
      for (auto const& v : head.values) before += v[static_cast<std::size_t>(d)];
      for (int r = 0; r < 64; ++r)
        after += (r < 4 ? 60 : 1) * reference::element_at(m.result[0].values.view(), h, r, d);
      CHECK(std::abs(before - after) < 1e-3);
    }
  }
}

TEST_CASE("cam, all of it expected: a sum of values grows by what is spread") {
  auto params = lively<evict::cam>(0.5);
  params.evict.drawn = false;
  std::vector<float> certain(2 * 400, 1.0f);  // each spreads all of its value
  params.evict.attention = {certain.data(), certain.size()};
  support::merged<drawn<evict::cam>, float, 64, false> const m(some_shape({400}), params);
  for (int h = 0; h < 2; ++h) {
    auto const head = m.head(0, h);
    for (int d = 0; d < 64; ++d) {
      double before = 0, after = 0;
      for (std::size_t t = 0; t < head.values.size(); ++t)
        if (static_cast<int>(t) <= head.kept.back()) before += head.values[t][static_cast<std::size_t>(d)];
      for (int r = 0; r < 200; ++r) after += reference::element_at(m.result[0].values.view(), h, r, d);
      CHECK(std::abs(before - after) < 1e-3);
    }
  }
}

TEST_CASE("evicted rows that are not finite reach no other row") {
  with_every_policy([]<class E>(of<E>) {
    using C = drawn<E>;
    auto const s = some_shape({200});
    auto params = lively<E>(0.5);
    auto layers = support::make_layers<float, 64, false>(s, [](int n) { return n; });
    auto const p = support::make_plan<C>(0, layers, params);
    std::mt19937 random(3);
    for (int h = 0; h < 2; ++h) {
      auto const kept = p.plan.kept(0, h);
      for (int t = 0; t < 200; ++t)
        if (random() % 4 == 0 && !std::binary_search(kept.begin(), kept.end(), t))
          (random() % 2 == 0 ? layers[0].keys : layers[0].values)
              .set(h, t, static_cast<int>(random() % 64), random() % 2 == 0 ? HUGE_VALF : std::nanf(""));
    }
    support::layer<float, 64> result(2, 1, merged_rows<C>(p.plan, params, 0, 0), 1, support::layout::packed,
                                     support::content::normal, 9u);
    support::workspace memory(apply_workspace_bytes<C>(host::on{}, p.plan, layers[0].const_view(), params));
    REQUIRE(apply<C>(host::on{}, p.plan, layers[0].const_view(), result.view(), params, memory.span()));
    for (auto const* const t : {&result.keys, &result.values}) {
      int wrong = 0;
      for (float const x : t->memory()) wrong += !std::isfinite(x);
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("a cache with a head of fewer tokens than the plan is refused: what goes would lie behind it") {
  using C = compressor<score::random, evict::merge_nearest>;
  support::merged<C, float, 64, false> const whole(some_shape({40}), {.budget = {.keep = 0.1}});
  auto const& plan = whole.p.plan;
  std::vector<float> rows(2 * 40 * 64), out(rows.size());
  kvsieve::index const offset[] = {0, 40, 79};
  auto const view = make_ragged<64>(static_cast<float const*>(rows.data()), 2, offset);
  kv_layer const to{make_rows<64>(out.data(), 2, 20), make_rows<64>(out.data() + 2 * 20 * 64, 2, 20)};
  C::params const params{.budget = {.keep = 0.1}};
  kv_layer const from{view, view};
  REQUIRE(plan.kept(0, 1).back() < 39);  // or what stays would be refused
  CHECK(apply_workspace_bytes<C>(host::on{}, plan, from, params) == 0);
  char line[200];
  CHECK(std::string(apply<C>(host::on{}, plan, from, to, params, {}).message(line)) ==
        "view 0: from.tokens is 39, must, of each head, be at least the tokens of the plan, 40");
}

TEST_CASE("a result in ragged memory is the dense one, biases by offset") {
  using E = evict::merge_nearest;
  using C = compressor<score::random, select::threshold, store::ragged, E>;
  auto const s = some_shape({300});
  C::params params;
  params.select.threshold = 0.7f;
  params.select.recent = 5;
  support::merged<C, bf16, 64, false> const dense(s, params);
  auto const& plan = dense.p.plan;
  REQUIRE(plan.count(0, 0) != plan.count(0, 1));
  auto const rows = static_cast<std::size_t>(plan.offset[2]);
  std::vector<bf16> keys(rows * 64), values(rows * 64);
  std::vector<cs::uint8_t> codes(rows);
  kv_layer const to{make_ragged<64>(keys.data(), 2, plan.offset), make_ragged<64>(values.data(), 2, plan.offset)};
  auto const from = dense.layers[0].const_view();
  support::workspace memory(apply_workspace_bytes<C>(host::on{}, plan, from, params));
  REQUIRE(apply<C>(host::on{}, plan, from, to, params, memory.span(), entry_bias_target{codes.data(), 0, plan.offset}));
  for (int h = 0; h < 2; ++h)
    for (int r = 0; r < plan.count(0, h); ++r) {
      for (int d = 0; d < 64; ++d) {
        CHECK(to.keys(h, r, d) == dense.result[0].keys.view()(h, r, d));
        CHECK(to.values(h, r, d) == dense.result[0].values.view()(h, r, d));
      }
      CHECK(entry_bias{codes.data(), 0, plan.offset}(h, r) == dense.bias(0, h, r));
    }
}
