// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Selections of spans, whole pieces, in rounds and by what scores tell on emulated blocks: the same lists and marks as
// the host's, from scores that are the same bit for bit.
#include "emulated_plan.hpp"

#include <kvsieve/budget/head_shares.hpp>
#include <kvsieve/host/run.hpp>

using namespace kvsieve_test;
namespace sel = kvs::select;

namespace {
/// Rows that are often near the one before, of small whole numbers: their cosines are the same bit for bit.
template <class T, int D>
void make_alike(tensor<T, D>& keys) {
  std::mt19937 random(static_cast<unsigned>(keys.tokens));
  for (int h = 0; h < keys.heads; ++h)
    for (int t = 0; t < keys.tokens; ++t) {
      bool const anew = t == 0 || random() % 4 == 0;
      for (int d = 0; d < D; ++d)
        keys.at(h, t, d) = anew || random() % 20 == 0 ? static_cast<float>(random() % 5) - 2 : keys.at(h, t - 1, d);
    }
}

/// Plans of the same views on both sides; `layers` of several lengths, one with a value that is not a number.
template <class C, int Threads>
void same_as_host(typename C::params const& p, std::vector<int> const& lengths, double rounding = 0) {
  std::vector<cache<float, 64>> caches;
  for (int const n : lengths) caches.emplace_back(2, n, static_cast<unsigned>(n));
  caches[0].values.at(1, 2, 3) = not_a_number;
  using layer = decltype(caches[0].layer());
  std::vector<layer> layers;
  for (auto& c : caches) {
    if constexpr (kvs::reads_links<typename C::select_policy>) make_alike(c.keys);
    layers.push_back(c.layer());
  }
  kvs::host::on<> const inline_;
  kvs::kv_group<layer> const group(layers.data(), layers.size());
  std::vector<workspace_line> memory(kvs::workspace_bytes<C>(inline_, group, p) / 64 + 1);
  auto const expected =
      kvs::plan<C>(inline_, group, p, std::span(reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64));
  REQUIRE(expected);
  auto const made = emulated_plan<C, Threads>(layers, p);
  kvs::token_plan const plan = on_host(made.plan);
  CHECK(plan.uniformity_class == expected.uniformity_class);
  bool listed = false;
  if constexpr (requires { p.select.white_list; }) listed = !p.select.white_list.empty();
  if (!listed) {  // which the device's note does not count
    CHECK(plan.note.got == expected.note.got);
    CHECK(plan.note.expected == expected.note.expected);
    CHECK(std::string_view(plan.note.rule) == expected.note.rule);
    CHECK(plan.note.layer == expected.note.layer);
  }
  for (int v = 0; v < expected.views; ++v)
    for (int h = 0; h < 2; ++h) {
      CAPTURE(v, h);
      CHECK(kept(plan, v, h) == kept(expected, v, h));
      auto const got = plan.scores(v, h), want = expected.scores(v, h);
      for (std::size_t t = 0; t < got.size(); ++t) {
        bool const close = rounding > 0 && std::abs(got[t] - want[t]) <= rounding * std::max(1.0f, std::abs(want[t]));
        if (!close) CHECK(kvs::ordered(got[t]) == kvs::ordered(want[t]));
      }
    }
}

/// Equal scores in many places: random ones, cut to a few values.
struct coarse : kvs::policy_base<kvs::stages::score> {
  using pattern = kvs::patterns::by_position;
  static constexpr bool same_for_all_heads = false;
  KVSIEVE_HD static float score(params const&, int token, int head) {
    auto const x = kvs::mix(static_cast<kvs::cs::uint64_t>(token * 31 + head)) % 17;
    return x == 0 ? not_a_number : x == 1 ? infinite : x == 2 ? -infinite : static_cast<float>(x);
  }
};
template <class... Policies>
using by_coarse = kvs::compressor<coarse, Policies...>;

template <class C>
std::string refusal(typename C::params const& p, int tokens) {
  cache<float, 64> c(1, tokens);
  std::vector const layers{c.layer()};
  int launches = 0;
  emulated_device<32> const on{&launches};
  kvs::device::planner<C, emulated_device<32>, decltype(c.layer()), kvs::device::no_queries> planner(
      on, {layers.data(), 1}, {}, p);
  workspace_memory memory({1 << 16, 1 << 14});
  auto const plan = planner.run(memory.get());
  CHECK_FALSE(plan);
  CHECK(launches == 0);
  char line[200];
  return std::string(plan.state.message(line));
}
}  // namespace

