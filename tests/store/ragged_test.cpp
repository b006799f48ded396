// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/store/ragged.hpp>

#include <numeric>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "raw_bits.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::f16;
using strategy = kvsieve::random<kvsieve::budget::over_all, kvsieve::store::ragged>;

// One view's rows of keys or values, the heads behind one another, with `spare` rows more than each needs.
template <class T, int D>
struct ragged_rows {
  std::vector<kvsieve::index> offset;
  std::vector<T> memory;

  ragged_rows(kvsieve::token_plan const& plan, int v, int spare) : offset(1, spare) {
    for (int h = 0; h < plan.heads; ++h) offset.push_back(offset.back() + plan.count(v, h) + spare);
    memory.assign(static_cast<std::size_t>(offset.back() * D), kvsieve::from_float<T>(-7));
  }
  [[nodiscard]] auto view() {
    return kvsieve::make_ragged<D>(memory.data(), static_cast<kvsieve::index>(offset.size()) - 1, offset.data());
  }
};

// All of it as a plan and the cache say, and untouched memory where they say nothing.
template <class T, int D, class Tensor>
bool holds(ragged_rows<T, D> const& to, kvsieve::token_plan const& plan, int v, Tensor const& from) {
  std::vector<T> want(to.memory.size(), kvsieve::from_float<T>(-7));
  for (int h = 0; h < plan.heads; ++h) {
    auto const kept = plan.kept(v, h);
    for (std::size_t i = 0; i < kept.size(); ++i)
      for (int d = 0; d < D; ++d)
        want[static_cast<std::size_t>((to.offset[static_cast<std::size_t>(h)] + static_cast<kvsieve::index>(i)) * D +
                                      d)] = from.view()(h, kept[i], d);
  }
  for (std::size_t i = 0; i < want.size(); ++i)
    if (!support::same_bits(want[i], to.memory[i])) return false;
  return true;
}

template <class T, int D, bool Strided>
void moves_kept_rows() {
  auto const s = *support::shapes(1, 1500);
  double const keep = *support::fractions();
  int const spare = *rc::gen::element(0, 0, 3);
  auto layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
  auto const p =
      support::make_plan<strategy>(s.executor, layers, {.score = {.seed = s.seed}, .budget = {.keep = keep}});
  RC_ASSERT(static_cast<bool>(p.plan));
  std::mt19937 random(s.seed);
  std::vector<ragged_rows<T, D>> keys, values;
  for (int v = 0; v < s.views(); ++v) {
    support::fill_bits(layers[static_cast<std::size_t>(v)].keys, random);
    support::fill_bits(layers[static_cast<std::size_t>(v)].values, random);
    keys.emplace_back(p.plan, v, spare);
    values.emplace_back(p.plan, v, spare);
  }
  std::vector<decltype(layers[0].const_view())> from;
  std::vector<decltype(kvsieve::kv_layer{keys[0].view(), values[0].view()})> to;
  for (std::size_t v = 0; v < layers.size(); ++v) {
    from.push_back(layers[v].const_view());
    to.push_back({keys[v].view(), values[v].view()});
  }
  auto const done = support::with_executor(s.executor, [&](auto const& on) {
    using from_type = typename decltype(from)::value_type;
    using to_type = typename decltype(to)::value_type;
    return kvsieve::apply<strategy>(on, p.plan, kvsieve::cs::span<from_type const>(from.data(), from.size()),
                                    kvsieve::cs::span<to_type const>(to.data(), to.size()));
  });
  RC_ASSERT(static_cast<bool>(done));
  for (int v = 0; v < s.views(); ++v) {
    auto const i = static_cast<std::size_t>(v);
    RC_ASSERT(holds(keys[i], p.plan, v, layers[i].keys));
    RC_ASSERT(holds(values[i], p.plan, v, layers[i].values));
    for (int h = 0; h < s.kv_heads; ++h) RC_ASSERT(to[i].tokens(h) == p.plan.count(v, h) + spare);
  }
}

// Two heads of 6 tokens that keep 4 and 2 of them, by hand.
struct two_heads {
  support::layer<float, 64> layer{2, 1, 6, 1, support::layout::packed, support::content::normal, 3};
  kvsieve::index plan_offset[3] = {0, 4, 6};
  int list[6] = {0, 2, 3, 5, 1, 4}, tokens[1] = {6};
  kvsieve::token_plan plan;
  std::vector<float> keys = std::vector<float>(6 * 64), values = keys;

