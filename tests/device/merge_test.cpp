// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merging on emulated blocks: rows and biases are the host's, bit for bit. Sums over channels are in the order of a
// host with eight floats a fragment; rows of few bits have the same sums in any order.
#include "emulated_plan.hpp"

#include <kvsieve/device/evict/merger.hpp>
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/host/run.hpp>
#include <workspace.hpp>

using namespace kvsieve_test;
namespace evict = kvs::evict;

namespace {
template <class Evict, class... More>
using strategy = kvs::random<Evict, More...>;

enum class rows { of_few_bits, normal };

template <class T, int D>
cache<T, D> make_cache(rows kind, int heads, int tokens, unsigned seed, bool holes) {
  cache<T, D> c(heads, tokens, seed);
  std::mt19937 random(seed);
  for (auto* const side : {&c.keys, &c.values})
    for (int h = 0; h < heads; ++h)
      for (int t = 0; t < tokens; ++t)
        for (int d = 0; d < D; ++d) {
          float const x = kvs::to_float(side->at(h, t, d));
          if (kind == rows::of_few_bits) side->at(h, t, d) = kvs::from_float<T>(std::floor(x * 4) / 4);
        }
  for (int i = 0; holes && i < tokens / 16; ++i) {
    int const h = static_cast<int>(random() % static_cast<unsigned>(heads)),
              t = static_cast<int>(random() % static_cast<unsigned>(tokens));
    (i % 2 == 0 ? c.keys : c.values).at(h, t, i % D) = kvs::from_float<T>(i % 4 < 2 ? not_a_number : infinite);
    // Rows that are the same, so that ties have to be broken alike.
    int const twin = static_cast<int>(random() % static_cast<unsigned>(tokens));
    for (int d = 0; d < D; ++d) c.keys.at(h, twin, d) = c.keys.at(h, (twin + 7) % tokens, d);
  }
  return c;
}

/// Bit for bit, but for what kind of NaN it is.
template <class T, int D>
bool same(tensor<T, D>& a, tensor<T, D>& b) {
  for (int h = 0; h < a.heads; ++h)
    for (int t = 0; t < a.tokens; ++t)
      for (int d = 0; d < D; ++d) {
        float const x = kvs::to_float(a.at(h, t, d)), y = kvs::to_float(b.at(h, t, d));
        if (std::isnan(x) && std::isnan(y)) continue;
        if (std::memcmp(&x, &y, sizeof x) == 0) continue;
        UNSCOPED_INFO("head " << h << ", row " << t << ", channel " << d << ": " << x << ", expected " << y);
        return false;
      }
  return true;
}

/// Two views, by blocks and by the host from the same plan.
template <class C, class T, int D, int Threads, class Settle>
void check_merge(rows kind, typename C::params params, int heads, int first, int second, Settle const& settle) {
  CAPTURE(D, Threads, heads, first, second, static_cast<int>(kind));
  auto a = make_cache<T, D>(kind, heads, first, 3, true), b = make_cache<T, D>(kind, heads, second, 4, second > 40);
  std::vector const layers{a.layer(), b.layer()};
  using layer = decltype(a.layer());
  auto const made = emulated_plan<C, Threads>(layers, params);
  auto const counted = on_host(made.plan);
  auto by_host = params;
  settle(params, counted, false);
  settle(by_host, counted, true);
  std::vector<tensor<T, D>> keys, values;
  std::vector<std::vector<kvs::cs::uint8_t>> codes;
  std::vector<layer> to, want;
  std::vector<kvs::entry_bias_target> bias, want_bias;
  for (int side = 0; side < 2; ++side)
    for (int v = 0; v < 2; ++v) {
      int most = 0;
      for (int h = 0; h < heads; ++h) most = std::max(most, kvs::merged_rows<C>(counted, params, v, h));
      if constexpr (requires { made.plan.most(v); })  // the host knows a bound alone
        most = made.plan.most(v) + kvs::slots_of<typename C::evict_policy>(params.evict, made.plan.tokens(v));
      keys.emplace_back(heads, most + 1, 5u);
      values.emplace_back(heads, most + 1, 6u);
      codes.emplace_back(static_cast<std::size_t>(heads * (most + 1)), kvs::cs::uint8_t{99});
    }
  for (std::size_t i = 0; i < 4; ++i) {
    (i < 2 ? to : want).push_back({keys[i].view(), values[i].view()});
    (i < 2 ? bias : want_bias).push_back({codes[i].data(), static_cast<kvs::index>(codes[i].size()) / heads, nullptr});
  }
  using kvs::cs::span;
  emulated_device<Threads> const on;
  span<layer const> const from(layers.data(), 2);
  kvs::device::merge_call<C, emulated_device<Threads>, decltype(made.plan), layer> const call(on, made.plan, from,
                                                                                              params.evict);
  support::workspace memory(call.bytes());
  char line[200];
  kvs::status s =
      call.run(span<layer const>(to.data(), 2), memory.span(), span<kvs::entry_bias_target const>(bias.data(), 2));
  INFO(s.message(line));
  REQUIRE(s);
  CHECK(memory.guards_hold());
  kvs::host::on<> const inline_here;
  support::workspace host_memory(kvs::apply_workspace_bytes<C>(inline_here, counted, from, by_host));
  s = kvs::apply<C>(inline_here, counted, from, span<layer const>(want.data(), 2), by_host, host_memory.span(),
                    span<kvs::entry_bias_target const>(want_bias.data(), 2));
  INFO(s.message(line));
  REQUIRE(s);
  for (std::size_t v = 0; v < 2; ++v) {
    CHECK(same(keys[v], keys[v + 2]));
    CHECK(same(values[v], values[v + 2]));
    CHECK(codes[v] == codes[v + 2]);
  }
}
constexpr auto as_they_are = [](auto&, auto const&, bool) {};

template <class Evict, class Settle = decltype(as_they_are)>
void check_policy(typename Evict::params const& p = {}, Settle const& settle = as_they_are) {
  using C = strategy<Evict>;
  typename C::params params{.budget = {.keep = 0.3}, .select = {.sink = 2}, .evict = p};
  check_merge<C, kvs::f16, 64, 32>(rows::of_few_bits, params, 2, 110, 37, settle);
  if constexpr (race_check) return;
  params.budget.keep = 0.1;
  check_merge<C, float, 128, 64>(kvs::host::fragment::lanes == 8 ? rows::normal : rows::of_few_bits, params, 1, 160, 5,
                                 settle);
}
}  // namespace