TEST_CASE("device and host select the same pages", "[device][host][select]") {
  std::vector<int> const listed{3, 17, 18, 40, 41, 59};
  using strategy = by_coarse<sel::pages>;
  for (double const keep : {0.0, 0.3, 0.7, 1.0}) {
    same_as_host<strategy, 64>({.budget = {.keep = keep}}, {150, 61, 16, 1});
    same_as_host<strategy, 32>({.budget = {.keep = keep}, .select = {.page = 7, .sink = 9, .recent = 12}}, {150, 61});
    same_as_host<strategy, 64>(
        {.budget = {.keep = keep}, .select = {.page = 8, .sink = 0, .recent = 20, .white_list = listed}}, {150, 61});
  }
  same_as_host<by_coarse<sel::pages, kvs::aggregate::heads_mean>, 64>({.budget = {.tokens = 50}}, {150, 61});
  same_as_host<by_coarse<sel::query_pages<4>>, 64>({.budget = {.keep = 0.4}}, {150, 61});
  same_as_host<strategy, 64>({.budget = {.tokens = 5}, .select = {.page = 8}}, {150});  // less than the newest page
}

TEST_CASE("device and host select the same chunks where shapes tell how many tokens stay", "[device][host][select]") {
  if (race_check) return;  // the same bodies as pages, or as rows
  std::vector<int> const listed{3, 17, 18, 40, 59};
  using strategy = by_coarse<sel::chunks, kvs::store::ragged>;
  for (double const keep : {0.0, 0.3, 0.7, 1.0}) {
    same_as_host<strategy, 64>({.budget = {.keep = keep}, .select = {.length = 10}}, {150, 60, 10});
    same_as_host<strategy, 32>({.budget = {.keep = keep}, .select = {.length = 10, .white_list = listed}}, {150, 60});
    // The shorter last chunk is forced.
    same_as_host<strategy, 64>({.budget = {.keep = keep}, .select = {.length = 20, .recent = 1}}, {150, 61, 13});
  }
  same_as_host<strategy, 64>({.budget = {.keep = 0.5}, .select = {.length = 200, .sink = 2}}, {150});  // by token
  same_as_host<by_coarse<sel::chunks, kvs::aggregate::heads_sum>, 64>({.budget = {.keep = 0.3}}, {140, 60});
  CHECK(refusal<strategy>({.budget = {.keep = 0.5}, .select = {.length = 20}}, 50) ==
        "view 0: select.length is 20, must divide, on the device, what it cuts where the last piece is not forced, 50");
}

TEST_CASE("device and host select the same windows where shapes tell how many tokens stay", "[device][host][select]") {
  if (race_check) return;  // the same bodies as pages, or as rows
  using strategy = by_coarse<sel::windows, kvs::store::ragged>;
  for (double const keep : {0.0, 0.3, 0.7, 1.0}) {
    // Views of equal lengths take the windows of the first of their group.
    same_as_host<strategy, 64>({.budget = {.keep = keep}, .select = {.group = 2}}, {160, 160, 160, 64});
    same_as_host<strategy, 64>({.budget = {.keep = keep}, .select = {.length = 7, .sink = 1, .recent = 9}}, {150, 61});
  }
}

