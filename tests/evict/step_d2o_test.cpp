// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/host/step_d2o.hpp>
#include <kvsieve/reference/d2o_step.hpp>

#include <catch2/catch_all.hpp>

#include "merging.hpp"
#include "refusal.hpp"

namespace d2o_step_tests {
namespace {
using namespace kvsieve;

// A layer with room for more, its state, and what the reference makes of the same.
template <class T, int D>
struct setting {
  int heads, room, entries;
  support::tensor<T, D> keys, values;
  std::vector<float> numbers;
  d2o_state state;
  std::mt19937 random;

  setting(int h, int r, std::uint32_t seed, support::content what = support::content::normal)
      : heads(h),
        room(r),
        entries(0),
        keys(h, r),
        values(h, r),
        numbers(static_cast<std::size_t>(d2o_state::floats(h, r))),
        state{numbers.data(), h, r, 0},
        random(seed) {
    keys.fill(random, what);
    values.fill(random, what);
  }
  [[nodiscard]] auto layer(int tokens) {
    auto const rows = [&](support::tensor<T, D>& t) {
      return make_rows<D>(t.memory().data(), heads, tokens, kvsieve::index{room} * D, D);
    };
    return kv_layer{rows(keys), rows(values)};
  }
  [[nodiscard]] std::vector<float> attention(int tokens) {
    std::vector<float> a;
    for (int i = 0; i < heads * score_stride(tokens); ++i) a.push_back(static_cast<float>(random() % 100000) * 1e-5f);
    return a;
  }
  template <class Exec>
  status step(Exec const& on, int tokens, std::vector<float> const& attention, evict::d2o_step::params const& params) {
    auto const l = layer(tokens);
    using view = std::remove_const_t<decltype(l)>;
    cs::span<view const> const layers(&l, 1);
    cs::span<float const> const seen(attention.data(), attention.size());
    cs::span<cs::span<float const> const> const all(&seen, 1);
    cs::span<d2o_state> const states(&state, 1);
    support::workspace memory(step_d2o_workspace_bytes(on, layers, all, params, states));
    auto const done = step_d2o(on, layers, all, params, states, memory.span());
    CHECK(memory.guards_hold());
    return done;
  }
  [[nodiscard]] std::vector<double> row(support::tensor<T, D> const& t, int head, int token) const {
    std::vector<double> x;
    for (int d = 0; d < D; ++d) x.push_back(static_cast<double>(t.get(head, token, d)));
    return x;
  }
  // Entries of all heads, with new ones from state.used to `tokens`.
  [[nodiscard]] reference::d2o_entries reference_of(int tokens) const {
    reference::d2o_entries r;
    for (int h = 0; h < heads; ++h) {
      auto& k = r.keys.emplace_back();
      auto& v = r.values.emplace_back();
      auto& s = r.score.emplace_back();
      for (int t = 0; t < tokens; ++t) {
        k.push_back(row(keys, h, t));
        v.push_back(row(values, h, t));
        if (t < state.used) s.push_back(static_cast<double>(state.row(h)[t]));
      }
    }
    r.threshold = static_cast<double>(state.threshold);
    return r;
  }
};

// True where rounding may decide otherwise than the reference.
bool close_call(reference::d2o_entries const& before, reference::d2o_entries const& after,
                reference::d2o_entries::step_result const& r, bool together) {
  for (std::size_t h = 0; h < r.left.size(); ++h)
    for (std::size_t e = 0; e < r.left[h].size(); ++e) {
      double judged = r.similarity[h][e];
      if (together) {
        judged = 0;
        for (std::size_t g = 0; g < r.left.size(); ++g)
          judged += r.similarity[g][e] / static_cast<double>(r.left.size());
      }
      if (judged != after.threshold && std::abs(judged - after.threshold) < 1e-5) return true;
      for (int const k : r.kept[h]) {
        auto const &a = before.keys[h][static_cast<std::size_t>(r.left[h][e])],
                   &b = before.keys[h][static_cast<std::size_t>(k)];
        if (!reference::usable(a) || !reference::usable(b)) continue;
        double const behind = r.similarity[h][e] - reference::cosine(a, b);
        if (behind != 0 && behind < 1e-5) return true;
      }
      // A single similarity equals the mean up to rounding, and decides by it.
      if (std::abs(judged - after.threshold) < 1e-5) return true;
    }
  return false;
}
}  // namespace

TEST_CASE("step_d2o: steps are the reference's") {
  int discarded = 0, compared = 0;
  CHECK(support::holds("step_d2o", 60, [&] {
    auto const s = *support::shapes(1, 2);
    evict::d2o_step::params const params{.heavy = *rc::gen::inRange(0, 20),
                                         .recent = *rc::gen::inRange(1, 20),
                                         .sink = *rc::gen::element(0, 4),
                                         .decay = *rc::gen::element(0.5f, 0.3f, 1.0f),
                                         .share = *rc::gen::element(0.5f, 0.7f),
                                         .together = *rc::gen::arbitrary<bool>()};
    int const prompt = *rc::gen::inRange(1, 300), stay = params.heavy + params.recent;
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      setting<T, D> got(s.kv_heads, 320, s.seed, s.what);
      for (int step = 0; step < 12; ++step) {
        int const tokens = step == 0 ? prompt : got.state.used + 1 + static_cast<int>(got.random() % 2);
        if (step > 0)  // what lies behind the entries is new; a row of what was there serves
          for (int h = 0; h < s.kv_heads; ++h)
            for (int t = got.state.used; t < tokens; ++t)
              for (int d = 0; d < D; ++d) {
                got.keys.set(h, t, d, got.keys.get(h, 319 - t % 19, d));
                got.values.set(h, t, d, got.values.get(h, 319 - t % 19, d));
              }
        auto const attention = got.attention(tokens);
        auto want = got.reference_of(tokens);
        auto const before = want;
        std::vector<std::vector<double>> seen;
        for (int h = 0; h < s.kv_heads; ++h)
          seen.emplace_back(attention.begin() + h * score_stride(tokens),
                            attention.begin() + h * score_stride(tokens) + tokens);
        auto const result = want.step(seen, params.heavy, params.recent, params.sink, static_cast<double>(params.decay),
                                      static_cast<double>(params.share), params.together);
        auto const done =
            support::with_executor(s.executor, [&](auto const& on) { return got.step(on, tokens, attention, params); });
        RC_ASSERT(static_cast<bool>(done));
        RC_ASSERT(got.state.used == std::min(tokens, stay));
        if (close_call(before, want, result, params.together)) {
          ++discarded;
          continue;
        }
        ++compared;
        if (tokens > stay)
          RC_ASSERT(std::abs(static_cast<double>(got.state.threshold) - want.threshold) <= 1e-5);
        else
          RC_ASSERT(std::isnan(got.state.threshold) == std::isnan(want.threshold));
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const i = static_cast<std::size_t>(h);
          auto const l = got.layer(got.state.used);
          support::assert_rows<T>(l.keys, h, want.keys[i], support::largest_of(before.keys[i]));
          support::assert_rows<T>(l.values, h, want.values[i], support::largest_of(before.values[i]));
          for (int t = 0; t < got.state.used; ++t) {
            double const x = want.score[i][static_cast<std::size_t>(t)], g = static_cast<double>(got.state.row(h)[t]);
            RC_ASSERT((std::isinf(x) ? g == x : std::abs(g - x) <= 1e-5 * (1 + x)));
          }
        }
      }
    });
  }));
  CHECK(compared > discarded);
}

