// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Steps while generating as the authors' own code takes them: ZeroMerge and D2O, fed with the attention that observes
// them.
#include <kvsieve/aggregate/last.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/host/step_d2o.hpp>
#include <kvsieve/host/step_zero_merge.hpp>
#include <kvsieve/reference/attention.hpp>

#include "merging.hpp"

using namespace kvsieve;
using golden::integers, golden::read_table, golden::merge_file;

namespace {
constexpr int D = golden::head_dim, heads = 3, query_heads = 9;
constexpr char const* steps_file = "steps.safetensors";

auto token_of(tool::tensor const& t, int token) {
  return make_rows<D>(t.as<float>() + token * D, t.shape[0], 1, t.shape[1] * D, D);
}

/// Attention of a token's queries over a layer, and the probabilities of its entries summed over each group.
struct attended {
  std::vector<float> out = std::vector<float>(query_heads * D), probabilities;

  template <class Layer>
  attended(tool::dump_layer const& inputs, int token, Layer const& layer, int entries) {
    host::on const on;
    auto const query = token_of(inputs.queries, token);
    auto const result = make_rows<D>(out.data(), query_heads, 1);
    using A = aggregate::last;
    std::vector<float> memory(static_cast<std::size_t>(observed_state<A>::floats(query_heads, entries)));
    auto state = make_observed_state<A>(memory.data(), query_heads, entries, {});
    cs::span<std::remove_const_t<decltype(query)> const> const queries(&query, 1);
    cs::span<Layer const> const layers(&layer, 1);
    support::workspace room(attend_observed_workspace_bytes<A>(on, queries, layers));
    REQUIRE(attend_observed<A>(on, queries, layers, cs::span<std::remove_const_t<decltype(result)> const>(&result, 1),
                               cs::span<observed_state<A>>(&state, 1), {}, room.span()));
    probabilities.resize(static_cast<std::size_t>(heads * score_stride(entries)));
    REQUIRE(observed_scores<aggregate::group_sum>(state, {}, {}, heads, entries,
                                                  {probabilities.data(), probabilities.size()}));
  }
  void check_output(golden::table const& want, int first_row) const {
    float error = 0;
    for (int q = 0; q < query_heads; ++q)
      for (int d = 0; d < D; ++d)
        error = std::max(error, std::abs(out[static_cast<std::size_t>(q * D + d)] -
                                         want.row(first_row + q)[static_cast<std::size_t>(d)]));
    CHECK(error <= 2e-5f);
  }
};
}  // namespace

