// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merging into the nearest kept token as the authors' own code does it: NVIDIA kvpress, KVCache-Factory, D2O, and the
// intended rule of Elastic Cache.
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>

#include "merging.hpp"

using namespace kvsieve;
using golden::integers, golden::read_table, golden::merge_file;

namespace {
template <class E>
using of = compressor<score::random, E>;

std::vector<std::vector<int>> lists(golden::table const& t) {
  std::vector<std::vector<int>> all;
  for (int h = 0; h < 3; ++h) all.push_back(integers(t.row(h)));
  return all;
}
}  // namespace

TEST_CASE("merge_on_evict is kvpress's merging press") {
  for (auto const& [variant, layer, threshold, fraction] :
       {std::tuple{"a", 9, 0.0f, 1.0}, std::tuple{"b", 21, 0.6f, 0.75}}) {
    CAPTURE(variant);
    auto const name = std::string("merging_press.") + variant + "." + std::to_string(layer);
    auto const kept = read_table(merge_file, name + ".kept");
    auto const values = read_table(merge_file, name + ".values");
    golden::given_plan const given(golden::tokens, lists(kept));
    auto const m = golden::merge_layer<of<evict::merge_on_evict>>(
        layer, given, {.evict = {.gate = {.threshold = threshold, .fraction = fraction}}});
    for (int head = 0; head < 3; ++head) {
      CAPTURE(head);
      auto const order = integers(kept.row(head));
      golden::check_rows(m, m.values, head, values, head * 192, 192, golden::place_among(order));
      for (int i = 0; i < 192; ++i)  // keys are not touched
        CHECK(
            m.row(m.keys, head, golden::place_among(order)(i))[0] ==
            m.inputs.keys.as<float>()[(head * golden::tokens + order[static_cast<std::size_t>(i)]) * golden::head_dim]);
    }
  }
}

TEST_CASE("a quantile on -inf merges nothing in kvpress, and all above the threshold here") {
  auto const kept = read_table(merge_file, "merging_press.b.0.kept");
  auto const changed = integers(read_table(merge_file, "merging_press.b.0.num_changed").row(0));
  golden::given_plan const given(golden::tokens, lists(kept));
  for (bool const as_source : {true, false}) {
    auto const m = golden::merge_layer<of<evict::merge_on_evict>>(
        0, given, {.evict = {.gate = {.threshold = 0.6f, .fraction = 0.75, .as_source = as_source}}});
    for (int head = 0; head < 3; ++head) {
      int differing = 0;
      auto const list = given.plan.kept(0, head);
      for (int i = 0; i < 192; ++i) {
        auto const row = m.row(m.values, head, i);
        auto const* const before = m.inputs.values.as<float>() +
                                   (head * golden::tokens + list[static_cast<std::size_t>(i)]) * golden::head_dim;
        differing += std::equal(row.begin(), row.end(), before) ? 0 : 1;
      }
      CAPTURE(as_source, head);
      if (as_source || head > 0)
        CHECK(differing == changed[static_cast<std::size_t>(head)]);
      else
        CHECK(differing > 0);
    }
  }
}

TEST_CASE("look_m is KVCache-Factory's, pivot and weighted") {
  auto const indices = read_table(merge_file, "lookm.9.indices");
  auto kept = lists(indices);
  for (auto& k : kept)
    for (int t = golden::tokens - 32; t < golden::tokens; ++t) k.push_back(t);
  golden::given_plan const given(golden::tokens, kept);
  auto const check = [&](auto const& m, std::string const& mode) {
    for (char const* const which : {"k", "v"}) {
      CAPTURE(mode, which);
      golden::check_rows(m, which[0] == 'k' ? m.keys : m.values, 0,
                         read_table(merge_file, "lookm.9." + mode + "_" + which), 0, 192, golden::place_among(kept[0]));
    }
  };
  check(golden::merge_layer<of<evict::look_m_pivot>>(9, given, {}), "pivot");
  check(golden::merge_layer<of<evict::look_m_weighted>>(9, given, {}), "weighted");
}

TEST_CASE("d2o is D2O's first compression over KV heads that decide together") {
  auto const kept = read_table(merge_file, "d2o.kvhead.9.keep");
  golden::given_plan const given(761, lists(kept));
  float threshold = std::nanf("");
  auto const m = golden::merge_layer<of<evict::d2o_merge>>(
      9, given, {.evict = {.gate = {.together = true, .before = {&threshold, 1}}}});
  CHECK(std::abs(threshold - read_table(merge_file, "d2o.kvhead.9.threshold").row(0)[0]) <= 1e-5f);
  for (int head = 0; head < 3; ++head) {
    CAPTURE(head);
    auto const same = [](int i) { return i; };
    golden::check_rows(m, m.keys, head, read_table(merge_file, "d2o.kvhead.9.step0_k"), head * 152, 152, same);
    golden::check_rows(m, m.values, head, read_table(merge_file, "d2o.kvhead.9.step0_v"), head * 152, 152, same);
  }
}