TEST_CASE("step_d2o: the first compression is d2o_merge's, bit for bit") {
  using C = compressor<score::random, evict::d2o_merge>;
  support::shape s;
  s.kv_heads = 3;
  s.tokens = {300};
  support::merged<C, float, 64, false> const m(s, {.budget = {.tokens = 40}});
  setting<float, 64> got(3, 300, 1);
  std::vector<float> attention(static_cast<std::size_t>(3 * score_stride(300)), 0.0f);
  for (int h = 0; h < 3; ++h) {
    for (int const t : m.head(0, h).kept) attention[static_cast<std::size_t>(score_stride(300) * h + t)] = 1;
    for (int t = 0; t < 300; ++t)
      for (int d = 0; d < 64; ++d) {
        got.keys.set(h, t, d, m.layers[0].keys.get(h, t, d));
        got.values.set(h, t, d, m.layers[0].values.get(h, t, d));
      }
  }
  REQUIRE(got.step(host::on{}, 300, attention, {.heavy = 40, .recent = 0, .sink = 0}));
  for (int h = 0; h < 3; ++h)
    for (int t = 0; t < 40; ++t)
      for (int d = 0; d < 64; ++d) {
        CHECK(got.keys.get(h, t, d) == m.result[0].keys.get(h, t, d));
        CHECK(got.values.get(h, t, d) == m.result[0].values.get(h, t, d));
      }
}

