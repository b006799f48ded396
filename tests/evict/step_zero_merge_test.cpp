// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/host/step_zero_merge.hpp>
#include <kvsieve/reference/zero_merge.hpp>
#include <kvsieve/reference/zero_merge_step.hpp>

#include <catch2/catch_all.hpp>

#include "merging.hpp"
#include "refusal.hpp"

namespace zero_merge_step_tests {
namespace {
using namespace kvsieve;

// A layer of slots, its state, and what the reference makes of the same.
template <class T, int D, bool Strided>
struct setting {
  int heads, capacity;
  support::layer<T, D, Strided> slots;
  std::vector<float> numbers;
  zero_merge_state state;
  std::mt19937 random;

  setting(int h, int c, int used, support::content what, std::uint32_t seed)
      : heads(h),
        capacity(c),
        slots(h, 1, c + 2, 1, support::layout::padded, what, seed),
        numbers(static_cast<std::size_t>(zero_merge_state::floats(h, c))),
        state{numbers.data(), h, c, used, 0},
        random(seed) {
    for (int i = 0; i < h; ++i)
      for (int s = 0; s < used; ++s) {
        state.weight(i)[s] = static_cast<float>(1 + random() % 5);
        state.score(i)[s] = uniform();
      }
  }
  float uniform() { return static_cast<float>(random() % 100000) * 1e-5f; }
  [[nodiscard]] static std::vector<double> row(support::tensor<T, D, Strided> const& t, int head, int token) {
    std::vector<double> x;
    for (int d = 0; d < D; ++d) x.push_back(static_cast<double>(t.get(head, token, d)));
    return x;
  }
  [[nodiscard]] reference::zero_merge_slots reference_of(int head) const {
    reference::zero_merge_slots r;
    for (int s = 0; s < state.used; ++s) {
      r.keys.push_back(row(slots.keys, head, s));
      r.values.push_back(row(slots.values, head, s));
      r.weight.push_back(static_cast<double>(state.weight(head)[s]));
      r.score.push_back(static_cast<double>(state.score(head)[s]));
    }
    r.capacity = capacity;
    r.turn = state.turn;
    return r;
  }
  void check(int head, reference::zero_merge_slots const& want, double tolerance) const {
    RC_ASSERT(want.keys.size() == static_cast<std::size_t>(state.used));
    RC_ASSERT(want.turn == state.turn);
    for (std::size_t s = 0; s < want.keys.size(); ++s) {
      int const slot = static_cast<int>(s);
      RC_ASSERT(static_cast<double>(state.weight(head)[slot]) == want.weight[s]);
      RC_ASSERT(std::abs(static_cast<double>(state.score(head)[slot]) - want.score[s]) <= 1e-5 * (1 + want.score[s]));
      for (int d = 0; d < D; ++d) {
        auto const same = [&](float got, double x) {
          double const g = static_cast<double>(got);
          return std::isfinite(x) ? std::abs(g - x) <= tolerance * (1 + std::abs(x)) : std::isnan(g) == std::isnan(x);
        };
        RC_ASSERT(same(slots.keys.get(head, slot, d), want.keys[s][static_cast<std::size_t>(d)]));
        RC_ASSERT(same(slots.values.get(head, slot, d), want.values[s][static_cast<std::size_t>(d)]));
      }
    }
  }
};
}  // namespace

TEST_CASE("step_zero_merge: steps are the reference's") {
  CHECK(support::holds("step_zero_merge", 60, [] {
    auto const s = *support::shapes(1, 2);
    evict::zero_merge_step::params const params{.residual = *rc::gen::element(1, 3, 7),
                                                .tail = *rc::gen::element(2, 3, 9),
                                                .decay = *rc::gen::element(1.0f, 0.98f, 0.5f),
                                                .by_distance = *rc::gen::arbitrary<bool>(),
                                                .sums = *rc::gen::arbitrary<bool>()};
    int const capacity = params.residual + params.tail + *rc::gen::inRange(1, 30);
    int const used = *rc::gen::inRange(0, 3) == 0 ? *rc::gen::inRange(0, capacity) : capacity;
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      setting<T, D, Strided> got(s.kv_heads, capacity, used, s.what, s.seed);
      std::vector<reference::zero_merge_slots> want;
      for (int h = 0; h < s.kv_heads; ++h) want.push_back(got.reference_of(h));
      bool const exact = std::is_same_v<T, float>, chained = exact && s.what == support::content::normal;
      for (int step = 0; step < 25; ++step) {
        support::layer<T, D, Strided> const fresh(s.kv_heads, 1, 1, 1, support::layout::packed, s.what,
                                                  s.seed + 100 + static_cast<std::uint32_t>(step));
        std::vector<float> attention;
        int const seen = got.state.used + 1;
        auto const stride = static_cast<std::ptrdiff_t>(score_stride(seen));
        for (int i = 0; i < stride * s.kv_heads; ++i) attention.push_back(got.uniform());
        // Rows of 16 bits are rounded at each step, and of equal ones any may be the nearest: there the reference goes
        // on from what is stored.
        for (int h = 0; h < s.kv_heads; ++h) {
          if (!chained) want[static_cast<std::size_t>(h)] = got.reference_of(h);
          std::vector<double> p(attention.begin() + h * stride, attention.begin() + h * stride + seen);
          (void)want[static_cast<std::size_t>(h)].step(got.row(fresh.keys, h, 0), got.row(fresh.values, h, 0), p,
                                                       params.residual, params.tail, static_cast<double>(params.decay),
                                                       params.by_distance, params.sums);
        }
        auto const status = support::with_executor(s.executor, [&](auto const& on) {
          return step_zero_merge(on, got.slots.view(), fresh.const_view(),
                                 cs::span<float const>(attention.data(), attention.size()), params, got.state);
        });
        RC_ASSERT(static_cast<bool>(status));
        for (int h = 0; h < s.kv_heads; ++h)
          got.check(h, want[static_cast<std::size_t>(h)], exact ? 1e-5 : support::element_rounding<T>() + 1e-6);
      }
    });
  }));
}