TEST_CASE("device and host select the same tokens of spans", "[device][host][select]") {
  if (race_check) return;  // the same bodies as pages, or as rows
  std::vector<int> const spans{0, 5, 5, 60, 60, 61, 61, 150}, quota{2, 20, 0, 89}, listed{3, 17, 18, 40, 61, 90};
  using strategy = by_coarse<sel::top_k_in_spans>;
  for (double const keep : {0.0, 0.1, 0.4, 1.0}) {
    same_as_host<strategy, 64>({.budget = {.keep = keep}, .select = {.spans = spans}}, {150, 150});
    same_as_host<strategy, 64>({.budget = {.keep = keep}, .select = {.spans = spans, .sink = 6, .recent = 20}}, {150});
    same_as_host<strategy, 32>({.budget = {.keep = keep}, .select = {.sink = 6, .recent = 20}}, {150, 61});
  }
  same_as_host<strategy, 64>(
      {.select = {.spans = spans, .quota = quota, .sink = 6, .recent = 20, .white_list = listed}}, {150, 150});
  CHECK(refusal<strategy>({.select = {.white_list = listed}}, 50) ==
        "view 0: select.white_list is 6, entries; on the device, where spans have no quota, it takes 0");
  std::vector<int> const gap{0, 5, 6, 50};
  CHECK(refusal<strategy>({.select = {.spans = gap}}, 50).starts_with("view 0: select.spans is 6, leaves a gap"));
}

TEST_CASE("device and host draw the same tokens", "[device][host][select]") {
  std::vector<int> const listed{3, 17, 18, 40, 59};
  using strategy = by_coarse<sel::gumbel>;
  for (double const keep : {0.0, 0.3, 0.7, 1.0})
    for (double const drawn : {0.0, 0.4, 1.0}) {
      same_as_host<strategy, 64>({.budget = {.keep = keep}, .select = {.drawn = drawn, .seed = 5}}, {150, 61, 1});
      same_as_host<strategy, 32>(
          {.budget = {.keep = keep},
           .select = {.drawn = drawn, .temperature = 0.3, .seed = 7, .sink = 4, .recent = 9, .white_list = listed}},
          {150, 61});
    }
}

TEST_CASE("device and host select the same tokens in two stages", "[device][host][select]") {
  std::vector<int> const listed{3, 17, 18, 40, 59};
  using strategy = by_coarse<kvs::weigh::value_norm, sel::two_stage>;
  for (double const keep : {0.0, 0.3, 0.7, 1.0})
    for (double const first : {0.0, 0.5, 1.0}) {
      same_as_host<strategy, 64>({.budget = {.keep = keep}, .select = {.first = first}}, {150, 61, 1});
      same_as_host<strategy, 32>(
          {.budget = {.keep = keep}, .select = {.first = first, .sink = 4, .recent = 9, .white_list = listed}},
          {150, 61});
    }
}

TEST_CASE("device and host select in rounds where heads keep different numbers of tokens", "[device][host][select]") {
  std::vector<int> const listed{3, 17, 18, 40, 59};
  std::vector<double> const table{0.3, 1, 0, 0.5};
  using kvs::store::ragged;
  using drawn = by_coarse<sel::gumbel, kvs::budget::over_heads, ragged>;
  using staged = by_coarse<kvs::weigh::value_norm, sel::two_stage, kvs::budget::over_all, ragged>;
  using drawn_by_table = by_coarse<sel::gumbel, kvs::budget::head_shares, ragged>;
  using staged_by_table = by_coarse<kvs::weigh::value_norm, sel::two_stage, kvs::budget::head_shares, ragged>;
  for (double const keep : {0.0, 0.3, 0.7, 1.0}) {
    same_as_host<drawn, 64>({.budget = {.keep = keep}, .select = {.drawn = 0.4, .seed = 5}}, {150, 61, 1});
    same_as_host<drawn, 32>(
        {.budget = {.keep = keep}, .select = {.drawn = 0.7, .seed = 7, .sink = 4, .recent = 9, .white_list = listed}},
        {150, 61});
    same_as_host<staged, 64>({.budget = {.keep = keep}, .select = {.first = 0.5}}, {150, 61, 1});
    same_as_host<staged, 32>(
        {.budget = {.keep = keep}, .select = {.first = 0.3, .sink = 4, .recent = 9, .white_list = listed}}, {150, 61});
  }
  same_as_host<drawn_by_table, 64>({.budget = {.keep = table}, .select = {.drawn = 0.4, .sink = 2}}, {150, 61});
  same_as_host<staged_by_table, 64>({.budget = {.keep = table}, .select = {.first = 0.4, .sink = 2}}, {150, 61});
}