TEST_CASE("elastic_cache merges as the rule of its paper says") {
  auto const kept = integers(read_table(merge_file, "elastic.9.intended_keep").row(0));
  golden::given_plan const given(golden::tokens, {kept, kept, kept});
  auto const m =
      golden::merge_layer<of<evict::elastic_merge>>(9, given, {.evict = {.nearest = {.sink = 4, .recent = 1}}});
  auto const same = [](int i) { return i; };
  golden::check_rows(m, m.keys, 0, read_table(merge_file, "elastic.9.intended_k"), 0, 383, same);
  golden::check_rows(m, m.values, 0, read_table(merge_file, "elastic.9.intended_v"), 0, 383, same);
}

TEST_CASE("cam is kvpress's, the expected share and its own draw") {
  auto const one = integers(read_table(merge_file, "cam.9.kept").row(0));
  auto const scores = read_table(merge_file, "cam.9.mean_score").row(0);
  auto const attention = read_table(merge_file, "cam.9.running_attention").number;
  golden::given_plan const given(golden::tokens, {one, one, one}, {scores, scores, scores});
  auto const m = golden::merge_layer<of<evict::cam>>(
      9, given,
      {.evict = {
           .candidates = 64, .followers = 32, .drawn = false, .attention = {attention.data(), attention.size()}}});
  golden::check_rows(m, m.values, 0, read_table(merge_file, "cam.9.expected_values"), 0, 256, [](int i) { return i; });
  // The source's draw, as an attention table that makes these probabilities 0 or 1.
  auto const draws = read_table(merge_file, "cam.9.merge_draw");
  auto const candidates = integers(read_table(merge_file, "cam.9.candidates").row(0));
  std::vector<float> certain(3 * golden::tokens, 1.0f);
  for (int head = 0; head < 3; ++head)
    for (std::size_t i = 0; i < candidates.size(); ++i)
      certain[static_cast<std::size_t>(head * golden::tokens + candidates[i])] = draws.row(head)[i];
  auto const sampled = golden::merge_layer<of<evict::cam>>(
      9, given, {.evict = {.candidates = 64, .followers = 32, .attention = {certain.data(), certain.size()}}});
  golden::check_rows(sampled, sampled.values, 0, read_table(merge_file, "cam.9.sampled_values"), 0, 256,
                     [](int i) { return i; });
}

TEST_CASE("cam_prefill is KVCache-Factory's, the expected share") {
  auto const kept = read_table(merge_file, "cam_prefill.9.kept");
  golden::given_plan const given(golden::tokens, lists(kept));
  auto const inputs = golden::read_layer(9);
  // Mean attention of the last 64 queries over the group.
  constexpr int N = golden::tokens, D = golden::head_dim, W = 64;
  std::vector<float> attention(3 * N);
  for (int h = 0; h < 9; ++h)
    for (int q = N - W; q < N; ++q) {
      std::vector<double> p(static_cast<std::size_t>(q + 1));
      double sum = 0;
      for (int t = 0; t <= q; ++t) {
        double dot = 0;
        for (int d = 0; d < D; ++d)
          dot += static_cast<double>(inputs.queries.as<float>()[(h * N + q) * D + d]) *
                 static_cast<double>(inputs.keys.as<float>()[(h / 3 * N + t) * D + d]);
        sum += p[static_cast<std::size_t>(t)] = std::exp(dot / 8);
      }
      for (int t = 0; t <= q; ++t)
        attention[static_cast<std::size_t>(h / 3 * N + t)] +=
            static_cast<float>(p[static_cast<std::size_t>(t)] / sum / (3 * W));
    }
  auto const m = golden::merge_layer<of<evict::cam_prefill>>(
      9, given, {.evict = {.drawn = false, .attention = {attention.data(), attention.size()}}});
  golden::check_rows(m, m.values, 0, read_table(merge_file, "cam_prefill.9.expected_values"), 0, 192,
                     golden::place_among(integers(kept.row(0))));
}

TEST_CASE("zero_merge is ZeroMerge's state behind the prompt") {
  // Slots: the residual ones, the top ones by descending score, the last 17 tokens.
  auto const top = read_table(merge_file, "zeromerge.a.9.init_top");
  auto kept = lists(top);
  for (auto& k : kept)
    for (int t = 704 - 17; t < 704; ++t) k.push_back(t);
  golden::given_plan const given(704, kept);
  auto const m = golden::merge_layer<of<evict::zero_merge>>(9, given, {});
  CHECK(m.rows == 176);
  for (int head = 0; head < 2; ++head) {
    auto const among = golden::place_among(kept[static_cast<std::size_t>(head)]);
    auto const place = [&](int i) { return i == 0 ? 0 : 1 + among(i - 1); };
    golden::check_rows(m, m.keys, head, read_table(merge_file, "zeromerge.a.9.init_k"), head * 176, 176, place);
    golden::check_rows(m, m.values, head, read_table(merge_file, "zeromerge.a.9.init_v"), head * 176, 176, place);
  }
}

TEST_CASE("zero_merge counts its groups as ZeroMerge does") {
  auto const weights = read_table(merge_file, "zeromerge.b.9.init_w");
  for (int head = 0; head < 3; ++head) {
    int const evicted = 704 - 116 - 32;
    for (int i = 0; i < 12; ++i)
      CHECK(evict::zero_merge::begin(evicted, 12, i + 1) - evict::zero_merge::begin(evicted, 12, i) ==
            static_cast<int>(weights.row(head)[static_cast<std::size_t>(i)]));
  }
}