TEST_CASE("step_zero_merge: every token is counted, and slots say what they stand for") {
  setting<float, 64, false> s(2, 20, 0, support::content::normal, 3);
  evict::zero_merge_step::params const params{.residual = 2, .tail = 5};
  std::vector<float> const attention(2 * 32, 0.25f);
  for (int t = 0; t < 60; ++t) {
    support::layer<float, 64> const fresh(2, 1, 1, 1, support::layout::packed, support::content::normal,
                                          static_cast<std::uint32_t>(t));
    cs::span<float const> const seen(attention.data(), attention.size());
    REQUIRE(step_zero_merge(host::on{}, s.slots.view(), fresh.const_view(), seen, params, s.state));
    for (int h = 0; h < 2; ++h) {
      float sum = 0;
      for (int i = 0; i < s.state.used; ++i) sum += s.state.weight(h)[i];
      CHECK(sum == static_cast<float>(t + 1));
    }
    // The newest are there as they were.
    int const newest = t < 20 ? t : 16 + (t - 20) % 4;
    for (int d = 0; d < 64; ++d) CHECK(s.slots.keys.get(1, newest, d) == fresh.keys.get(1, 0, d));
  }
  auto const bias = s.state.bias(0.5f);
  CHECK(bias(1, 0) == 0.5f * std::log(s.state.weight(1)[0]));
  CHECK(bias(1, 19) == 0.0f);
}

