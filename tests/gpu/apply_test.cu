// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Applying plans on a real GPU gives what the host does from the same plan: rows that are encoded, merged, fitted; and
// attention that remembers. Multiply-adds are fused here and may not be there, so a code or a nearest token that hangs
// on the last bit may be its neighbour: few numbers, whose share is bounded.
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/aggregate/sum.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/fp8.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/host/refit_values.hpp>

#include "plan.hpp"

using namespace kvsieve_test;

namespace {
namespace enc = kvs::encode;
namespace evict = kvs::evict;
constexpr int D = 64;
using cache = grouped_cache<float, D>;

/// A plan of the device with all it points to on the host.
struct plan_here {
  std::vector<int> list;
  std::vector<float> score;
  kvs::token_plan plan;
  explicit plan_here(kvs::token_plan const& there) : plan(there) {
    list = fetch(there.list, static_cast<std::size_t>(there.offset[there.views * there.heads]));
    int const last = there.views - 1;
    score = fetch(there.score, static_cast<std::size_t>(there.score_offset[last] +
                                                        there.heads * kvs::score_stride(there.tokens(last))));
    plan.list = list.data();
    plan.score = score.data();
  }
};
/// Numbers that are apart by more than `close`, as a share of all.
double share_apart(std::vector<float> const& a, std::vector<float> const& b, double close) {
  REQUIRE(a.size() == b.size());
  std::size_t apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    apart += std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])) <= close ? 0u : 1u;
  return a.empty() ? 0.0 : static_cast<double>(apart) / static_cast<double>(a.size());
}
template <class View>
std::vector<float> numbers(View const& rows, int heads, int count) {
  std::vector<float> all;
  for (int h = 0; h < heads; ++h)
    for (int t = 0; t < count; ++t)
      for (int d = 0; d < D; ++d) all.push_back(kvs::to_float(rows(h, t, d)));
  return all;
}

template <class Keys, class Values>
void encoded(int tokens, int keep) {
  CAPTURE(Keys::name, Values::name, tokens, keep);
  using strategy = kvs::random<>;
  cache const c(2, 1, {tokens}, 3);
  stream s;
  kvs::device::on const on{s.handle};
  device_plan const made = plan_on_device<strategy>(on, c, {.budget = {.tokens = keep}});
  plan_here const here(made.plan);
  auto const bytes = [&]<class Codec>(Codec) {
    return static_cast<std::size_t>(kvs::encoded_bytes<Codec, D>(2 * keep));
  };
  buffer const keys(bytes(Keys{})), values(bytes(Values{}));
  std::vector<kvs::byte> want_keys(bytes(Keys{})), want_values(bytes(Values{}));
  auto const layer = [&](kvs::byte* k, kvs::byte* v) {
    return kvs::kv_layer{kvs::make_encoded<Keys, D>(k, 2, keep), kvs::make_encoded<Values, D>(v, 2, keep)};
  };
  auto const from = c.on_device();
  REQUIRE(kvs::apply<strategy>(on, made.plan, from[0], layer(keys.as<kvs::byte>(), values.as<kvs::byte>())));
  s.wait();
  auto const mine = c.on_host();
  auto const want = layer(want_keys.data(), want_values.data());
  REQUIRE(kvs::apply<strategy>(kvs::host::on<>{}, here.plan, mine[0], want));
  auto got_keys = fetch(keys.as<kvs::byte>(), want_keys.size());
  auto got_values = fetch(values.as<kvs::byte>(), want_values.size());
  auto const got = layer(got_keys.data(), got_values.data());
  CHECK(share_apart(numbers(got.keys, 2, keep), numbers(want.keys, 2, keep), 1e-5) <= 0.005);
  CHECK(share_apart(numbers(got.values, 2, keep), numbers(want.values, 2, keep), 1e-5) <= 0.005);
}

