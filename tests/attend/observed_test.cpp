// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Online policies: decode attention that remembers, step by step, is scoring all queries at once.
#include <kvsieve/aggregate/decayed_sum.hpp>
#include <kvsieve/aggregate/last.hpp>
#include <kvsieve/aggregate/last_above_with_gap.hpp>
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/kvsieve.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"

namespace observed_tests {
namespace {
using kvsieve::index;
constexpr int D = 64;

// A cache that grows by the new tokens' rows with every step, attended after each.
template <class A>
void steps_agree(char const* name, typename A::params const& params) {
  CHECK(support::holds(name, 30, [&] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    std::normal_distribution<float> normal;
    int const heads = *rc::gen::inRange(1, 4), group = *rc::gen::inRange(1, 4), before = *rc::gen::inRange(1, 1100);
    int const steps = *rc::gen::inRange(1, 6);
    std::vector<int> asked;
    int tokens = before;
    for (int s = 0; s < steps; ++s) {
      asked.push_back(*rc::gen::inRange(1, kvsieve::most_new_queries + 1));
      tokens += asked.back();
    }
    int const observed = tokens - before;
    auto const fill = [&](int n) {
      std::vector<float> x(static_cast<std::size_t>(n));
      for (float& v : x) v = normal(random);
      return x;
    };
    auto const keys = fill(heads * tokens * D), values = fill(heads * tokens * D),
               queries = fill(heads * group * observed * D);
    auto const layer_of = [&](int n) {
      return kvsieve::kv_layer{kvsieve::make_rows<D>(keys.data(), heads, n, index{tokens} * D, index{D}),
                               kvsieve::make_rows<D>(values.data(), heads, n, index{tokens} * D, index{D})};
    };
    std::vector<float> memory(static_cast<std::size_t>(kvsieve::observed_state<A>::floats(heads * group, tokens)));
    auto state = kvsieve::make_observed_state<A>(memory.data(), heads * group, tokens, params);
    int seen = 0;
    int const executor = *rc::gen::inRange(0, 3);
    for (int const now : asked) {
      auto const q =
          kvsieve::make_rows<D>(queries.data() + seen * D, heads * group, now, index{observed} * D, index{D});
      auto const layer = layer_of(before + seen + now);
      std::vector<float> out(static_cast<std::size_t>(heads * group * now * D)), plain(out.size());
      auto const one = [](auto const& x) { return kvsieve::cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
      auto const o = kvsieve::make_rows<D>(out.data(), heads * group, now);
      auto const p = kvsieve::make_rows<D>(plain.data(), heads * group, now);
      auto const done = support::with_executor(executor, [&](auto const& on) {
        support::workspace scratch(kvsieve::attend_observed_workspace_bytes<A>(on, one(q), one(layer)));
        auto const s = kvsieve::attend_observed<A>(on, one(q), one(layer), one(o),
                                                   kvsieve::cs::span<kvsieve::observed_state<A>>(&state, 1), params,
                                                   scratch.span());
        RC_ASSERT(scratch.guards_hold());
        if (!s) return s;
        support::workspace other(kvsieve::attend_workspace_bytes(on, q, layer));
        return kvsieve::attend(on, q, layer, p, other.span());
      });
      RC_ASSERT(static_cast<bool>(done));
      RC_ASSERT(out == plain);
      seen += now;
    }
    RC_ASSERT(state.queries == observed);
    // All at once: the last `observed` positions of the whole cache.
    using whole =
        kvsieve::compressor<kvsieve::score::attention<kvsieve::observe::window>, A, kvsieve::aggregate::group_sum>;
    auto const layer = layer_of(tokens);
    auto const q = kvsieve::make_rows<D>(queries.data(), heads * group, observed);
    typename whole::params p;
    p.score.window = observed;
    p.aggregate = params;
    kvsieve::host::on const on;
    auto const layers = kvsieve::cs::span<decltype(layer) const>(&layer, 1);
    auto const all = kvsieve::cs::span<decltype(q) const>(&q, 1);
    support::workspace scratch(kvsieve::score_tokens_workspace_bytes<whole>(on, layers, all, p));
    auto const want = kvsieve::score_tokens<whole>(on, layers, all, p, scratch.span());
    RC_ASSERT(static_cast<bool>(want));
    std::vector<float> score(static_cast<std::size_t>(heads * kvsieve::score_stride(tokens)));
    RC_ASSERT(static_cast<bool>(kvsieve::observed_scores<kvsieve::aggregate::group_sum>(
        state, params, {}, heads, tokens, kvsieve::cs::span<float>(score.data(), score.size()))));
    for (int h = 0; h < heads; ++h)
      for (int t = 0; t < before; ++t) {  // the window itself is forced in a plan
        float const got = score[static_cast<std::size_t>(h * kvsieve::score_stride(tokens) + t)];
        float const expected = want.scores(0, h)[static_cast<std::size_t>(t)];
        RC_LOG() << "head " << h << ", token " << t << ": " << got << ", at once " << expected << std::endl;
        RC_ASSERT(std::abs(got - expected) <= 1e-4f * std::abs(expected) + 1e-7f);
      }
  }));
}
}  // namespace

TEST_CASE("attend_observed: sums, step by step, are those of all queries at once") {
  steps_agree<kvsieve::aggregate::sum>("observed sums", {});
}
TEST_CASE("attend_observed: sums that forget") {
  steps_agree<kvsieve::aggregate::decayed_sum>("observed decayed sums", {.decay = 0.7f});
  steps_agree<kvsieve::aggregate::last>("the last observed query", {});
}
TEST_CASE("attend_observed: means and maxima") {
  steps_agree<kvsieve::aggregate::mean>("observed means", {});
  steps_agree<kvsieve::aggregate::max>("observed maxima", {});
}

TEST_CASE("attend_observed refuses states that do not fit, and changes nothing") {
  using A = kvsieve::aggregate::sum;
  std::vector<float> const rows(40 * D, 0.5f);
  auto const view = kvsieve::make_rows<D>(rows.data(), 1, 40);
  auto const q = kvsieve::make_rows<D>(rows.data(), 2, 1);
  kvsieve::kv_layer const layer{view, view};
  std::vector<float> out(2 * D, -7.0f), memory(static_cast<std::size_t>(kvsieve::observed_state<A>::floats(2, 40)));
  auto const o = kvsieve::make_rows<D>(out.data(), 2, 1);
  auto const one = [](auto const& x) { return kvsieve::cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
  kvsieve::host::on const on;
  support::workspace scratch(kvsieve::attend_observed_workspace_bytes<A>(on, one(q), one(layer)));
  auto const run = [&](kvsieve::observed_state<A> state) {
    return kvsieve::attend_observed<A>(on, one(q), one(layer), one(o),
                                       kvsieve::cs::span<kvsieve::observed_state<A>>(&state, 1), {}, scratch.span())
        .code;
  };
  auto const state = kvsieve::make_observed_state<A>(memory.data(), 2, 40, {});
  CHECK(run({nullptr, state.capacity, 2, 0}) == kvsieve::errc::bad_pointer);
  CHECK(run({state.data, 32, 2, 0}) == kvsieve::errc::bad_shape);
  CHECK(run({state.data, state.capacity, 1, 0}) == kvsieve::errc::bad_shape);
  CHECK(run({state.data, state.capacity, 2, -1}) == kvsieve::errc::bad_shape);
  for (float const x : out) REQUIRE(x == -7.0f);
  for (float const x : memory) REQUIRE(x == 0.0f);
  CHECK(run(state) == kvsieve::errc::ok);
  std::vector<float> score(16);
  CHECK(kvsieve::observed_scores<kvsieve::aggregate::group_mean>(state, {}, {}, 3, 40, {score.data(), 16}).code ==
        kvsieve::errc::bad_shape);
  CHECK(kvsieve::observed_scores<kvsieve::aggregate::group_mean>(state, {}, {}, 1, 40, {score.data(), 16}).code ==
        kvsieve::errc::bad_shape);
}
}  // namespace observed_tests