TEST_CASE("begin_zero_merge: weights and scores of what the prompt left") {
  using C = compressor<score::random, evict::zero_merge>;
  support::shape s;
  s.kv_heads = 2;
  s.tokens = {200};
  C::params params{.budget = {.tokens = 40}};
  params.evict.residual = 3;
  support::merged<C, float, 64, false> const m(s, params);
  std::vector<float> scores(400), numbers(static_cast<std::size_t>(zero_merge_state::floats(2, 50)));
  for (std::size_t i = 0; i < 400; ++i) scores[i] = static_cast<float>(i * 37 % 101);
  for (bool const sums : {false, true}) {
    zero_merge_state state{numbers.data(), 2, 50, 0, 0};
    evict::zero_merge_step::params const step{.residual = 3, .tail = 9, .sums = sums};
    REQUIRE(begin_zero_merge(m.p.plan, 0, m.layers[0].const_view(), {scores.data(), 400}, params.evict, step, state));
    CHECK(state.used == 43);
    for (int h = 0; h < 2; ++h) {
      auto const head = m.head(0, h);
      auto const want = reference::zero_merge(head, 3);
      for (int i = 0; i < 43; ++i) {
        CHECK(static_cast<double>(state.weight(h)[i]) == want.mass[static_cast<std::size_t>(i)]);
        if (i >= 3)
          CHECK(state.score(h)[i] ==
                scores[static_cast<std::size_t>(200 * h + head.kept[static_cast<std::size_t>(i - 3)])]);
      }
      for (int i = 0, e = 0; i < 3; ++i) {
        float joined = 0;
        for (int n = 0; n < static_cast<int>(want.mass[static_cast<std::size_t>(i)]); ++n, ++e) {
          float const x = scores[static_cast<std::size_t>(200 * h + head.evicted[static_cast<std::size_t>(e)])];
          joined = sums ? joined + x : std::max(joined, x);
        }
        CHECK(state.score(h)[i] == joined);
      }
    }
  }
  zero_merge_state small{numbers.data(), 2, 42, 0, 0};
  support::check_refused(begin_zero_merge(m.p.plan, 0, m.layers[0].const_view(), {scores.data(), 400}, params.evict,
                                          {.residual = 3}, small),
                         errc::bad_shape, {"state.capacity is 42", "43"});
  support::check_refused(begin_zero_merge(m.p.plan, 0, m.layers[0].const_view(), {scores.data(), 399}, params.evict,
                                          {.residual = 3}, small),
                         errc::bad_shape, {"scores is 399", "400"});
  support::check_refused(
      begin_zero_merge(m.p.plan, 0, m.layers[0].const_view(), {scores.data(), 400}, params.evict, {}, small),
      errc::bad_params, {"residual is 1", "3"});
  CHECK(small.used == 0);
}

TEST_CASE("step_zero_merge refuses what does not fit, and changes nothing") {
  setting<float, 64, false> s(2, 20, 20, support::content::normal, 3);
  support::layer<float, 64> const fresh(2, 1, 1, 1, support::layout::packed, support::content::normal, 1),
      two(2, 1, 2, 1, support::layout::packed, support::content::normal, 1);
  std::vector<float> const attention(64, 0.1f);
  auto const numbers = s.numbers;
  auto const keys = s.slots.keys.memory();
  auto const refused = [&](evict::zero_merge_step::params const& p, auto const& in, std::size_t seen,
                           zero_merge_state state, errc code, std::vector<std::string> const& parts) {
    support::check_refused(
        step_zero_merge(host::on{}, s.slots.view(), in, cs::span<float const>(attention.data(), seen), p, state), code,
        parts);
    CHECK(s.numbers == numbers);
    CHECK(std::memcmp(s.slots.keys.memory().data(), keys.data(), keys.size() * sizeof(float)) == 0);
  };
  evict::zero_merge_step::params const fine{.tail = 5};
  auto const one = fresh.const_view();
  refused({.residual = 0}, one, 64, s.state, errc::bad_params, {"residual is 0", "at least 1"});
  refused({.tail = 1}, one, 64, s.state, errc::bad_params, {"tail is 1", "at least 2"});
  refused({.decay = NAN}, one, 64, s.state, errc::bad_params, {"decay is nan"});
  refused({.residual = 4, .tail = 16}, one, 64, s.state, errc::bad_shape,
          {"state.capacity is 20", "greater than", "20"});
  refused(fine, two.const_view(), 64, s.state, errc::bad_shape, {"fresh.tokens is 2", "1"});
  refused(fine, one, 63, s.state, errc::bad_shape, {"attention is 63", "64"});
  auto state = s.state;
  state.data = nullptr;
  refused(fine, one, 64, state, errc::bad_pointer, {"state is 0", "null"});
  state = s.state;
  state.heads = 1;
  refused(fine, one, 64, state, errc::bad_shape, {"state.heads is 1", "2"});
  state = s.state;
  state.capacity = 23;
  refused(fine, one, 64, state, errc::bad_shape, {"keys.tokens is 22", "23"});
  state = s.state;
  state.used = 21;
  refused(fine, one, 64, state, errc::bad_shape, {"state.used is 21", "20"});
  state = s.state;
  state.turn = 4;
  refused(fine, one, 64, state, errc::bad_shape, {"state.turn is 4", "less than", "4"});
}
}  // namespace zero_merge_step_tests