TEST_CASE("step_zero_merge is ZeroMerge's over 64 tokens") {
  struct variant {
    std::string name;
    int capacity, tail, residual;
    float alpha, decay;
    bool by_distance, sums;
  };
  for (auto const& v : {variant{"zeromerge.a.9", 176, 17, 1, 1.0f, 0.98f, false, false},
                        {"zeromerge.b.9", 160, 32, 12, 0.6f, 1.0f, true, true}}) {
    CAPTURE(v.name);
    constexpr int prompt = 704;
    auto const top = read_table(merge_file, v.name + ".init_top");
    auto const prefill = read_table(merge_file, v.name + ".prefill_score").number;
    std::vector<std::vector<int>> order, kept;
    for (int h = 0; h < heads; ++h) {
      auto list = integers(top.row(h));
      for (int t = prompt - v.tail; t < prompt; ++t) list.push_back(t);
      order.push_back(list);
    }
    kept = order;
    golden::given_plan const given(prompt, kept);
    evict::zero_merge::params const behind_prompt{.residual = v.residual};
    auto const m =
        golden::merge_layer<compressor<score::random, evict::zero_merge>>(9, given, {.evict = behind_prompt});
    evict::zero_merge_step::params const params{v.residual, v.tail, v.decay, v.by_distance, v.sums};
    std::vector<float> numbers(static_cast<std::size_t>(zero_merge_state::floats(heads, v.capacity)));
    zero_merge_state state{numbers.data(), heads, v.capacity, 0, 0};
    auto const rows_of_inputs = [&](tool::tensor const& t) {
      return make_rows<D>(t.as<float>(), heads, prompt, t.shape[1] * D, D);
    };
    kv_layer const inputs{rows_of_inputs(m.inputs.keys), rows_of_inputs(m.inputs.values)};
    REQUIRE(begin_zero_merge(given.plan, 0, inputs, {prefill.data(), prefill.size()}, behind_prompt, params, state));
    REQUIRE(state.used == v.capacity);
    // The source has the kept tokens by descending score.
    auto keys = m.keys, values = m.values;
    auto const before = numbers;
    for (int h = 0; h < heads; ++h) {
      auto const place = golden::place_among(order[static_cast<std::size_t>(h)]);
      for (int i = v.residual; i < v.capacity; ++i) {
        int const from = v.residual + place(i - v.residual);
        auto const at = [&](int slot) { return (std::ptrdiff_t{h} * v.capacity + slot) * D; };
        std::copy_n(m.keys.begin() + at(from), D, keys.begin() + at(i));
        std::copy_n(m.values.begin() + at(from), D, values.begin() + at(i));
        state.score(h)[i] = before[static_cast<std::size_t>((heads + h) * v.capacity + from)];
      }
      auto const weights = read_table(merge_file, v.name + ".init_w").row(h),
                 scores = read_table(steps_file, v.name + ".init_s").row(h);
      for (int i = 0; i < v.capacity; ++i) {
        auto const s = static_cast<std::size_t>(i);
        CHECK(state.weight(h)[i] == weights[s]);
        CHECK(std::abs(state.score(h)[i] - scores[s]) <= 1e-5f * std::abs(scores[s]));
      }
    }

    auto const pairs = read_table(steps_file, v.name + ".step_merge");
    auto const outputs = read_table(steps_file, v.name + ".step_out");
    kv_layer const slots{make_rows<D>(keys.data(), heads, v.capacity), make_rows<D>(values.data(), heads, v.capacity)};
    for (int step = 0; step < 64; ++step) {
      CAPTURE(step);
      kv_layer const fresh{token_of(m.inputs.keys, prompt + step), token_of(m.inputs.values, prompt + step)};
      auto const weighed = kv_layer{slots.keys, slots.values, state.bias(v.alpha)};
      attended const seen(m.inputs, prompt + step, make_parts(weighed, fresh), v.capacity + 1);
      if (step % 8 == 7) seen.check_output(outputs, step / 8 * query_heads);
      auto const weights = numbers, rows = keys;
      int const oldest = v.capacity - (v.tail - 1) + state.turn;
      REQUIRE(step_zero_merge(host::on{}, slots, fresh, {seen.probabilities.data(), seen.probabilities.size()}, params,
                              state));
      auto const pair = integers(pairs.row(step));
      for (int h = 0; h < heads; ++h) {
        int const i = pair[static_cast<std::size_t>(2 * h)], j = pair[static_cast<std::size_t>(2 * h + 1)];
        auto const weight_before = [&](int slot) { return weights[static_cast<std::size_t>(h * v.capacity + slot)]; };
        CAPTURE(h, i, j);
        CHECK(state.weight(h)[j] == weight_before(j) + weight_before(i));
        CHECK(std::equal(keys.begin() + (h * v.capacity + i) * D, keys.begin() + (h * v.capacity + i + 1) * D,
                         rows.begin() + (h * v.capacity + oldest) * D));
      }
    }
    for (int h = 0; h < heads; ++h) {
      auto const weights = read_table(steps_file, v.name + ".final_w").row(h),
                 scores = read_table(steps_file, v.name + ".final_s").row(h);
      for (int i = 0; i < v.capacity; ++i) {
        auto const s = static_cast<std::size_t>(i);
        CHECK(state.weight(h)[i] == weights[s]);
        CHECK(std::abs(state.score(h)[i] - scores[s]) <= 2e-5f * std::abs(scores[s]));
      }
    }
    if (v.residual == 1) continue;
    for (auto const& [name, rows] : {std::pair{"k", &keys}, {"v", &values}}) {
      auto const want = read_table(steps_file, v.name + ".final_" + name);
      float largest = 0, error = 0;
      for (std::size_t i = 0; i < want.number.size(); ++i) {
        largest = std::max(largest, std::abs(want.number[i]));
        error = std::max(error, std::abs(want.number[i] - (*rows)[i]));
      }
      CHECK(error <= 1e-5f * largest);
    }
  }
}

