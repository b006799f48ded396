// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention that remembers, on emulated blocks: what the host makes of the same steps.
#include "attend_cases.hpp"

#include <kvsieve/aggregate/count_above.hpp>
#include <kvsieve/aggregate/decayed_sum.hpp>
#include <kvsieve/aggregate/last.hpp>
#include <kvsieve/aggregate/last_above_with_gap.hpp>
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/aggregate/sum.hpp>
#include <kvsieve/device/plan/observed.hpp>
#include <kvsieve/encode/q8_0.hpp>

namespace attend_cases {
namespace agg = kvs::aggregate;
using kvs::cs::span;
using kvsieve_test::emulated_device;

namespace {
constexpr int D = 64;

/// States of two sides that have seen the same.
template <class A>
struct states {
  std::vector<std::vector<float>> memory;
  std::vector<kvs::observed_state<A>> state;
};

/// Largest distance of two sets of numbers, relative to the larger of 1 and them.
double apart(std::vector<float> const& a, std::vector<float> const& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    double const x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    double const one = std::abs(x - y) / std::max(1.0, std::abs(y));
    most = one <= most ? most : one;
  }
  return most;
}

/// Some steps over the same views on either side: outputs, states and scores are near.
template <class A, int Threads, class Layer>
void check_steps(std::vector<shape> const& shapes, std::vector<Layer> const& layers, typename A::params const& params,
                 unsigned seed) {
  std::mt19937 random(seed);
  emulated_device<Threads> const on;
  kvs::host::on<> const host;
  states<A> blocks, want;
  for (auto* const side : {&blocks, &want})
    for (std::size_t v = 0; v < layers.size(); ++v) {
      index most = 0;
      kvs::each_part(layers[v], [&](auto const& part, int) { most += part.tokens(); });
      int const heads = static_cast<int>(shapes[v].heads * shapes[v].group);
      side->memory.emplace_back(static_cast<std::size_t>(kvs::observed_state<A>::floats(heads, most)), 3.0f);
      index const capacity = kvs::round_up<index>(most, 16);
      if (side == &want) {
        side->state.push_back(kvs::make_observed_state<A>(side->memory.back().data(), heads, most, params));
      } else {
        side->state.push_back({side->memory.back().data(), capacity, heads, 0});
        REQUIRE(kvs::device::begin_entries(on, side->state.back(), params, 0, capacity));
      }
    }
  for (std::size_t v = 0; v < layers.size(); ++v) REQUIRE(blocks.memory[v] == want.memory[v]);
  for (int step = 0; step < 2; ++step) {
    std::vector<room<float>> memory;
    std::vector<kvs::rows<float const, D>> queries;
    for (shape const& s : shapes) {
      memory.push_back(normal_room<float>(random, s.rows() * D, 2.0f));
      queries.push_back(kvs::make_rows<D>(static_cast<float const*>(memory.back().data()), s.heads * s.group, s.asked));
    }
    using queries_type = kvs::rows<float const, D>;
    kvs::device::attention<emulated_device<Threads>, queries_type, Layer, A> const call(on, span_of(queries),
                                                                                        span_of(layers));
    results const got = into<D>(shapes, [&](auto out, kvs::attend_options const& options) {
      support::workspace scratch(call.bytes());
      std::memset(scratch.span().data(), 0xcd, scratch.span().size());
      kvs::status const s = call.run_observed(
          out, options, span<kvs::observed_state<A>>(blocks.state.data(), blocks.state.size()), params, scratch.span());
      char line[200];
      INFO(s.message(line));
      REQUIRE(s);
      REQUIRE(scratch.guards_hold());
    });
    results const plain = on_blocks<Threads>(shapes, queries, layers);
    CHECK(distance(got, plain) == 0);
    into<D>(shapes, [&](auto out, kvs::attend_options const& options) {
      support::workspace scratch(kvs::attend_observed_workspace_bytes<A>(host, span_of(queries), span_of(layers)));
      REQUIRE(kvs::attend_observed<A>(host, span_of(queries), span_of(layers), out,
                                      span<kvs::observed_state<A>>(want.state.data(), want.state.size()), params,
                                      scratch.span(), options));
    });
    for (std::size_t v = 0; v < layers.size(); ++v) {
      CAPTURE(step, v);
      CHECK(blocks.state[v].queries == want.state[v].queries);
      CHECK(apart(blocks.memory[v], want.memory[v]) <= 2e-5);
    }
  }
  for (std::size_t v = 0; v < layers.size(); ++v) {
    int const heads = static_cast<int>(shapes[v].heads), entries = static_cast<int>(want.state[v].capacity);
    std::vector<float> score(static_cast<std::size_t>(heads * entries), -1.0f), expected = score;
    span<float> const all(score.data(), score.size());
    REQUIRE(kvs::device::score_entries<agg::group_max>(on, blocks.state[v], params, {}, heads, entries, all));
    REQUIRE(kvs::observed_scores<agg::group_max>(want.state[v], params, {}, heads, entries,
                                                 span<float>(expected.data(), expected.size())));
    CHECK(apart(score, expected) <= 2e-5);
  }
}

struct dense_view {
  shape s;
  room<kvs::f16> keys, values;
  dense_view(std::mt19937& random, shape sh, int tokens)
      : s(sh),
        keys(normal_room<kvs::f16>(random, sh.heads * tokens * D)),
        values(normal_room<kvs::f16>(random, sh.heads * tokens * D)) {}
  auto layer(int tokens) const {
    return kvs::kv_layer{kvs::make_rows<D>(static_cast<kvs::f16 const*>(keys.data()), s.heads, tokens),
                         kvs::make_rows<D>(static_cast<kvs::f16 const*>(values.data()), s.heads, tokens)};
  }
};

template <class A, int Threads>
void check_dense(typename A::params const& params = {}) {
  std::mt19937 random(5);
  std::vector<shape> const shapes{{2, 1, 1}, {1, 3, 4}, {1, 2, 8}};
  int const tokens[] = {70, 333, 20};
  std::vector<dense_view> views;
  std::vector<decltype(views[0].layer(1))> layers;
  for (std::size_t v = 0; v < 3; ++v) {
    views.emplace_back(random, shapes[v], tokens[v]);
    layers.push_back(views[v].layer(tokens[v]));
  }
  check_steps<A, Threads>(shapes, layers, params, 7);
}
}  // namespace

