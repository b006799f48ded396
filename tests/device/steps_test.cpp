// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What goes on at every token, on emulated blocks against the host: states, turned keys, steps of ZeroMerge and D2O.
#include <kvsieve/device/evict/begin_zero_merge.hpp>
#include <kvsieve/device/evict/rotate_keys.hpp>
#include <kvsieve/device/evict/step_d2o.hpp>
#include <kvsieve/host/compact_state.hpp>
#include <kvsieve/host/rotate_keys.hpp>
#include <kvsieve/host/step_d2o.hpp>
#include <kvsieve/host/step_zero_merge.hpp>

#include "combinations.hpp"
#include "emulated_plan.hpp"
#include "generators.hpp"
#include "random_plan.hpp"
#include "workspace.hpp"

namespace steps_tests {
using namespace kvsieve_test;
using kvs::index;

namespace {
constexpr int D = 64;
kvs::host::on<> const on_host_;

template <class T>
kvs::cs::span<T const> one(T const& x) {
  return {&x, 1};
}
template <class T>
kvs::cs::span<T> one(T& x) {
  return {&x, 1};
}
/// The largest distance of two tensors' first rows.
template <class T>
double apart(tensor<T, D>& a, tensor<T, D>& b, int rows) {
  double most = 0;
  for (int h = 0; h < a.heads; ++h)
    for (int t = 0; t < rows; ++t)
      for (int d = 0; d < D; ++d) {
        double const x = static_cast<double>(kvs::to_float(a.at(h, t, d))),
                     y = static_cast<double>(kvs::to_float(b.at(h, t, d)));
        if (std::isnan(x) && std::isnan(y)) continue;
        if (x != y) most = std::max(most, std::abs(x - y));
        if (std::isnan(x) != std::isnan(y)) most = 1e30;
      }
  return most;
}
/// The first `tokens` rows of a cache that has room for more.
template <class T>
auto first_rows(cache<T, D>& c, int tokens) {
  auto const rows = [&](tensor<T, D>& t) {
    return kvs::make_rows<D>(t.data(), t.heads, tokens, index{t.tokens} * D, D);
  };
  return kvs::kv_layer{rows(c.keys), rows(c.values)};
}
std::vector<float> drawn_attention(std::mt19937& random, int heads, int tokens) {
  std::vector<float> a;
  for (int i = 0; i < heads * kvs::score_stride(tokens); ++i)
    a.push_back(static_cast<float>(random() % 100000) * 1e-5f);
  return a;
}
}  // namespace

TEST_CASE("compact_state on the device: numbers and structs follow the rows, as on the host", "[device]") {
  struct pair {
    double a;
    int b;
    bool operator==(pair const&) const = default;
  };
  CHECK(support::holds("device compact_state", race_check ? 5 : 100, [] {
    support::random_plan const drawn(*rc::gen::arbitrary<std::uint32_t>());
    auto plan = drawn.view();
    auto const host_plan = plan;
    plan.device_offset = plan.offset;
    int const view = *rc::gen::inRange(0, plan.views), n = plan.tokens(view);
    std::vector<float> numbers(static_cast<std::size_t>(plan.heads * (n + 3)));
    std::vector<pair> pairs(static_cast<std::size_t>(plan.heads * n));
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
    for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {0.5 * static_cast<double>(i), static_cast<int>(i)};
    auto want_numbers = numbers;
    auto want_pairs = pairs;
    auto const views = [&](auto& a, auto& b, auto const& f) {
      return f(kvs::cs::mdspan<float, kvs::cs::dextents<int, 2>>(a.data(), plan.heads, n + 3),
               kvs::cs::mdspan<pair, kvs::cs::dextents<index, 2>>(b.data(), plan.heads, n));
    };
    emulated_device<64> const on{nullptr, *rc::gen::inRange<std::uint64_t>(1, 99)};
    RC_ASSERT(static_cast<bool>(views(
        numbers, pairs, [&](auto const& a, auto const& b) { return kvs::device::move_states(on, plan, view, a, b); })));
    RC_ASSERT(static_cast<bool>(views(want_numbers, want_pairs, [&](auto const& a, auto const& b) {
      return kvs::compact_state(on_host_, host_plan, view, a, b);
    })));
    RC_ASSERT(numbers == want_numbers);
    RC_ASSERT(pairs == want_pairs);
  }));
  kvs::device::open_plan const none{.state = kvs::fail(kvs::errc::bad_plan, "layers", 0, "must be at least", 1)};
  CHECK(kvs::device::move_states(emulated_device<64>{}, none, 0).argument == std::string_view("layers"));
}

TEST_CASE("rotate on the device: keys turn as on the host", "[device]") {
  struct by_row {
    [[nodiscard]] KVSIEVE_HD index operator()(int view, int head, int row) const { return (row + head + view) % 5 - 2; }
  };
  auto const check = [&]<int Threads>(kvs::rotation const& r) {
    tensor<float, D> a(2, 70, 1), b(2, 33, 2);
    auto wa = a, wb = b;
    std::vector const got{a.view(), b.view()}, want{wa.view(), wb.view()};
    emulated_device<Threads> const on;
    using keys = kvs::rows<float, D>;
    REQUIRE(kvs::device::rotate(on, kvs::cs::span<keys const>(got.data(), 2), r, kvs::device::said_difference<by_row>{},
                                [](int) { return kvs::device::kept_lists{}; }));
    REQUIRE(kvs::rotate_keys(on_host_, kvs::cs::span<keys const>(want.data(), 2), r, by_row{}));
    CHECK(apart(a, wa, 70) <= 1e-6);
    CHECK(apart(b, wb, 33) <= 1e-6);
  };
  std::vector<double> const frequencies{1.0, 0.5, 0.25, 0.1, 0.01, 0.001, 3.0, 0.7};
  check.operator()<32>({});
  check.operator()<128>({.frequencies = {frequencies.data(), 8}, .interleaved = true, .channels = 16});

  using strategy = kvs::key_norm<kvs::budget::over_all, kvs::store::ragged>;
  cache<float, D> c(2, 90, 5);
  std::vector const layers{c.layer()};
  auto const made = emulated_plan<strategy, 64>(layers, {.budget = {.keep = 0.4}});
  auto keys = c.keys;
  std::vector const got{c.keys.view()}, want{keys.view()};
  using view = kvs::rows<float, D>;
  REQUIRE(kvs::device::rotate_kept(emulated_device<64>{}, made.plan, kvs::cs::span<view const>(got.data(), 1), {}));
  REQUIRE(kvs::rotate_to_slots(on_host_, on_host(made.plan), kvs::cs::span<view const>(want.data(), 1), {}));
  CHECK(apart(c.keys, keys, 90) <= 1e-5);
}

TEST_CASE("step_zero_merge on the device: steps are the host's", "[device]") {
  CHECK(support::holds("device zero_merge", race_check ? 3 : 40, [] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    kvs::evict::zero_merge_step::params const p{.residual = *rc::gen::element(1, 1, 3, 40),
                                                .tail = *rc::gen::element(2, 5, 16),
                                                .decay = 0.9f,
                                                .by_distance = *rc::gen::arbitrary<bool>(),
                                                .sums = *rc::gen::arbitrary<bool>()};
    bool const counts = *rc::gen::arbitrary<bool>(), bad = *rc::gen::arbitrary<bool>();
    int const heads = *rc::gen::inRange(1, 4), capacity = p.tail + p.residual + *rc::gen::inRange(1, 30);
    cache<kvs::bf16, D> got(heads, capacity, static_cast<unsigned>(random())), fresh(heads, 1, 7);
    if (bad) got.keys.at(0, 0, 3) = kvs::from_float<kvs::bf16>(not_a_number);
    auto want = got;
    std::vector<float> numbers(static_cast<std::size_t>(kvs::zero_merge_state::floats(heads, capacity)), 1.0f);
    auto want_numbers = numbers;
    int turn = 0, used = capacity - *rc::gen::inRange(0, 2);
    kvs::zero_merge_state state{numbers.data(), heads, capacity, used, 0, counts ? &turn : nullptr};
    kvs::zero_merge_state want_state{want_numbers.data(), heads, capacity, used, 0};
    auto const layer = got.layer(), want_layer = want.layer();
    auto const f = fresh.layer();
    using layer_type = std::remove_const_t<decltype(layer)>;
    emulated_device<64> const on{nullptr, random()};
    for (int step = 0; step < 6; ++step) {
      auto const seen = drawn_attention(random, heads, want_state.used + 1);
      kvs::cs::span<float const> const rows(seen.data(), seen.size());
      for (int h = 0; h < heads; ++h)
        for (int d = 0; d < D; ++d)
          fresh.keys.at(h, 0, d) = kvs::from_float<kvs::bf16>(static_cast<float>(random() % 1000) * 1e-3f);
      kvs::device::zero_merge_steps<emulated_device<64>, layer_type, layer_type> const call(on, one(layer), one(f),
                                                                                            one(rows), p, one(state));
      RC_ASSERT(static_cast<bool>(call.run()));
      RC_ASSERT(static_cast<bool>(kvs::step_zero_merge(on_host_, want_layer, f, rows, p, want_state)));
      RC_ASSERT(state.used == want_state.used);
      RC_ASSERT(state.turn == want_state.turn);
      if (counts) RC_ASSERT(turn == want_state.turn);
      for (int h = 0; h < heads; ++h)
        for (int i = 0; i < state.used; ++i) {
          RC_ASSERT(state.weight(h)[i] == want_state.weight(h)[i]);
          RC_ASSERT(std::abs(state.score(h)[i] - want_state.score(h)[i]) <= 1e-6f);
        }
      RC_ASSERT(apart(got.keys, want.keys, state.used) <= 1e-6);
      RC_ASSERT(apart(got.values, want.values, state.used) <= 1e-6);
    }
  }));
}