TEST_CASE("merging kernels: into the nearest by cosine, product and distance", "[device][evict]") {
  check_policy<evict::merge_nearest>();
  check_policy<evict::look_m_pivot>();
  check_policy<evict::look_m_weighted>();
  check_policy<evict::merge<kvs::nearest::dot, kvs::gate::none, kvs::merge_weight::count, kvs::merged::both>>();
  check_policy<evict::merge<kvs::nearest::l2, kvs::gate::threshold, kvs::merge_weight::count, kvs::merged::keys>>(
      {.gate = {.threshold = -90.0f}});
}
TEST_CASE("merging kernels: gates", "[device][evict]") {
  for (bool const as_source : {false, true})
    for (double const fraction : {1.0, 0.5, 0.13})
      check_policy<evict::merge_on_evict>({.gate = {.threshold = 0.1f, .fraction = fraction, .as_source = as_source}});
  for (bool const together : {false, true}) {
    // A running mean is kept by either side for itself.
    float before[2][2] = {{0.3f, not_a_number}, {0.3f, not_a_number}};
    auto const settle = [&](auto& p, auto const&, bool host) {
      for (auto& row : before) row[0] = 0.3f, row[1] = not_a_number;
      p.evict.gate.before = {before[host ? 1 : 0], 2};
    };
    check_policy<evict::d2o_merge>({.gate = {.together = together}}, settle);
    CHECK(before[0][0] == before[1][0]);
    CHECK(before[0][1] == before[1][1]);
  }
}
TEST_CASE("merging kernels: into the nearest position and along runs", "[device][evict]") {
  check_policy<evict::elastic_merge>();
  check_policy<evict::elastic_merge>({.nearest = {.sink = 20, .recent = 30}});
  for (float const alike : {0.0f, 0.2f, 0.75f}) {
    check_policy<evict::merge_runs>({.nearest = {.alike = alike}});
    check_policy<evict::merge_runs>({.nearest = {.alike = alike}, .weight = {.sigma = 5.0f}});
    check_policy<evict::merge_runs>({.nearest = {.alike = alike}, .weight = {.with_own = false}});
  }
}
TEST_CASE("merging kernels: slots of their own", "[device][evict]") {
  for (int const residual : {1, 7, 200}) check_policy<evict::zero_merge>({.residual = residual, .alpha = 0.7f});
}
TEST_CASE("merging kernels: followers", "[device][evict]") {
  for (bool const drawn : {false, true}) {
    check_policy<evict::cam>({.candidates = 20, .followers = 6, .drawn = drawn});
    check_policy<evict::cam>({.candidates = 500, .followers = 40, .drawn = drawn, .seed = 9});
    check_policy<evict::cam_prefill>({.start = 0.1, .window = 9, .drawn = drawn});
    check_policy<evict::cam_prefill>({.start = 0.0, .window = 100, .drawn = drawn, .seed = 3});
  }
  std::vector<float> attention;
  auto const table = [&](auto& p, kvs::token_plan const& plan, bool host) {
    if (!host) {
      std::mt19937 random(1);
      attention.resize(static_cast<std::size_t>((plan.tokens(0) + plan.tokens(1)) * plan.heads));
      for (float& x : attention) x = static_cast<float>(random() % 1000) / 1000.0f;
    }
    p.evict.attention = {attention.data(), attention.size()};
  };
  check_policy<evict::cam>({.candidates = 30, .followers = 5}, table);
  check_policy<evict::cam_prefill>({.window = 12}, table);
}
TEST_CASE("merging kernels: heads of their own lengths, of which the device has the counts", "[device][evict]") {
  using C = kvs::key_norm<kvs::budget::over_heads, kvs::store::ragged, evict::merge_nearest>;
  check_merge<C, float, 64, 64>(rows::of_few_bits, {.budget = {.keep = 0.3}}, 3, 100, 40, as_they_are);
  using slots = kvs::key_norm<kvs::budget::over_heads, kvs::store::ragged, evict::zero_merge>;
  check_merge<slots, float, 64, 64>(rows::of_few_bits, {.budget = {.keep = 0.3}, .evict = {.residual = 5}}, 3, 100, 40,
                                    as_they_are);
}
TEST_CASE("merging kernels: what is refused", "[device][evict]") {
  using C = kvs::key_norm<kvs::budget::over_heads, kvs::store::ragged, evict::d2o_merge>;
  auto c = make_cache<float, 64>(rows::normal, 2, 50, 1, false);
  std::vector const layers{c.layer()};
  using layer = decltype(c.layer());
  typename C::params params{.budget = {.keep = 0.3}, .evict = {.gate = {.together = true}}};
  auto const made = emulated_plan<C, 32>(layers, params);
  kvs::cs::span<layer const> const from(layers.data(), 1);
  emulated_device<32> const on;
  using plan_type = decltype(made.plan);
  kvs::device::merge_call<C, emulated_device<32>, plan_type, layer> const together(on, made.plan, from, params.evict);
  CHECK(together.bytes() == 0);
  auto apart = params;
  apart.evict.gate.together = false;
  kvs::device::merge_call<C, emulated_device<32>, plan_type, layer> const call(on, made.plan, from, apart.evict);
  support::workspace memory(call.bytes());
  tensor<float, 64> keys(2, 50, 1), values(2, 50, 1);
  layer const to{keys.view(), values.view()};
  kvs::cs::span<layer const> const out(&to, 1);
  CHECK(together.run(out, memory.span(), {}).code == kvs::errc::bad_plan);
  CHECK(call.run(out, memory.span().first(call.bytes() - 1), {}).code == kvs::errc::workspace_too_small);
  CHECK(call.run(from, memory.span(), {}).code == kvs::errc::overlap);
  kvs::cs::uint8_t codes[2];
  kvs::entry_bias_target const short_bias{codes, 1, nullptr};
  CHECK(call.run(out, memory.span(), {&short_bias, 1}).code == kvs::errc::bad_shape);
  CHECK(call.run(out, memory.span(), {}));
}
