// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Evictions while generating as EasyKV makes them: RoCo, H2O and TOVA over 256 tokens behind a prompt that stays.
#include <kvsieve/online.hpp>

#include "merging.hpp"

namespace online_golden {
using namespace kvsieve;
using kvsieve::index;

namespace {
constexpr int D = golden::head_dim, prompt = 512, generated = 96, heads = 3, query_heads = 9,
              room = prompt + generated + 1;

/// What a policy evicted, head by head in its order, and its state in the end.
template <class C>
struct run {
  std::vector<std::vector<int>> evicted{heads};
  std::vector<float> memory;
  observed_state<typename C::aggregate_policy> state;
  std::vector<int> token[heads];  ///< that an entry is

  run(typename C::params const& params, int state_heads) {
    using A = typename C::aggregate_policy;
    host::on const on;
    auto const inputs = golden::read_layer(9);
    auto const q = golden::rows_of(inputs.queries), k = golden::rows_of(inputs.keys),
               v = golden::rows_of(inputs.values);
    memory.resize(static_cast<std::size_t>(observed_state<A>::floats(state_heads, room)));
    state = make_observed_state<A>(memory.data(), state_heads, room, params.aggregate);
    std::vector<float> keys(heads * room * D), values(keys.size()), query(query_heads * D), out(query.size());
    int entries = 0;
    auto const put = [&](int from) {
      for (int h = 0; h < heads; ++h) {
        token[h].push_back(from);
        for (int d = 0; d < D; ++d) {
          keys[static_cast<std::size_t>((h * room + entries) * D + d)] = k(h, from, d);
          values[static_cast<std::size_t>((h * room + entries) * D + d)] = v(h, from, d);
        }
      }
      ++entries;
    };
    for (int t = 0; t < prompt; ++t) put(t);
    for (int t = prompt; t < golden::tokens; ++t) {
      put(t);
      for (int h = 0; h < query_heads; ++h)
        for (int d = 0; d < D; ++d) query[static_cast<std::size_t>(h * D + d)] = q(h, t, d);
      auto const view = [&](std::vector<float>& x) {
        return make_rows<D>(x.data(), heads, entries, index{room} * D, D);
      };
      std::vector const layer{kv_layer{view(keys), view(values)}};
      auto const asked = make_rows<D>(query.data(), query_heads, 1), result = make_rows<D>(out.data(), query_heads, 1);
      auto const one = [](auto const& x) { return cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
      cs::span<std::remove_cvref_t<decltype(layer[0])> const> const layers(layer.data(), 1);
      support::workspace scratch(attend_observed_workspace_bytes<A>(on, one(asked), layers));
      REQUIRE(attend_observed<A>(on, one(asked), layers, one(result), cs::span<observed_state<A>>(&state, 1),
                                 params.aggregate, scratch.span()));
      if (entries <= prompt + generated) continue;
      support::workspace planning(plan_observed_workspace_bytes<C>(on, one(state), one(entries), heads, params));
      auto const plan = plan_observed<C>(on, one(state), one(entries), heads, params, planning.span());
      REQUIRE(plan);
      REQUIRE(apply_observed(on, plan, layers, one(state), params.aggregate));
      for (int h = 0; h < heads; ++h) {
        std::vector<int> left;
        for (int const e : plan.kept(0, h)) left.push_back(token[h][static_cast<std::size_t>(e)]);
        for (int const was : token[h])
          if (!std::binary_search(left.begin(), left.end(), was)) evicted[static_cast<std::size_t>(h)].push_back(was);
        token[h] = std::move(left);
      }
      --entries;
    }
  }

  void check_evictions(std::string const& name) const {
    auto const want = golden::read_table("online.safetensors", name + ".evicted");
    for (int h = 0; h < heads; ++h) CHECK(evicted[static_cast<std::size_t>(h)] == golden::integers(want.row(h)));
  }
  /// A row of the state against the source's, the prompt left out.
  void check_state(std::string const& name, int row) const {
    auto const want = golden::read_table("online.safetensors", name);
    int const of_head = state.heads / heads;
    for (int h = 0; h < heads; ++h)
      for (int e = 0; e < generated; ++e) {
        float got = 0;
        for (int g = 0; g < of_head; ++g)
          got += state.row(h * of_head + g, row)[prompt + e] / static_cast<float>(of_head);
        float const number = want.row(h)[static_cast<std::size_t>(e)];
        CHECK(std::abs(got - number) <= 1e-4f * number + 1e-9f);
      }
  }
};
}  // namespace

TEST_CASE("online: RoCo evicts what EasyKV's does") {
  // 28 of the budget, and one more, stand outside the source's scope.
  run<online::roco<>> const r(
      {.budget = {.tokens = prompt + generated},
       .select = {.first = (prompt + 29.5) / (prompt + generated), .sink = prompt, .recent = 10}},
      heads);
  r.check_evictions("roco_decoding.9");
  r.check_state("roco_decoding.9.sum", 0);
  r.check_state("roco_decoding.9.sum_sq", 1);
  r.check_state("roco_decoding.9.count", 2);
}
TEST_CASE("online: H2O evicts what EasyKV's does") {
  run<online::h2o<>> const r({.budget = {.tokens = prompt + generated},
                              .select = {.sink = prompt, .recent_share = 28.5 / (prompt + generated)}},
                             query_heads);
  r.check_evictions("h2o_head_decoding.9");
  r.check_state("h2o_head_decoding.9.sum", 0);
}
TEST_CASE("online: TOVA evicts what EasyKV's does, each head by itself") {
  run<online::tova<aggregate::heads_apart>> const r(
      {.budget = {.tokens = prompt + generated}, .select = {.sink = prompt}}, query_heads);
  r.check_evictions("tova_decoding.9");
}
}  // namespace online_golden
