// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compaction by plans whose heads keep different numbers of tokens, on emulated blocks: the host's bytes, in place,
// into dense rows and into packed ones.
#include "emulated_plan.hpp"

#include <kvsieve/budget/head_shares.hpp>
#include <kvsieve/host/run.hpp>

#include "refusal.hpp"
#include "scripted.hpp"

using namespace kvsieve_test;
using support::check_refused;
namespace budget = kvs::budget;

namespace {
template <class Budget>
using keyed = kvs::key_norm<Budget, kvs::store::ragged>;

/// The table of packed rows that kernels read.
kvs::index const* table_of(kvs::token_plan const& plan, int view) {
  return plan.device_offset + kvs::index{view} * plan.heads;
}
kvs::index const* table_of(kvs::device::open_plan const& plan, int view) { return plan.offsets(view); }
int most_of(kvs::token_plan const& plan, int view) { return plan.count(view); }
int most_of(kvs::device::open_plan const& plan, int view) { return plan.most(view); }

template <class Layer>
kvs::kv_group<Layer> group(std::vector<Layer> const& layers) {
  return {layers.data(), layers.size()};
}
template <class T, int D>
bool same_bytes(tensor<T, D> const& a, tensor<T, D> const& b) {
  return std::memcmp(a.memory.data(), b.memory.data(), a.memory.size() * 64) == 0;
}
template <class T, int D>
bool same_bytes(cache<T, D> const& a, cache<T, D> const& b) {
  return same_bytes(a.keys, b.keys) && same_bytes(a.values, b.values);
}
/// Packed rows for all views, `past` elements behind an aligned address.
template <int D, class T, class Plan>
auto packed(tensor<T, D>& keys, tensor<T, D>& values, Plan const& plan, int past = 0) {
  std::vector<kvs::kv_layer<kvs::rows<T, D, kvs::layout_ragged>>> to;
  for (int v = 0; v < plan.views; ++v) {
    auto const rows = [&](tensor<T, D>& all) {
      return kvs::make_ragged<D>(all.data() + past, plan.heads, table_of(plan, v), most_of(plan, v));
    };
    to.push_back({rows(keys), rows(values)});
  }
  return to;
}

template <class C, class T, int D, int Threads>
void check_apply(typename C::params const& p, int heads = 3, int tokens = 150) {
  CAPTURE(D, Threads, tokens);
  kvs::host::on<> const threads;
  emulated_device<Threads> const blocks;
  cache<T, D> a(heads, tokens, 1), b(heads, tokens / 2, 2);
  std::vector const layers{a.layer(), b.layer()};
  auto const made = emulated_plan<C, Threads>(layers, p);
  kvs::token_plan const plan = on_host(made.plan);
  CHECK(plan.count(0, 0) != plan.count(0, 1));

  // Rows behind what stays are the same as well: neither touches them.
  cache<T, D> got_a(heads, most_of(made.plan, 0) + 1, 3), got_b(heads, most_of(made.plan, 1) + 2, 4);
  cache<T, D> want_a = got_a, want_b = got_b;
  std::vector const got{got_a.layer(), got_b.layer()}, want{want_a.layer(), want_b.layer()};
  REQUIRE(kvs::device::copy_kept<C>(blocks, made.plan, group(layers), group(got)));
  REQUIRE(kvs::apply<C>(threads, plan, group(layers), group(want)));
  CHECK(same_bytes(got_a, want_a));
  CHECK(same_bytes(got_b, want_b));

  for (int const past : {0, 1}) {
    int const rows = static_cast<int>(kvs::device::rows_of(made.plan)) + 2;
    tensor<T, D> keys(1, rows, 5), values(1, rows, 6), want_keys = keys, want_values = values;
    REQUIRE(kvs::device::copy_kept<C>(blocks, made.plan, group(layers), group(packed(keys, values, made.plan, past))));
    std::vector<kvs::kv_layer<kvs::rows<T, D, kvs::layout_ragged>>> to;
    std::vector<kvs::index> table[2];  // the host wants a table for each view that begins with 0
    for (int v = 0; v < 2; ++v) {
      auto const begin = plan.offset[v * heads];
      for (int h = 0; h <= heads; ++h) table[v].push_back(plan.offset[v * heads + h] - begin);
      auto const own = [&](tensor<T, D>& all) {
        return kvs::make_ragged<D>(all.data() + past + begin * D, heads, table[v].data());
      };
      to.push_back({own(want_keys), own(want_values)});
    }
    kvs::status const applied = kvs::apply<C>(threads, plan, group(layers), group(to));
    CAPTURE(support::message_of(applied));
    REQUIRE(applied);
    CHECK(same_bytes(keys, want_keys));
    CHECK(same_bytes(values, want_values));
  }

  cache<T, D> moved_a = a, moved_b = b;
  std::vector const moved{moved_a.layer(), moved_b.layer()};
  REQUIRE(kvs::device::move_kept<C>(blocks, made.plan, group(moved)));
  REQUIRE(kvs::apply<C>(threads, plan, group(layers)));
  for (int v = 0; v < 2; ++v)
    for (int h = 0; h < heads; ++h) {
      auto const& x = moved[static_cast<std::size_t>(v)];
      auto const& y = layers[static_cast<std::size_t>(v)];
      auto const bytes = static_cast<std::size_t>(plan.count(v, h)) * D * sizeof(T);
      CHECK(std::memcmp(&x.keys(h, 0, 0), &y.keys(h, 0, 0), bytes) == 0);
      CHECK(std::memcmp(&x.values(h, 0, 0), &y.values(h, 0, 0), bytes) == 0);
    }
}
std::vector<double> const shares{1, 0.1, 0.5, 0, 0.9, 0.3};
}  // namespace