TEST_CASE("begin_zero_merge on the device: the state is the host's", "[device]") {
  using strategy = kvs::key_norm<>;
  for (int const keep : {0, 13, 90}) {
    CAPTURE(keep);
    cache<float, D> c(2, 90, 9);
    c.keys.at(0, 5, 1) = c.values.at(1, 40, 0) = not_a_number;
    std::vector const layers{c.layer()};
    auto const made = emulated_plan<strategy, 64>(layers, {.budget = {.tokens = keep}});
    std::mt19937 random(4);
    std::vector<float> scores;
    for (int i = 0; i < 180; ++i) scores.push_back(static_cast<float>(random() % 1000) * 1e-3f);
    kvs::cs::span<float const> const all(scores.data(), scores.size());
    for (bool const sums : {false, true}) {
      kvs::evict::zero_merge_step::params const p{.residual = 3, .sums = sums};
      std::vector<float> numbers(400, -1.0f), want_numbers = numbers;
      kvs::zero_merge_state state{numbers.data(), 2, 100}, want{want_numbers.data(), 2, 100};
      REQUIRE(kvs::device::begin_slots(emulated_device<32>{}, made.plan, 0, layers[0], all, {.residual = 3}, p, state));
      REQUIRE(kvs::begin_zero_merge(made.plan, 0, layers[0], all, {.residual = 3}, p, want));
      CHECK(state.used == want.used);
      double most = 0;
      for (std::size_t i = 0; i < numbers.size(); ++i)
        most = std::max(most, static_cast<double>(std::abs(numbers[i] - want_numbers[i])));
      CHECK(most <= (sums ? 1e-4 : 0.0));
    }
  }
}