TEST_CASE("step_d2o is D2O's over eight tokens, KV heads that decide together") {
  constexpr int prompt = 760, heavy = 76, recent = 76;
  auto const inputs = golden::read_layer(9);
  std::vector<float> keys(heads * 768 * D), values = keys, numbers(heads * 768);
  auto const room = [&](std::vector<float>& x, int tokens) {
    return make_rows<D>(x.data(), heads, tokens, kvsieve::index{768} * D, D);
  };
  auto const put = [&](int token, int row) {
    for (int h = 0; h < heads; ++h)
      for (int d = 0; d < D; ++d) {
        room(keys, 768)(h, row, d) = golden::rows_of(inputs.keys)(h, token, d);
        room(values, 768)(h, row, d) = golden::rows_of(inputs.values)(h, token, d);
      }
  };
  for (int t = 0; t < prompt; ++t) put(t, t);
  // What all queries of the prompt gave each token, by group.
  std::vector<double> given(static_cast<std::size_t>(heads) * prompt);
  std::vector<double> p(prompt);
  for (int q = 0; q < query_heads; ++q)
    for (int i = 0; i < prompt; ++i) {
      auto const n = static_cast<std::size_t>(i + 1);
      auto const view = make_rows<D>(inputs.keys.as<float>(), heads, i + 1, inputs.keys.shape[1] * D, D);
      auto const query =
          make_rows<D>(inputs.queries.as<float>() + i * D, query_heads, 1, inputs.queries.shape[1] * D, D);
      reference::attention(query, q, view, q / 3, 1, std::span(p).first(n));
      for (std::size_t t = 0; t < n; ++t) given[static_cast<std::size_t>(q / 3) * prompt + t] += p[t];
    }
  d2o_state state{numbers.data(), heads, 768, 0};
  evict::d2o_step::params const params{.heavy = heavy, .recent = recent, .together = true};
  auto const thresholds = read_table(steps_file, "d2o.kvhead.9.threshold").row(0);
  auto const outputs = read_table(steps_file, "d2o.kvhead.9.step_out"),
             dropped = read_table(steps_file, "d2o.kvhead.9.drop_slot");
  host::on const on;
  for (int step = 0; step < 8; ++step) {
    CAPTURE(step);
    int const entries = step == 0 ? prompt + 1 : heavy + recent + 1;
    put(prompt + step, entries - 1);
    kv_layer const layer{room(keys, entries), room(values, entries)};
    attended seen(inputs, prompt + step, layer, entries);
    seen.check_output(outputs, step * query_heads);
    if (step == 0)
      for (int h = 0; h < heads; ++h)
        for (int t = 0; t < prompt; ++t)
          seen.probabilities[static_cast<std::size_t>(h * score_stride(entries) + t)] +=
              static_cast<float>(given[static_cast<std::size_t>(h * prompt + t)]);
    auto const before = numbers;
    using view = std::remove_const_t<decltype(layer)>;
    cs::span<view const> const layers(&layer, 1);
    cs::span<float const> const attention(seen.probabilities.data(), seen.probabilities.size());
    cs::span<cs::span<float const> const> const all(&attention, 1);
    cs::span<d2o_state> const states(&state, 1);
    support::workspace memory(step_d2o_workspace_bytes(on, layers, all, params, states));
    REQUIRE(step_d2o(on, layers, all, params, states, memory.span()));
    CHECK(state.used == heavy + recent);
    CHECK(std::abs(state.threshold - thresholds[static_cast<std::size_t>(step)]) <= 1e-5f);
    for (int h = 0; h < heads && step > 0; ++h) {
      int const slot = integers(dropped.row(step - 1))[static_cast<std::size_t>(h)];
      for (int i = 0; i < heavy + recent; ++i) {
        auto const from = static_cast<std::size_t>(i < slot ? i : i + 1);
        float const p_new = seen.probabilities[static_cast<std::size_t>(h * score_stride(entries)) + from];
        float const old =
            from + 1 == static_cast<std::size_t>(entries) ? 0.0f : before[static_cast<std::size_t>(h) * 768 + from];
        CHECK(state.row(h)[i] == old + p_new);
      }
    }
    if (step != 0 && step != 7) continue;
    auto const scores = read_table(steps_file, step == 0 ? "d2o.kvhead.9.step0_score" : "d2o.kvhead.9.final_score");
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < heavy + recent; ++i) {
        float const want = scores.row(h)[static_cast<std::size_t>(i)], got = state.row(h)[i];
        CHECK((want == got || std::abs(got - want) <= 2e-5f * std::abs(want)));
      }
  }
}
