// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// LESS on emulated blocks: tokens that leave become sums, and attention reads them, as on the host.
#include <kvsieve/device/attend/attend.hpp>
#include <kvsieve/device/evict/absorbing.hpp>
#include <kvsieve/host/absorb_tokens.hpp>
#include <kvsieve/host/run.hpp>

#include "emulated_plan.hpp"
#include "low_rank.hpp"
#include "workspace.hpp"

namespace low_rank_device_tests {
using namespace kvsieve_test;
using kvs::index;

namespace {
constexpr int D = 64, heads = 2, group = 3, tokens = 90, rank = 8, units = 80;
kvs::host::on<> const inline_;
template <class T>
kvs::cs::span<T const> one(T const& x) {
  return {&x, 1};
}

/// Largest difference of two sums, as a share of the largest number.
double apart(support::low_rank_memory const& a, support::low_rank_memory const& b) {
  double most = 0, size = 1e-30;
  for (std::size_t v = 0; v < a.data.size(); ++v)
    for (std::size_t i = 0; i < a.data[v].size(); ++i) {
      double const x = static_cast<double>(a.data[v][i]), y = static_cast<double>(b.data[v][i]);
      size = std::max(size, std::abs(y));
      most = std::isnan(x) != std::isnan(y) ? 1e30 : std::max(most, std::isnan(x) ? 0 : std::abs(x - y));
    }
  return most / size;
}
/// Networks of one layer, and a cache with rows that are not finite.
struct setting {
  support::low_rank_tables tables{1, heads, heads* group, D, rank, units, 5};
  cache<float, D> c{heads, tokens, 71};
  setting() { c.keys.at(0, 7, 3) = c.values.at(1, 9, 0) = not_a_number; }
};
/// Lists of tokens, as many of each head.
std::vector<int> some_tokens(int count) {
  std::vector<int> list;
  for (int h = 0; h < heads; ++h)
    for (int i = 0; i < count; ++i) list.push_back(i * (tokens - 1) / (count < 2 ? 1 : count - 1));
  return list;
}
}  // namespace

TEST_CASE("absorb_tokens on the device: the sums are the host's", "[device]") {
  setting s;
  auto const layer = s.c.layer();
  for (int const count : {0, 1, 13, 60}) {
    CAPTURE(count);
    support::low_rank_memory got(1, heads, rank, D), want(1, heads, rank, D);
    auto const list = some_tokens(count);
    kvs::leaving_tokens const leaving{list.data(), count, count};
    for (int round = 0; round < 2; ++round) {  // they are added to
      auto const p = s.tables.params(got.span()), q = s.tables.params(want.span());
      using layer_type = std::remove_const_t<decltype(layer)>;
      emulated_device<64> const on{nullptr, 3 + static_cast<unsigned>(count)};
      kvs::device::absorbing<emulated_device<64>, layer_type> const call(on, one(layer), one(leaving), p);
      support::workspace memory(call.bytes());
      REQUIRE(call.run(memory.span()));
      REQUIRE(memory.guards_hold());
      support::workspace host(kvs::absorb_tokens_workspace_bytes(one(layer), one(leaving), q));
      REQUIRE(kvs::absorb_tokens(inline_, one(layer), one(leaving), q, host.span()));
    }
    CHECK(apart(got, want) <= 1e-5);
    if (race_check) break;
  }
}

TEST_CASE("low_rank_state on the device: a plan's evicted tokens, and attention that reads them", "[device]") {
  using strategy = kvs::key_norm<kvs::budget::over_all, kvs::store::ragged, kvs::evict::low_rank_state>;
  setting s;
  std::vector const layers{s.c.layer()};
  using layer_type = decltype(s.c.layer());
  support::low_rank_memory got(1, heads, rank, D), want(1, heads, rank, D);
  strategy::params p{.budget = {.keep = 0.4}}, q = p;
  p.evict = s.tables.params(got.span());
  q.evict = s.tables.params(want.span());
  auto const made = emulated_plan<strategy, 32>(layers, p);
  kvs::token_plan const counted = on_host(made.plan);
  emulated_device<32> const on{nullptr, 9};
  cache<float, D> to(heads, tokens, 1), want_to = to;
  std::vector const target{to.layer()}, host_target{want_to.layer()};
  kvs::device::sum_call<emulated_device<32>, kvs::device::open_plan, layer_type> const call(
      on, made.plan, {layers.data(), 1}, p.evict);
  support::workspace memory(call.bytes());
  std::vector<std::uint8_t> codes(heads * tokens, 7);
  kvs::entry_bias_target const bias{codes.data(), tokens};
  REQUIRE(call.run(kvs::cs::span<layer_type const>(target.data(), 1), memory.span(), one(bias)));
  support::workspace host(kvs::apply_workspace_bytes<strategy>(inline_, counted, layers[0], q));
  REQUIRE(kvs::apply<strategy>(inline_, counted, layers[0], host_target[0], q, host.span()));
  CHECK(apart(got, want) <= 1e-5);
  for (int h = 0; h < heads; ++h) {
    for (int i = 0; i < counted.count(0, h); ++i) {
      CHECK(codes[static_cast<std::size_t>(h * tokens + i)] == 0);
      CHECK(std::memcmp(&to.keys.at(h, i, 0), &want_to.keys.at(h, i, 0), D * sizeof(float)) == 0);
    }
    CHECK(codes[static_cast<std::size_t>(h * tokens + counted.count(0, h))] == 7);
  }

  // Rows and sums of the host for both, so that attention alone is compared.
  index const offset[] = {0, tokens / 2, tokens / 2 + 13};
  auto const rows = [&](tensor<float, D>& t) { return kvs::make_ragged<D>(t.data(), heads, offset, 45); };
  kvs::kv_layer const kept{rows(want_to.keys), rows(want_to.values)};
  for (int const asked : {1, 2}) {
    CAPTURE(asked);
    tensor<float, D> queries(heads * group, asked, 81);
    auto const query = queries.view();
    std::vector<float> out(static_cast<std::size_t>(heads * group * asked * D)), host_out = out;
    std::vector<float> sums(static_cast<std::size_t>(heads * group * asked)), host_sums = sums;
    auto const attend = [&](std::vector<float>& o, std::vector<float>& l, auto const& f) {
      auto const view = kvs::make_rows<D>(o.data(), heads * group, asked);
      kvs::query_numbers const numbers(l.data(), heads * group, asked);
      kvs::attend_options const options{
          .log_sum_exp = one(numbers), .evicted = want.span(), .features = s.tables.queries()};
      kvs::status const done = f(view, options);
      char line[200];
      INFO(done.message(line));
      REQUIRE(done);
    };
    using kept_type = std::remove_const_t<decltype(kept)>;
    attend(out, sums, [&](auto const& view, auto const& options) {
      kvs::device::attention<emulated_device<64>, kvs::rows<float, D>, kept_type> const run(emulated_device<64>{},
                                                                                            one(query), one(kept));
      support::workspace room(run.bytes());
      kvs::status const done = run.run(one(view), options, room.span());
      CHECK(room.guards_hold());
      return done;
    });
    attend(host_out, host_sums, [&](auto const& view, auto const& options) {
      support::workspace room(kvs::attend_workspace_bytes(inline_, query, kept));
      return kvs::attend(inline_, query, kept, view, room.span(), options);
    });
    for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(std::abs(out[i] - host_out[i]) <= 2e-5f);
    for (std::size_t i = 0; i < sums.size(); ++i) REQUIRE(std::abs(sums[i] - host_sums[i]) <= 2e-5f);
  }
}

TEST_CASE("low_rank_state on the device: what it refuses, and then nothing is launched", "[device]") {
  setting s;
  auto const layer = s.c.layer();
  using layer_type = std::remove_const_t<decltype(layer)>;
  int launches = 0;
  emulated_device<64> const on{&launches};
  support::low_rank_memory memory(1, heads, rank, D);
  auto p = s.tables.params(memory.span());
  std::vector<int> const list = some_tokens(5);
  kvs::leaving_tokens leaving{list.data(), 5, 5};
  auto const argument = [&] {
    kvs::device::absorbing<emulated_device<64>, layer_type> const call(on, one(layer), one(leaving), p);
    CHECK(call.bytes() == 0);
    return std::string(call.run({}).argument);
  };
  leaving.count = tokens + 1;
  CHECK(argument() == "leaving.count");
  leaving.count = 5;
  leaving.head_stride = 4;
  CHECK(argument() == "leaving.head_stride");
  leaving.head_stride = 5;
  memory.sums[0].rank = 7;
  CHECK(argument() == "evict.state");
  memory.sums[0].rank = rank;
  p.rank = 65;
  CHECK(argument() == "evict.rank");
  CHECK(launches == 0);
}
}  // namespace low_rank_device_tests