TEST_CASE("step_d2o: views of different lengths, any executor, the same bits") {
  std::vector<std::vector<float>> first;
  for (int const executor : {0, 1, 2}) {
    setting<float, 64> a(2, 200, 1), b(2, 200, 2);
    std::vector const layers{a.layer(150), b.layer(30)};
    using view = std::remove_cvref_t<decltype(layers[0])>;
    auto const x = a.attention(150), y = b.attention(30);
    cs::span<float const> const seen[] = {{x.data(), x.size()}, {y.data(), y.size()}};
    d2o_state states[] = {a.state, b.state};
    support::with_executor(executor, [&](auto const& on) {
      cs::span<view const> const all(layers.data(), 2);
      cs::span<cs::span<float const> const> const attention(seen, 2);
      evict::d2o_step::params const params{.heavy = 20, .recent = 20};
      support::workspace memory(step_d2o_workspace_bytes(on, all, attention, params, cs::span<d2o_state>(states, 2)));
      REQUIRE(step_d2o(on, all, attention, params, cs::span<d2o_state>(states, 2), memory.span()));
      CHECK(memory.guards_hold());
    });
    CHECK(states[0].used == 40);
    CHECK(states[1].used == 30);
    CHECK(!std::isnan(states[0].threshold));
    CHECK(std::isnan(states[1].threshold));
    std::vector<std::vector<float>> const now{a.keys.memory(), a.values.memory(), a.numbers, b.numbers};
    if (first.empty()) first = now;
    CHECK(now == first);
  }
}

TEST_CASE("step_d2o refuses what does not fit, and changes nothing") {
  setting<float, 64> s(2, 50, 1);
  auto const attention = s.attention(40);
  auto const numbers = s.numbers;
  auto const keys = s.keys.memory();
  auto const refused = [&](evict::d2o_step::params const& p, std::size_t seen, d2o_state state, errc code,
                           std::vector<std::string> const& parts) {
    auto const l = s.layer(40);
    using view = std::remove_const_t<decltype(l)>;
    cs::span<float const> const a(attention.data(), seen);
    cs::span<cs::span<float const> const> const all(&a, 1);
    support::workspace memory(1 << 20);
    support::check_refused(
        step_d2o(host::on{}, cs::span<view const>(&l, 1), all, p, cs::span<d2o_state>(&state, 1), memory.span()), code,
        parts);
    CHECK(memory.untouched());
    CHECK(s.numbers == numbers);
    CHECK(s.keys.memory() == keys);
  };
  evict::d2o_step::params const fine{.heavy = 10, .recent = 10};
  refused({.heavy = -1}, 96, s.state, errc::bad_params, {"heavy is -1", "at least 0"});
  refused({.heavy = 0, .recent = 0}, 96, s.state, errc::bad_params, {"heavy and recent is 0", "1"});
  refused({.decay = 1.5f}, 96, s.state, errc::bad_params, {"decay is 1.5", "at most 1"});
  refused({.share = NAN}, 96, s.state, errc::bad_params, {"share is nan"});
  refused(fine, 95, s.state, errc::bad_shape, {"attention is 95", "96"});
  auto state = s.state;
  state.score = nullptr;
  refused(fine, 96, state, errc::bad_pointer, {"state is 0", "null"});
  state = s.state;
  state.heads = 3;
  refused(fine, 96, state, errc::bad_shape, {"state.heads is 3", "2"});
  state = s.state;
  state.capacity = 39;
  refused(fine, 96, state, errc::bad_shape, {"state.capacity is 39", "40"});
  state = s.state;
  state.used = 40;
  refused(fine, 96, state, errc::bad_shape, {"state.used is 40", "less than", "40"});
  state.used = -1;
  refused(fine, 96, state, errc::bad_shape, {"state.used is -1", "0"});
}
}  // namespace d2o_step_tests