namespace {
template <class T, int Threads>
void d2o_agrees() {
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  kvs::evict::d2o_step::params const p{.heavy = *rc::gen::inRange(0, 20),
                                       .recent = *rc::gen::inRange(1, 20),
                                       .sink = *rc::gen::element(0, 4),
                                       .together = *rc::gen::arbitrary<bool>()};
  int const heads = *rc::gen::inRange(2, 4), room = 160, prompt = *rc::gen::inRange(1, 140);
  cache<T, D> got(heads, room, static_cast<unsigned>(random()));
  auto want = got;
  std::vector<float> numbers(static_cast<std::size_t>(heads * room), 0.0f), want_numbers = numbers;
  float threshold = not_a_number;
  kvs::d2o_state state{.score = numbers.data(), .heads = heads, .capacity = room, .stored = &threshold};
  kvs::d2o_state want_state{.score = want_numbers.data(), .heads = heads, .capacity = room};
  emulated_device<Threads> const on{nullptr, random()};
  for (int step = 0; step < 5; ++step) {
    int const tokens = step == 0 ? prompt : state.used + 1 + static_cast<int>(random() % 2);
    auto const seen = drawn_attention(random, heads, tokens);
    kvs::cs::span<float const> const rows(seen.data(), seen.size());
    auto const layer = first_rows(got, tokens), want_layer = first_rows(want, tokens);
    using layer_type = std::remove_const_t<decltype(layer)>;
    kvs::device::d2o_steps<emulated_device<Threads>, layer_type> const call(on, one(layer), one(rows), p, one(state));
    support::workspace memory(call.bytes());
    RC_ASSERT(static_cast<bool>(call.run(memory.span())));
    RC_ASSERT(memory.guards_hold());
    support::workspace host(kvs::step_d2o_workspace_bytes(on_host_, one(want_layer), one(rows), p, one(want_state)));
    RC_ASSERT(static_cast<bool>(kvs::step_d2o(on_host_, one(want_layer), one(rows), p, one(want_state), host.span())));
    RC_ASSERT(state.used == want_state.used);
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < state.used; ++i) RC_ASSERT(state.row(h)[i] == want_state.row(h)[i]);
    RC_ASSERT(std::isnan(threshold) == std::isnan(want_state.threshold));
    RC_ASSERT(std::isnan(threshold) || std::abs(threshold - want_state.threshold) <= 1e-6f);
    double const bound = std::is_same_v<T, float> ? 1e-5 : 0.04;  // a step of bf16
    RC_ASSERT(apart(got.keys, want.keys, state.used) <= bound);
    RC_ASSERT(apart(got.values, want.values, state.used) <= bound);
  }
}
}  // namespace