TEST_CASE("device and host keep the same tokens by a threshold", "[device][host][select]") {
  std::vector<int> const listed{3, 17, 18, 40, 59};
  using strategy = by_coarse<sel::threshold, kvs::store::ragged>;
  for (float const least : {-infinite, 2.0f, 9.0f, 9.5f, 17.0f, infinite}) {
    same_as_host<strategy, 64>({.select = {.threshold = least, .recent = 0}}, {1500, 61, 1});
    same_as_host<strategy, 32>({.select = {.threshold = least, .sink = 4, .recent = 9, .white_list = listed}},
                               {150, 61, 60});
  }
  // The budget is not asked, whatever it would be.
  same_as_host<by_coarse<sel::threshold, kvs::budget::over_heads, kvs::store::ragged>, 64>(
      {.budget = {.keep = 0.1}, .select = {.threshold = 9}}, {150, 61});
  same_as_host<by_coarse<sel::threshold, kvs::aggregate::heads_mean, kvs::store::ragged>, 64>(
      {.select = {.threshold = 7}}, {150, 61});
}

TEST_CASE("device and host keep the same pivots of runs", "[device][host][select]") {
  std::vector<int> const listed{3, 17, 18, 40, 59};
  using strategy = by_coarse<sel::runs, kvs::store::ragged>;
  for (float const alike : {-1.0f, 0.5f, 0.9f, 1.0f})
    for (double const heavy : {0.0, 0.2, 1.0}) {
      same_as_host<strategy, 64>({.select = {.alike = alike, .heavy = heavy, .sink = 0, .recent = 0}}, {700, 61, 1});
      same_as_host<strategy, 32>({.select = {.alike = alike, .heavy = heavy, .white_list = listed}}, {150, 61});
    }
}

TEST_CASE("device and host select the same pages and those that stand for others", "[device][host][select]") {
  std::vector<int> const listed{3, 17, 18, 40, 41, 59};
  using strategy = by_coarse<sel::page_representatives>;
  for (double const keep : {0.0, 0.3, 0.7, 1.0})
    for (int const anchor : {0, 1, 2, 3, 4}) {
      same_as_host<strategy, 64>(
          {.budget = {.keep = keep}, .select = {.page = 8, .representatives = 0.5, .anchor = anchor}}, {700, 61, 9, 1});
      same_as_host<strategy, 32>({.budget = {.keep = keep},
                                  .select = {.page = 5,
                                             .representatives = 0.4,
                                             .anchor = anchor,
                                             .seed = 7,
                                             .sink = 9,
                                             .recent = 12,
                                             .white_list = listed}},
                                 {150, 61});
    }
  for (double const share : {0.0, 1.0})
    same_as_host<strategy, 64>({.budget = {.keep = 0.5}, .select = {.page = 1, .representatives = share}}, {150, 61});
}

TEST_CASE("device and host select the same block after block", "[device][host][select]") {
  using by_norm = kvs::key_norm<sel::block_wise>;
  using by_angle = kvs::key_diff_block_wise<>;
  for (double const keep : {0.0, 0.3, 0.9, 1.0})
    for (int const length : {1, 7, 128, 1000}) {
      if (length == 1 && race_check) continue;
      same_as_host<by_norm, 64>({.budget = {.keep = keep}, .select = {.block = length}}, {150, 61, 1}, 2e-6);
      same_as_host<by_angle, 32>({.budget = {.keep = keep}, .select = {.block = length}}, {150, 61}, 2e-6);
    }
}