TEST_CASE("unequal heads: an open plan moves the host's bytes", "[device][evict]") {
  check_apply<keyed<budget::over_heads>, float, 64, 64>({.budget = {.keep = 0.4}});
  check_apply<keyed<budget::over_heads>, kvs::bf16, 64, 32>({.budget = {.keep = 0.9}}, 3, 300);
  check_apply<keyed<budget::over_all>, kvs::bf16, 128, 128>({.budget = {.keep = 0.4}});
  check_apply<keyed<budget::over_all>, kvs::f16, 80, 64>({.budget = {.keep = 0.6}, .select = {.sink = 4}});
}

TEST_CASE("unequal heads: a plan by a threshold, or of runs, moves the host's bytes", "[device][evict]") {
  check_apply<kvs::key_norm<kvs::select::threshold, kvs::store::ragged>, kvs::bf16, 64, 64>(
      {.select = {.threshold = -9, .recent = 0}});
  check_apply<kvs::key_norm<kvs::select::runs, kvs::store::ragged>, float, 80, 32>({.select = {.alike = 0.25f}});
}

TEST_CASE("unequal heads: a plan by a table of heads moves the host's bytes", "[device][evict]") {
  check_apply<keyed<budget::head_shares>, float, 64, 64>({.budget = {.keep = shares}});
  check_apply<keyed<budget::head_shares>, kvs::bf16, 64, 32>({.budget = {.keep = shares}}, 3, 300);
  check_apply<keyed<budget::head_shares>, kvs::f16, 80, 128>({.budget = {.keep = shares}});
}

TEST_CASE("unequal heads: nothing kept, and everything", "[device][evict]") {
  if (race_check) return;  // the same bodies as above
  kvs::host::on<> const threads;
  emulated_device<64> const blocks;
  for (double const keep : {0.0, 1.0}) {
    using strategy = keyed<budget::over_heads>;
    cache<float, 64> a(2, 70, 1), out(2, 70, 2), want = out, same = a;
    std::vector const layers{a.layer()}, moved{same.layer()}, to{out.layer()}, wanted{want.layer()};
    auto const made = emulated_plan<strategy, 64>(layers, {.budget = {.keep = keep}});
    REQUIRE(kvs::device::copy_kept<strategy>(blocks, made.plan, group(layers), group(to)));
    REQUIRE(kvs::apply<strategy>(threads, on_host(made.plan), group(layers), group(wanted)));
    REQUIRE(kvs::device::move_kept<strategy>(blocks, made.plan, group(moved)));
    CHECK(same_bytes(out, want));
    CHECK(same_bytes(same, a));
  }
}

TEST_CASE("unequal heads: more of them than the parameters of one launch hold", "[device][budget]") {
  if (race_check) return;  // the same bodies as above
  constexpr int heads = 240, views = 3;
  std::vector<double> table;
  for (int i = 0; i < heads * views; ++i) table.push_back(i % 7 * 0.1);
  cache<float, 64> a(heads, 10, 1), b(heads, 20, 2), c(heads, 7, 3);
  std::vector const layers{a.layer(), b.layer(), c.layer()};
  auto const made = emulated_plan<keyed<budget::head_shares>, 32>(layers, {.budget = {.keep = table}});
  for (int i = 0; i <= heads * views; ++i) CHECK(made.plan.device_offset[i] == made.plan.offset[i]);
  auto const open = emulated_plan<keyed<budget::over_heads>, 32>(layers, {.budget = {.keep = 0.5}});
  kvs::token_plan const plan = on_host(open.plan);
  for (int v = 0; v < views; ++v) {
    CHECK(plan.offset[(v + 1) * heads] - plan.offset[v * heads] == heads * (plan.tokens(v) / 2));
  }
}

