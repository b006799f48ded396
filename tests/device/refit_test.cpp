// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Value refit on emulated blocks: near to what the host gives.
#include "emulated_plan.hpp"

#include <kvsieve/device/attend/refit_values.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/host/evict/compactor.hpp>
#include <kvsieve/host/refit_values.hpp>
#include <workspace.hpp>

using namespace kvsieve_test;
using kvs::cs::span;

namespace {
/// What is fitted: kept of the first `prompt` tokens, by queries of the last `observed` rows.
struct refit_case {
  int heads, group, prompt, own, observed, keep;
  kvs::evict::refit_values::params params;
};

/// A strategy's plan of the first `prompt` tokens; kept entries with keys of format Keys.
template <class T, int D, class Keys, int Threads, class C = kvs::random<>>
void check_refit(refit_case const& c, typename C::params const& params, bool infinite_value = false) {
  CAPTURE(D, Threads, c.heads, c.group, c.prompt, c.own, c.observed, c.keep);
  cache<T, D> all(c.heads, c.prompt + c.own, 5);
  if (infinite_value) all.values.at(0, c.prompt / 2, 3) = kvs::from_float<T>(infinite);
  tensor<T, D> queries(c.heads * c.group, c.observed, 77);
  auto const head_stride = kvs::index{c.prompt + c.own} * D;
  kvs::kv_layer const prompt{kvs::make_rows<D>(all.keys.data(), c.heads, c.prompt, head_stride, kvs::index{D}),
                             kvs::make_rows<D>(all.values.data(), c.heads, c.prompt, head_stride, kvs::index{D})};
  using layer = std::remove_const_t<decltype(prompt)>;
  std::vector const layers{prompt};
  auto const made = emulated_plan<C, Threads>(layers, params);
  auto const counted = on_host(made.plan);
  int const most = counted.count(0);
  std::vector<kvs::byte> bytes(static_cast<std::size_t>(kvs::encoded_bytes<Keys, D>(c.heads * most) + 16));
  tensor<T, D> values(c.heads, most, 1);
  kvs::kv_layer const kept{kvs::make_encoded<Keys, D>(bytes.data(), c.heads, most), values.view()};
  using kept_type = std::remove_const_t<decltype(kept)>;
  REQUIRE(kvs::host::compact(kvs::host::on<>{}, counted, span<layer const>(layers.data(), 1),
                             span<kept_type const>(&kept, 1)));
  auto const full = all.layer();
  auto const q = queries.view();
  tensor<float, D> got(c.heads, most + 1, 9), want(c.heads, most + 1, 9);
  auto const got_view = got.view(), want_view = want.view();
  using full_type = std::remove_const_t<decltype(full)>;
  using query_type = std::remove_const_t<decltype(q)>;
  using out_type = std::remove_const_t<decltype(got_view)>;
  span<full_type const> const fulls(&full, 1);
  span<query_type const> const asked(&q, 1);
  span<kept_type const> const entries(&kept, 1);
  emulated_device<Threads> const on;
  kvs::device::value_refit<emulated_device<Threads>, query_type, full_type, kept_type> const call(
      on, asked, fulls, counted, entries, c.params);
  support::workspace memory(call.bytes());
  std::memset(memory.span().data(), 0xcd, memory.span().size());
  char line[200];
  kvs::status s = call.run(span<out_type const>(&got_view, 1), memory.span());
  INFO(s.message(line));
  REQUIRE(s);
  CHECK(memory.guards_hold());
  kvs::host::on<> const host;
  support::workspace host_memory(kvs::refit_values_workspace_bytes(host, asked, fulls, counted, entries, c.params));
  s = kvs::refit_values(host, asked, fulls, counted, entries, span<out_type const>(&want_view, 1), c.params,
                        host_memory.span());
  INFO(s.message(line));
  REQUIRE(s);
  double most_apart = 0, moved = 0;
  for (int h = 0; h < c.heads; ++h)
    for (int t = 0; t <= most; ++t)
      for (int d = 0; d < D; ++d) {
        float const x = got.at(h, t, d), y = want.at(h, t, d);
        if (x == y || (std::isnan(x) && std::isnan(y))) continue;
        double const apart = std::abs(static_cast<double>(x) - static_cast<double>(y));
        most_apart = apart <= most_apart ? most_apart : apart;
      }
  for (int h = 0; h < c.heads; ++h)
    for (int t = 0; t < counted.count(0, h); ++t)
      for (int d = 0; d < D; ++d) {
        double const by =
            std::abs(static_cast<double>(got.at(h, t, d)) - static_cast<double>(kvs::to_float(values.at(h, t, d))));
        moved = by > moved ? by : moved;
      }
  CHECK(most_apart <= 1e-4);
  if (!infinite_value && c.keep > 0 && c.keep < c.prompt) CHECK(moved > 1e-2);
}
using dense_keys = kvs::encode::plain<float>;
}  // namespace

TEST_CASE("value refit kernels: fewer entries than rows, and more", "[device][evict]") {
  auto const plan = [](int keep) { return kvs::random<>::params{.budget = {.tokens = keep}}; };
  check_refit<float, 64, dense_keys, 64>({2, 2, 90, 0, 30, 20, {0.1, 1}}, plan(20));
  if constexpr (race_check) return;
  check_refit<kvs::f16, 64, dense_keys, 32>({1, 2, 150, 0, 50, 90, {0.1, 1}}, plan(90));  // 100 rows
  check_refit<kvs::f16, 64, dense_keys, 32>({1, 2, 150, 0, 50, 120, {2.0, 1}}, plan(120));
  check_refit<float, 64, dense_keys, 64>({2, 3, 100, 0, 41, 33, {0.1, 4}}, plan(33));
  check_refit<float, 64, dense_keys, 64>({2, 1, 60, 0, 9, 60, {0.1, 2}}, plan(60));
  check_refit<float, 64, dense_keys, 64>({2, 1, 60, 0, 9, 0, {0.1, 2}}, plan(0));
}
TEST_CASE("value refit kernels: queries with rows of their own, keys that were rotated and encoded",
          "[device][evict]") {
  kvs::random<>::params const plan{.budget = {.tokens = 40}};
  check_refit<kvs::f16, 64, kvs::encode::rotated<kvs::encode::bits<4>>, 64>({2, 2, 110, 25, 25, 40, {0.1, 2}}, plan);
  if constexpr (race_check) return;
  check_refit<kvs::f16, 64, kvs::encode::bits<3>, 32>({1, 1, 700, 12, 12, 40, {0.1, 1}}, plan);
}
TEST_CASE("value refit kernels: a head whose numbers are not finite keeps its values", "[device][evict]") {
  check_refit<float, 64, dense_keys, 64>({2, 2, 90, 0, 30, 20, {0.1, 1}}, {.budget = {.tokens = 20}}, true);
}