  two_heads() {
    plan.uniformity_class = kvsieve::uniformity::U3;
    plan.views = 1;
    plan.heads = 2;
    plan.logical_tokens = tokens;
    plan.offset = plan_offset;
    plan.list = list;
  }
  [[nodiscard]] kvsieve::status apply(kvsieve::index const* of_keys, kvsieve::index const* of_values,
                                      kvsieve::index heads = 2) {
    return kvsieve::apply<strategy>(kvsieve::host::on{}, plan, layer.const_view(),
                                    kvsieve::kv_layer{kvsieve::make_ragged<64>(keys.data(), heads, of_keys),
                                                      kvsieve::make_ragged<64>(values.data(), heads, of_values)});
  }
};
}  // namespace

TEST_CASE("ragged: apply moves exactly the kept rows of each head, bit for bit") {
  CHECK(support::holds("ragged: apply moves the kept rows", 150, [] {
    if (*rc::gen::arbitrary<bool>())
      moves_kept_rows<float, 64, false>();
    else
      moves_kept_rows<f16, 32, true>();
  }));
}

TEST_CASE("ragged: large results are streamed to memory, and are the same") {
  support::shape s;
  s.kv_heads = 4;
  s.tokens = {6000};
  s.executor = 1;
  auto layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
  auto const p = support::make_plan<strategy>(1, layers, {.score = {.seed = 5}, .budget = {.keep = 0.5}});
  REQUIRE(p.plan);
  for (int const spare : {0, 1}) {
    ragged_rows<float, 64> keys(p.plan, 0, spare), values(p.plan, 0, spare);
    REQUIRE(support::with_executor(1, [&](auto const& on) {
      return kvsieve::apply<strategy>(on, p.plan, layers[0].const_view(),
                                      kvsieve::kv_layer{keys.view(), values.view()});
    }));
    CHECK(holds(keys, p.plan, 0, layers[0].keys));
    CHECK(holds(values, p.plan, 0, layers[0].values));
  }
}

TEST_CASE("ragged: a plan's own offsets are a table, one view behind another") {
  two_heads g;
  REQUIRE(g.apply(g.plan_offset, g.plan_offset));
  for (int i = 0; i < 6; ++i)
    CHECK(g.keys[static_cast<std::size_t>(i) * 64 + 9] == g.layer.keys.get(i < 4 ? 0 : 1, g.list[i], 9));
}

TEST_CASE("ragged: bytes are those of rows and offsets") {
  two_heads const g;
  auto const rows = g.plan_offset[2];
  CHECK(kvsieve::store::ragged::bytes(2, rows, 64, 4) ==
        (g.keys.size() + g.values.size()) * sizeof(float) + sizeof(g.plan_offset));
  CHECK(kvsieve::store::ragged::bytes(8, 0, 128, 2) == 9 * sizeof(kvsieve::index));
  auto const view = kvsieve::make_ragged<64>(g.keys.data(), 2, g.plan_offset);
  CHECK(view.mapping().required_span_size() == static_cast<kvsieve::index>(g.keys.size()));
  CHECK(view.extent(1) == 4);
  CHECK(view.mapping().is_exhaustive());
  CHECK(&view(1, 1, 3) == g.keys.data() + 5 * 64 + 3);
}

TEST_CASE("ragged: targets that do not hold what is kept are refused, and nothing is written") {
  two_heads g;
  auto const shape = kvsieve::errc::bad_shape;
  kvsieve::index const first_short[] = {0, 3, 6}, second_short[] = {0, 5, 6}, negative[] = {-1, 3, 6},
                       falling[] = {0, 4, 3}, three[] = {0, 4, 6, 6};
  support::check_refused(g.apply(first_short, g.plan_offset), shape, {"to.keys.tokens", "3", "at least", "4"});
  support::check_refused(g.apply(g.plan_offset, second_short), shape, {"to.values.tokens", "1", "at least", "2"});
  support::check_refused(g.apply(falling, g.plan_offset), shape, {"to.keys is 3", "the one before", "4"});
  support::check_refused(g.apply(negative, g.plan_offset), shape, {"to.keys", "-1", "first offset", "0"});
  support::check_refused(g.apply(three, three, 3), shape, {"to.keys.heads", "3", "2"});
  CHECK(std::accumulate(g.keys.begin(), g.keys.end(), 0.0f) == 0);
  CHECK(std::accumulate(g.values.begin(), g.values.end(), 0.0f) == 0);

  // A target inside the cache.
  auto const inside = kvsieve::apply<strategy>(
      kvsieve::host::on{}, g.plan, g.layer.const_view(),
      kvsieve::kv_layer{kvsieve::make_ragged<64>(g.layer.keys.memory().data(), 2, g.plan_offset),
                        kvsieve::make_ragged<64>(g.values.data(), 2, g.plan_offset)});
  support::check_refused(inside, kvsieve::errc::overlap, {"to.keys"});
}