TEST_CASE("unequal heads: a ranking that several blocks share counts as the host does", "[device][budget]") {
  if (race_check) return;  // over_heads of 240 heads above has the same bodies
  for (int const heads : {21, 23, 100}) {
    cache<float, 64> a(heads, 30, 1), b(heads, 20, 2), c(heads, 7, 3);
    for (int h = 0; h < heads; h += 3)  // equal scores, for which the order of the heads counts
      for (int t = 0; t < 20; ++t)
        for (int d = 0; d < 64; ++d) a.keys.at(h, t, d) = b.keys.at(h, t, d) = static_cast<float>(t % 3);
    std::vector const layers{a.layer(), b.layer(), c.layer()};
    using strategy = kvs::key_norm<budget::over_all, kvs::store::ragged>;
    strategy::params const p{.budget = {.keep = 0.3}, .select = {.sink = 1}};
    auto const made = emulated_plan<strategy, 64>(layers, p);
    kvs::token_plan const plan = on_host(made.plan);
    std::vector<float> table(static_cast<std::size_t>(3 * heads * 30));
    for (int v = 0; v < 3; ++v)
      for (int h = 0; h < heads; ++h) {
        auto const row = plan.scores(v, h);
        std::copy(row.begin(), row.end(), table.begin() + (v * heads + h) * 30);
      }
    using replay = kvs::compressor<support::scripted, budget::over_all, kvs::store::ragged>;
    replay::params const again{.score = {.table = table.data(), .stride = 30}, .budget = p.budget, .select = p.select};
    kvs::host::on<> const threads;
    std::vector<workspace_line> memory(kvs::workspace_bytes<replay>(threads, group(layers), again) / 64 + 1);
    auto const want = kvs::plan<replay>(threads, group(layers), again,
                                        std::span(reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64));
    REQUIRE(want);
    for (int v = 0; v < 3; ++v)
      for (int h = 0; h < heads; ++h) CHECK(kept(plan, v, h) == kept(want, v, h));
  }
}

TEST_CASE("unequal heads: targets that do not fit the plan are refused", "[device][evict]") {
  using strategy = keyed<budget::over_heads>;
  emulated_device<32> const on;
  cache<float, 64> a(2, 60, 1), b(2, 40, 2);
  std::vector const layers{a.layer(), b.layer()};
  auto const made = emulated_plan<strategy, 32>(layers, {.budget = {.keep = 0.5}});
  kvs::device::open_plan const& plan = made.plan;
  CHECK(plan.rows == 100);
  CHECK(plan.most(0) == 60);
  CHECK(plan.most(1) == 40);
  tensor<float, 64> keys(1, 100, 5), values(1, 100, 6);
  auto const good = packed(keys, values, plan);
  auto const refused = [&](auto const& to, kvs::errc code, std::vector<std::string> const& parts) {
    check_refused(kvs::device::copy_kept<strategy>(on, plan, group(layers), group(to)), code, parts);
  };
  cache<float, 64> small(2, 59, 7), fits(2, 40, 8);
  refused(std::vector{small.layer(), fits.layer()}, kvs::errc::bad_shape, {"to.tokens", "59", "60"});
  auto to = good;
  to[1] = to[0];
  refused(to, kvs::errc::bad_plan, {"to.offset"});
  to = packed(keys, keys, plan);
  refused(to, kvs::errc::overlap, {"keys and values"});
  to = packed(a.keys, values, plan);
  refused(to, kvs::errc::overlap, {"from"});
  tensor<float, 64> twice(1, 150, 9);
  to = good;
  to[0].keys = packed(twice, values, plan)[0].keys;
  to[1].keys = packed(twice, values, plan, 64)[1].keys;
  refused(to, kvs::errc::overlap, {"another view"});
  REQUIRE(kvs::device::copy_kept<strategy>(on, plan, group(layers), group(good)));

  // Rows of a plan with one count a view have no table of their own.
  using alike = kvs::key_norm<>;
  auto const dense = emulated_plan<alike, 32>(layers, {.budget = {.keep = 0.5}});
  check_refused(kvs::device::copy_kept<alike>(on, dense.plan, group(layers), group(good)), kvs::errc::bad_plan,
                {"to.offset"});
}

TEST_CASE("unequal heads: the counts of an open plan need memory of their number", "[device][plan]") {
  cache<float, 64> a(3, 30, 1);
  std::vector const layers{a.layer()};
  auto const made = emulated_plan<keyed<budget::over_heads>, 32>(layers, {.budget = {.keep = 0.5}});
  CHECK(made.plan.entries() == 4);
  std::vector<kvs::index> offset(made.plan.offset, made.plan.offset + 4);
  kvs::token_plan const counted = made.plan.with(offset);
  REQUIRE(counted);
  CHECK(counted.offset == offset.data());
  CHECK(counted.device_offset == made.plan.offset);
  CHECK(counted.count(0, 0) + counted.count(0, 1) + counted.count(0, 2) == 45);
  offset.resize(3);
  check_refused(made.plan.with(offset).state, kvs::errc::bad_shape, {"offset", "3", "4"});
  kvs::device::open_plan none = made.plan;
  none.state = kvs::fail(kvs::errc::bad_params, "budget.keep", 2, "must be at most", 1);
  check_refused(none.with(offset).state, kvs::errc::bad_params, {"budget.keep"});
}