template <class Evict>
void merged(int tokens, double keep, typename Evict::params const& p = {}) {
  CAPTURE(tokens, keep);
  using strategy = kvs::random<Evict>;
  typename strategy::params const params{.budget = {.keep = keep}, .select = {.sink = 2}, .evict = p};
  cache const c(2, 1, {tokens}, 5);
  stream s;
  kvs::device::on const on{s.handle};
  device_plan const made = plan_on_device<strategy>(on, c, params);
  plan_here const here(made.plan);
  int const rows = kvs::merged_rows<strategy>(here.plan, params, 0, 0);
  tensor<float, D> keys(2, rows, 1), values(2, rows, 1);
  buffer const codes(static_cast<std::size_t>(2 * rows));
  auto const from = c.on_device();
  buffer const memory(kvs::apply_workspace_bytes<strategy>(on, made.plan, from[0], params));
  char line[200];
  kvs::status done =
      kvs::apply<strategy>(on, made.plan, from[0], kvs::kv_layer{keys.on_device(), values.on_device()}, params,
                           memory.bytes(), kvs::entry_bias_target{codes.as<kvs::cs::uint8_t>(), rows, nullptr});
  INFO(done.message(line));
  REQUIRE(done);
  s.wait();
  auto const got_keys = keys.download(), got_values = values.download();
  std::vector<kvs::cs::uint8_t> want_codes(static_cast<std::size_t>(2 * rows));
  auto const mine = c.on_host();
  kvs::host::on<> const host;
  std::vector<host_line> scratch(kvs::apply_workspace_bytes<strategy>(host, here.plan, mine[0], params) / 64 + 1);
  kvs::kv_layer const want{kvs::make_rows<D>(keys.host.data(), 2, rows),
                           kvs::make_rows<D>(values.host.data(), 2, rows)};
  REQUIRE(kvs::apply<strategy>(host, here.plan, mine[0], want, params,
                               std::span(reinterpret_cast<std::byte*>(scratch.data()), scratch.size() * 64),
                               kvs::entry_bias_target{want_codes.data(), rows, nullptr}));
  CHECK(share_apart(got_keys, keys.host, 1e-4) <= 0.01);
  CHECK(share_apart(got_values, values.host, 1e-4) <= 0.01);
  auto const got_codes = fetch(codes.as<kvs::cs::uint8_t>(), want_codes.size());
  std::size_t apart = 0;
  for (std::size_t i = 0; i < got_codes.size(); ++i) apart += std::abs(got_codes[i] - want_codes[i]) > 1 ? 1u : 0u;
  CHECK(apart * 100 <= got_codes.size());
}