TEST_CASE("step_d2o on the device: steps are the host's", "[device]") {
  CHECK(support::holds("device d2o", race_check ? 2 : 30, [] { d2o_agrees<float, 32>(); }));
  if constexpr (support::all_combinations)
    CHECK(support::holds("device d2o, bf16", 20, [] { d2o_agrees<kvs::bf16, 128>(); }));
}

TEST_CASE("steps on the device: what they refuse, and then nothing is launched", "[device]") {
  int launches = 0;
  emulated_device<64> const on{&launches};
  cache<float, D> c(2, 40, 3);
  auto const layer = c.layer();
  using layer_type = std::remove_const_t<decltype(layer)>;
  std::vector<float> numbers(400, 1.0f);
  float threshold = 0;
  kvs::cs::span<float const> const seen(numbers.data(), numbers.size());
  kvs::d2o_state state{.score = numbers.data(), .heads = 2, .capacity = 40, .used = 3};
  kvs::evict::d2o_step::params const d2o_numbers;
  kvs::evict::zero_merge_step::params const slot_numbers;
  auto const d2o = [&] {
    kvs::device::d2o_steps<emulated_device<64>, layer_type> const call(on, one(layer), one(seen), d2o_numbers,
                                                                       one(state));
    CHECK(call.bytes() == 0);
    return call.run({});
  };
  CHECK(d2o().argument == std::string_view("state.stored"));
  state.stored = &threshold;
  state.used = 40;
  CHECK(d2o().argument == std::string_view("state.used"));
  kvs::zero_merge_state slots{numbers.data(), 2, 40, 41};
  kvs::device::zero_merge_steps<emulated_device<64>, layer_type, layer_type> const call(
      on, one(layer), one(layer), one(seen), slot_numbers, one(slots));
  CHECK(call.run().argument == std::string_view("fresh.tokens"));
  kvs::rotation const odd{.channels = 5};
  auto const keys = c.keys.view();
  CHECK(kvs::device::rotate(on, one(keys), odd, kvs::device::slot_difference{}, [](int) {
          return kvs::device::kept_lists{};
        }).argument == std::string_view("rotation.channels"));
  CHECK(launches == 0);
}
}  // namespace steps_tests
