// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Top-k inside chunks on emulated blocks: against the reference on given scores, and against the host's plan.
#include "emulated_plan.hpp"

#include <kvsieve/device/select/select.hpp>
#include <kvsieve/host/run.hpp>
#include <kvsieve/reference/top_k_in_chunks.hpp>

using namespace kvsieve_test;
namespace ref = kvsieve::reference;

namespace {
template <int Threads>
void check_chunks(int n, int length, double keep, ref::forced_tokens const& forced) {
  CAPTURE(Threads, n, length, keep, forced.sink, forced.recent);
  std::mt19937 random(static_cast<unsigned>(n + length));
  std::vector<float> score(static_cast<std::size_t>(n));
  for (float& x : score) x = random() % 9 == 0 ? not_a_number : static_cast<float>(random() % 40) / 7.0f;
  std::vector<double> const wide(score.begin(), score.end());
  auto const want = ref::top_k_in_chunks(wide, length, keep, forced);
  kvs::select::top_k_in_chunks::params const p{.length = length};
  kvs::row_share const share{keep, 0, n};
  std::vector<int> list(want.size() + 1, -7);
  kvs::device::select_args args{};
  auto& part = args.views.part[0];
  int const rest = n % length;
  part = {score.data(),
          list.data(),
          n,
          static_cast<kvs::index>(want.size()),
          n,
          kvs::select::top_k_in_chunks::kept(share, length),
          forced.sink,
          forced.recent,
          {0, length, n / length},
          rest,
          kvs::select::top_k_in_chunks::kept(share, rest)};
  args.white_list = forced.white_list.data();
  args.white_count = static_cast<int>(forced.white_list.size());
  REQUIRE(kvs::select::top_k_in_chunks::count(p, share) == static_cast<int>(want.size()));
  REQUIRE(emulated_device<Threads>{}.template launch<kvs::device::select_body>({n / length + 1, 1, 1}, args));
  CHECK(list.back() == -7);
  list.pop_back();
  CHECK(list == want);
  for (int t = 0; t < n; ++t)
    if (ref::reason_of(t, n, forced) != ref::reason::score) CHECK(score[static_cast<std::size_t>(t)] == infinite);
}

template <class C>
void same_as_host(typename C::params const& p) {
  cache<float, 64> a(2, 150, 21), b(2, 61, 22);
  std::vector const layers{a.layer(), b.layer()};
  using layer = decltype(a.layer());
  kvs::host::on<> const inline_;
  kvs::kv_group<layer> const group(layers.data(), layers.size());
  std::vector<workspace_line> memory(kvs::workspace_bytes<C>(inline_, group, p) / 64 + 1);
  auto const expected =
      kvs::plan<C>(inline_, group, p, std::span(reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64));
  REQUIRE(expected);
  auto const made = emulated_plan<C, 64>(layers, p);
  CHECK(made.plan.uniformity_class == expected.uniformity_class);
  CHECK(made.plan.note.got == expected.note.got);
  CHECK(made.plan.note.expected == expected.note.expected);
  CHECK(made.plan.note.layer == expected.note.layer);
  for (int v = 0; v < 2; ++v)
    for (int h = 0; h < 2; ++h) {
      CAPTURE(v, h);
      CHECK(kept(made.plan, v, h) == kept(expected, v, h));
      CHECK(scores(made.plan, v, h) == scores(expected, v, h));
    }
}
}  // namespace

TEST_CASE("select kernel: top-k inside chunks is the reference's", "[device][select]") {
  std::vector<int> const listed{3, 17, 18, 40, 61};
  for (int const length : {1, 7, 32, 64, 100, 1000})
    for (double const keep : {0.0, 0.25, 0.6, 1.0}) {
      check_chunks<32>(100, length, keep, {});
      check_chunks<64>(97, length, keep, {.sink = 4, .recent = 10, .white_list = listed});
    }
  if constexpr (!race_check) check_chunks<128>(3001, 512, 0.3, {.sink = 600, .recent = 40});
}

TEST_CASE("device and host make the same plan in chunks", "[device][host][plan]") {
  using strategy = kvs::random<kvs::select::top_k_in_chunks>;
  same_as_host<strategy>({.budget = {.keep = 0.3}, .select = {.length = 32}});
  same_as_host<strategy>({.budget = {.keep = 0.3}, .select = {.length = 32, .sink = 5, .recent = 12}});
  same_as_host<strategy>({.budget = {.tokens = 20}, .select = {.length = 1000, .recent = 3}});
}

TEST_CASE("device plan: chunks of no tokens are refused, and need no workspace", "[device][plan]") {
  cache<float, 64> c(1, 40);
  using layer_type = decltype(c.layer());
  std::vector const layers{c.layer()};
  using strategy = kvs::chunk_key_norm<>;
  strategy::params const p{.select = {.length = 0}};
  emulated_device<32> const on;
  kvs::device::planner<strategy, emulated_device<32>, layer_type, kvs::device::no_queries> planner(
      on, {layers.data(), 1}, {}, p);
  CHECK(planner.bytes().device == 0);
  CHECK(planner.bytes().host == 0);
  auto const plan = planner.run({});
  CHECK_FALSE(plan);
  CHECK(plan.state.argument == std::string_view("select.length"));
}