void fitted(int tokens, int observed, int keep) {
  CAPTURE(tokens, observed, keep);
  using strategy = kvs::random<>;
  cache const c(2, 2, {tokens}, 9);
  tensor<float, D> const queries(4, observed, 31);
  queries.upload();
  stream s;
  kvs::device::on const on{s.handle};
  device_plan const made = plan_on_device<strategy>(on, c, {.budget = {.tokens = keep}});
  plan_here const here(made.plan);
  tensor<float, D> keys(2, keep, 1), values(2, keep, 1), out(2, keep, 1);
  auto const there = c.on_device(), mine = c.on_host();
  REQUIRE(kvs::apply<strategy>(on, made.plan, there[0], kvs::kv_layer{keys.on_device(), values.on_device()}));
  s.wait();
  keys.host = keys.download();
  values.host = values.download();
  kvs::evict::refit_values::params const params{.ridge = 0.1, .stride = 1};
  auto const one = [](auto const& x) { return kvs::cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
  auto const q = queries.on_device(), o = out.on_device();
  kvs::kv_layer const kept{keys.on_device(), values.on_device()};
  buffer const memory(kvs::refit_values_workspace_bytes(on, one(q), one(there[0]), made.plan, one(kept), params));
  REQUIRE(kvs::refit_values(on, one(q), one(there[0]), made.plan, one(kept), one(o), params, memory.bytes()));
  s.wait();
  auto const got = out.download();
  kvs::host::on<> const host;
  auto const q_here = queries.on_host();
  kvs::kv_layer const kept_here{keys.on_host(), values.on_host()};
  auto const want = kvs::make_rows<D>(out.host.data(), 2, keep);
  std::vector<host_line> scratch(
      kvs::refit_values_workspace_bytes(host, one(q_here), one(mine[0]), here.plan, one(kept_here), params) / 64 + 1);
  REQUIRE(kvs::refit_values(host, one(q_here), one(mine[0]), here.plan, one(kept_here), one(want), params,
                            std::span(reinterpret_cast<std::byte*>(scratch.data()), scratch.size() * 64)));
  CHECK(share_apart(got, out.host, 1e-3) == 0);
}

template <class A>
void observed(int tokens, int asked) {
  CAPTURE(tokens, asked);
  cache const c(2, 3, {tokens}, 15);
  tensor<float, D> const queries(6, asked, 33);
  queries.upload();
  tensor<float, D> const out(6, asked, 1);
  stream s;
  kvs::device::on const on{s.handle};
  auto const floats = static_cast<std::size_t>(kvs::observed_state<A>::floats(6, tokens));
  buffer const memory(floats * sizeof(float));
  std::vector<float> want(floats);
  kvs::observed_state<A> here = kvs::make_observed_state<A>(want.data(), 6, tokens, {}), there = here;
  there.data = memory.as<float>();
  REQUIRE(kvs::begin_observed(on, there, {}, 0, there.capacity));
  auto const one = [](auto const& x) { return kvs::cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
  auto const q = queries.on_device(), o = out.on_device();
  auto const q_here = queries.on_host();
  auto const layers = c.on_device(), mine = c.on_host();
  std::vector<float> out_here(out.host.size());
  auto const o_here = kvs::make_rows<D>(out_here.data(), 6, asked);
  buffer const scratch(kvs::attend_observed_workspace_bytes<A>(on, one(q), one(layers[0])));
  kvs::host::on<> const host;
  std::vector<host_line> host_scratch(kvs::attend_observed_workspace_bytes<A>(host, one(q_here), one(mine[0])) / 64 +
                                      1);
  for (int step = 0; step < 2; ++step) {
    REQUIRE(kvs::attend_observed<A>(on, one(q), one(layers[0]), one(o),
                                    kvs::cs::span<kvs::observed_state<A>>(&there, 1), {}, scratch.bytes()));
    REQUIRE(kvs::attend_observed<A>(
        host, one(q_here), one(mine[0]), one(o_here), kvs::cs::span<kvs::observed_state<A>>(&here, 1), {},
        std::span(reinterpret_cast<std::byte*>(host_scratch.data()), host_scratch.size() * 64)));
  }
  s.wait();
  CHECK(there.queries == here.queries);
  CHECK(share_apart(out.download(), out_here, 1e-4) == 0);
  CHECK(share_apart(fetch(memory.as<float>(), floats), want, 1e-4) == 0);
}

void small() {
  encoded<enc::q8_0, enc::rotated<enc::bits<3>>>(90, 64);
  encoded<enc::kivi_keys<2>, enc::kivi_values<2>>(90, 64);
  merged<evict::merge_nearest>(150, 0.3);
  merged<evict::merge_on_evict>(150, 0.3, {.gate = {.threshold = 0.1f, .fraction = 0.5}});
  merged<evict::zero_merge>(90, 0.3, {.residual = 7});
  merged<evict::cam>(150, 0.3, {.candidates = 30, .followers = 5});
  merged<evict::cam_prefill>(90, 0.3, {.window = 9});
  fitted(120, 30, 50);
  fitted(120, 20, 60);
  observed<kvs::aggregate::sum>(150, 2);
}
void rows_encoded() {
  encoded<enc::q8_0, enc::rotated<enc::bits<3>>>(3000, 1999);
  encoded<enc::bits<2, enc::scale_by::search>, enc::bitmap<20>>(3000, 1999);
  encoded<enc::kivi_keys<2>, enc::kivi_values<2>>(3000, 1984);
  encoded<enc::fp8_row<enc::e4m3>, enc::fp8_row<enc::e5m2>>(3000, 1999);
}
void rows_merged() {
  for (double const keep : {0.1, 0.5}) {
    merged<evict::merge_nearest>(3000, keep);
    merged<evict::merge_on_evict>(3000, keep, {.gate = {.threshold = 0.1f, .fraction = 0.5}});
    merged<evict::d2o_merge>(3000, keep);
    merged<evict::elastic_merge>(3000, keep);
    merged<evict::merge_runs>(3000, keep, {.nearest = {.alike = 0.1f}});
    merged<evict::zero_merge>(3000, keep, {.residual = 7});
    merged<evict::cam>(3000, keep);
    merged<evict::cam_prefill>(3000, keep);
  }
}
void values_fitted() {
  fitted(2000, 200, 300);
  fitted(2000, 100, 700);
}
void entries_observed() {
  observed<kvs::aggregate::sum>(5000, 8);
  observed<kvs::aggregate::max>(5000, 1);
}
}  // namespace

std::span<gpu_case const> kvsieve_test::apply_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: encoding, merging, refit and observing, small", "[gpu][evict][sanitize]", small},
      {"GPU: compaction into formats", "[gpu][encode]", rows_encoded},
      {"GPU: merging", "[gpu][evict]", rows_merged},
      {"GPU: value refit", "[gpu][evict]", values_fitted},
      {"GPU: attention that remembers", "[gpu][attend]", entries_observed}};
  return all;
}
