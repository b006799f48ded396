// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Selections that scores alone count, rounds and representatives; scores of whole heads, of pairs and of hidden states;
// and weights by tables, on a real GPU: the host makes the same plan.
#include <kvsieve/aggregate/group_chosen.hpp>
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/budget/bytes.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/presets.hpp>
#include <kvsieve/weigh/projected_value.hpp>

#include "plan.hpp"

using namespace kvsieve_test;

namespace {
using cache = grouped_cache<kvs::f16, 64>;

/// Numbers of a table on both machines.
struct table {
  std::vector<float> host;
  buffer device;
  table(std::size_t n, unsigned seed, float scale) : host(n), device(n * sizeof(float)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (float& x : host) x = scale * normal(random);
    REQUIRE(cudaMemcpy(device.as<float>(), host.data(), n * sizeof(float), cudaMemcpyHostToDevice) == cudaSuccess);
  }
  [[nodiscard]] kvs::cs::span<float const> here() const { return {host.data(), host.size()}; }
  [[nodiscard]] kvs::cs::span<float const> there() const { return {device.as<float>(), host.size()}; }
};

/// The same lists on both.
template <class C>
void same_lists(cache const& c, typename C::params const& p) {
  stream s;
  device_plan const there = plan_on_device<C>(kvs::device::on{s.handle}, c, p);
  host_plan const here = plan_on_host<C>(c, p);
  for (int v = 0; v < here.plan.views; ++v)
    for (int h = 0; h < here.plan.heads; ++h) {
      CAPTURE(v, h);
      auto const want = here.plan.kept(v, h);
      CHECK(fetch(there.plan, v, h).kept == std::vector<int>(want.begin(), want.end()));
    }
}
/// The same plan by numbers that point to device memory and to the host's.
template <class C>
void same_by_tables(cache const& c, typename C::params const& on_device, typename C::params const& on_host,
                    closeness const& close = {}) {
  stream s;
  device_plan const there = plan_on_device<C>(kvs::device::on{s.handle}, c, on_device);
  host_plan const here = plan_on_host<C>(c, on_host);
  compare<C>(there.plan, here.plan, close, [](int, int, int) { return false; });
}

void all_selections(cache const& c) {
  namespace sel = kvs::select;
  same_lists<kvs::random<sel::threshold, kvs::store::ragged>>(c, {.select = {.threshold = 0.6f, .recent = 9}});
  same_lists<kvs::random<sel::runs, kvs::store::ragged>>(c, {.select = {.alike = 0.1f}});
  same_lists<kvs::random<sel::page_representatives>>(c, {.budget = {.keep = 0.5}});
  same_lists<kvs::key_norm<sel::block_wise>>(c, {.budget = {.keep = 0.3}, .select = {.block = 32}});
  same_lists<kvs::key_diff_block_wise<>>(c, {.budget = {.keep = 0.3}, .select = {.block = 64}});
  same_lists<kvs::random<kvs::budget::layer_scores>>(c, {.budget = {.keep = 0.3}, .select = {.sink = 2}});
  same_lists<kvs::random<kvs::budget::bytes>>(c, {.budget = {.keep = 0.3}});
}

void all_heads(cache const& c) {
  same_as_host<kvs::redundancy<>>(c, {.score = {.threshold = 0.3f}, .budget = {.keep = 0.4}});
  same_as_host<kvs::compressor<kvs::score::non_causal_attention>>(c, {.score = {.chunk = 50}, .budget = {.keep = 0.4}},
                                                                  {2e-5, 1e-2});
  same_as_host<kvs::compressor<kvs::score::expected_attention<>>>(c, {.budget = {.keep = 0.4}});
  same_as_host<kvs::compressor<kvs::score::leverage>>(c, {.budget = {.keep = 0.4}}, {1e-4, 0.1});
  same_as_host<kvs::cap_kv<>>(c, {.budget = {.keep = 0.4}}, {2e-5, 1e-2});
  std::vector<int> chosen;
  for (std::size_t v = 0; v < c.lengths.size(); ++v) chosen.push_back(static_cast<int>(v) % (c.heads * c.group));
  same_as_host<kvs::compress_kv<>>(
      c, {.score = {.window = 16}, .group = {.heads = chosen, .chosen = 1}, .budget = {.keep = 0.4}});
  using protected_ones = kvs::defensive_kv_unweighed<kvs::budget::uniform, kvs::store::dense>;
  same_as_host<protected_ones>(c, {.score = {.window = 16}, .protect = {.share = 0.5}, .budget = {.keep = 0.4}});
}

void all_tables(cache const& c) {
  constexpr int hidden = 100, width = 64;
  int const query_heads = c.heads * c.group, layers = static_cast<int>(c.lengths.size());
  auto const n = [](int x) { return static_cast<std::size_t>(x); };
  table const output(n(layers * hidden * query_heads * 64), 1, 0.1f);
  auto const weighed = [&]<class C>(C) {
    auto const numbers = [&](kvs::cs::span<float const> t) {
      typename C::params p{.score = {.window = 16}, .budget = {.keep = 0.4}};
      p.weigh.output = t;
      p.weigh.query_heads = query_heads;
      p.weigh.hidden = hidden;
      return p;
    };
    same_by_tables<C>(c, numbers(output.there()), numbers(output.here()));
  };
  weighed(kvs::snap_kv<kvs::weigh::projected_value<>>{});
  weighed(kvs::snap_kv<kvs::weigh::projected_value<kvs::projected::length>>{});

  table const weight(n(layers * c.heads * width), 2, 0.1f), bias(n(layers * c.heads), 3, 1);
  std::vector<std::unique_ptr<table>> states;
  std::vector<kvs::hidden_rows> there, here;
  for (int const tokens : c.lengths) {
    states.push_back(std::make_unique<table>(n(tokens * width), static_cast<unsigned>(tokens), 1.0f));
    there.push_back({states.back()->there().data(), kvs::dtype::f32, tokens, width, width});
    here.push_back({states.back()->here().data(), kvs::dtype::f32, tokens, width, width});
  }
  using zap = kvs::kv_zap_linear<>;
  auto const numbers = [&](std::vector<kvs::hidden_rows> const& rows, auto const& of) {
    zap::params p{.budget = {.keep = 0.4}};
    p.score = {.hidden = rows, .width = width, .weight = of(weight), .bias = of(bias)};
    return p;
  };
  same_by_tables<zap>(c, numbers(there, [](table const& t) { return t.there(); }),
                      numbers(here, [](table const& t) { return t.here(); }), {2e-5, 1});
}

void small() {
  cache const c(2, 2, {150, 61, 33}, 131);
  all_selections(c);
  all_heads(c);
  all_tables(c);
}
void large() {
  cache const c(3, 4, {2500, 513, 700}, 141);
  all_selections(c);
  all_heads(c);
  all_tables(c);
}
}  // namespace

std::span<gpu_case const> kvsieve_test::head_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: whole heads, pairs, tables and their selections, small", "[gpu][plan][sanitize]", small},
      {"GPU: whole heads, pairs, tables and their selections", "[gpu][plan]", large}};
  return all;
}