TEST_CASE("observing kernels: sums, with and without decay", "[device][attend]") {
  check_dense<agg::sum, 64>();
  check_dense<agg::decayed_sum, 32>({.decay = 0.7f});
  check_dense<agg::last, 32>({});
}
TEST_CASE("observing kernels: accumulators with a state of their own", "[device][attend]") {
  check_dense<agg::max, 64>();
  check_dense<agg::mean_variance, 32>();
  check_dense<agg::last_above_with_gap, 32>();
  check_dense<agg::count_above, 32>();
}
TEST_CASE("observing kernels: parts of different formats, heads of their own lengths", "[device][attend]") {
  std::mt19937 random(11);
  shape const s{2, 2, 3};
  dense_view const own(random, s, 40);
  auto const numbers = normal_room<float>(random, 150 * D), others = normal_room<float>(random, 150 * D);
  namespace enc = kvs::encode;
  room<kvs::byte> keys(kvs::encoded_bytes<enc::q8_0, D>(150)), values(kvs::encoded_bytes<enc::q8_0, D>(150));
  for (index r = 0; r < 150; ++r) {
    enc::q8_0::encode<D>(numbers.data() + r * D, keys.data() + r * enc::q8_0::tile_bytes<D>);
    enc::q8_0::encode<D>(others.data() + r * D, values.data() + r * enc::q8_0::tile_bytes<D>);
  }
  index const offset[] = {0, 97, 150};
  auto const packed = [&](room<kvs::byte> const& all) {
    return kvs::make_encoded_ragged<enc::q8_0, D>(static_cast<kvs::byte const*>(all.data()), 2, offset);
  };
  std::vector const layers{kvs::make_parts(kvs::kv_layer{packed(keys), packed(values)}, own.layer(40))};
  check_steps<agg::sum, 64>({s}, layers, {}, 13);
  check_steps<agg::max, 32>({s}, layers, {}, 17);
}
TEST_CASE("observing kernels: a counter on the device numbers the queries of replayed launches", "[device][attend]") {
  using A = agg::last_above_with_gap;
  std::mt19937 random(19);
  shape const s{1, 2, 2};
  dense_view const view(random, s, 70);
  std::vector const layers{view.layer(70)};
  emulated_device<32> const on;
  auto const floats = static_cast<std::size_t>(kvs::observed_state<A>::floats(2, 70));
  std::vector<float> counted(floats), replayed(floats), score(96, -1.0f), other = score;
  int counter = 0;
  kvs::observed_state<A> told{counted.data(), 80, 2, 0};
  for (float* const data : {counted.data(), replayed.data()})
    REQUIRE(kvs::device::begin_entries(on, kvs::observed_state<A>{data, 80, 2, 0}, A::params{}, 0, 80));
  for (int step = 0; step < 3; ++step) {
    auto const memory = normal_room<float>(random, s.rows() * D, 4.0f);
    std::vector const queries{kvs::make_rows<D>(static_cast<float const*>(memory.data()), 2, 2)};
    kvs::device::attention<emulated_device<32>, std::remove_cvref_t<decltype(queries[0])>,
                           std::remove_cvref_t<decltype(layers[0])>, A> const call(on, span_of(queries),
                                                                                   span_of(layers));
    support::workspace scratch(call.bytes());
    into<D>({s}, [&](auto out, kvs::attend_options const& options) {
      kvs::observed_state<A> same{replayed.data(), 80, 2, 0, &counter};  // as when it was captured
      REQUIRE(call.run_observed(out, options, span<kvs::observed_state<A>>(&told, 1), A::params{}, scratch.span()));
      REQUIRE(call.run_observed(out, options, span<kvs::observed_state<A>>(&same, 1), A::params{}, scratch.span()));
      CHECK(kvs::attend_observed<A>(kvs::host::on<>{}, span_of(queries), span_of(layers), out,
                                    span<kvs::observed_state<A>>(&same, 1), {}, {}, options)
                .code == kvs::errc::bad_pointer);  // the host has no use for it
    });
    CHECK(counter == told.queries);
    CHECK(std::memcmp(counted.data(), replayed.data(), floats * sizeof(float)) == 0);
  }
  CHECK(counter == 6);
  kvs::observed_state<A> const same{replayed.data(), 80, 2, 0, &counter};
  REQUIRE(kvs::device::score_entries<agg::group_max>(on, told, A::params{}, {}, 1, 70, {score.data(), score.size()}));
  REQUIRE(kvs::device::score_entries<agg::group_max>(on, same, A::params{}, {}, 1, 70, {other.data(), other.size()}));
  CHECK(std::memcmp(score.data(), other.data(), score.size() * sizeof(float)) == 0);
  CHECK(kvs::observed_scores<agg::group_max>(same, A::params{}, {}, 1, 70, {score.data(), score.size()}).code ==
        kvs::errc::bad_pointer);
}
TEST_CASE("observing kernels: states that do not fit are refused, and nothing is launched", "[device][attend]") {
  using A = agg::sum;
  std::mt19937 random(3);
  shape const s{1, 2, 1};
  dense_view const view(random, s, 40);
  std::vector const layers{view.layer(40)};
  auto const memory = normal_room<float>(random, s.rows() * D);
  std::vector const queries{kvs::make_rows<D>(static_cast<float const*>(memory.data()), 2, 1)};
  int launches = 0;
  emulated_device<32> const on{&launches};
  kvs::device::attention<emulated_device<32>, std::remove_cvref_t<decltype(queries[0])>,
                         std::remove_cvref_t<decltype(layers[0])>, A> const call(on, span_of(queries), span_of(layers));
  support::workspace scratch(call.bytes());
  std::vector<float> data(static_cast<std::size_t>(kvs::observed_state<A>::floats(2, 40)));
  into<D>({s}, [&](auto out, kvs::attend_options const& options) {
    auto const run = [&](kvs::observed_state<A> state) {
      return call.run_observed(out, options, span<kvs::observed_state<A>>(&state, 1), A::params{}, scratch.span()).code;
    };
    CHECK(run({nullptr, 48, 2, 0}) == kvs::errc::bad_pointer);
    CHECK(run({data.data(), 32, 2, 0}) == kvs::errc::bad_shape);
    CHECK(run({data.data(), 48, 1, 0}) == kvs::errc::bad_shape);
    CHECK(run({data.data(), 48, 2, -1}) == kvs::errc::bad_shape);
    CHECK(launches == 0);
    CHECK(run({data.data(), 48, 2, 0}) == kvs::errc::ok);
  });
}
}  // namespace attend_cases
