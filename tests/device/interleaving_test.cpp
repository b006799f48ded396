// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies whose threads take turns in orders drawn from seeds: every order gives the same bits, for two block
// sizes. The order of the blocks of a launch varies too.
#include "attend_cases.hpp"
#include "emulated_plan.hpp"

using namespace kvsieve_test;

namespace {
constexpr int orders = 4;

/// Everything that a call wrote.
using bits = std::vector<unsigned char>;
void append(bits& to, void const* from, std::size_t bytes) {
  auto const* const p = static_cast<unsigned char const*>(from);
  to.insert(to.end(), p, p + bytes);
}

/// What f(launcher) writes is the same in any order.
template <int Threads, class F>
void same_in_any_order(F const& f) {
  CAPTURE(Threads);
  bits const first = f(emulated_device<Threads>{nullptr, 1});
  for (std::uint64_t seed = 2; seed <= orders; ++seed) {
    CAPTURE(seed);
    CHECK((f(emulated_device<Threads>{nullptr, seed}) == first));
  }
}

template <class C, class T, int D>
struct planned {
  cache<T, D> a{2, 150, 1}, b{2, 61, 2};
  tensor<T, D> qa{4, 8, 3}, qb{4, 8, 4};
  typename C::params p;

  /// Scores, lists, and what compaction in place leaves.
  template <class Launcher>
  bits operator()(Launcher const& on) const {
    cache<T, D> first = a, second = b;
    tensor<T, D> qa_ = qa, qb_ = qb;
    std::vector const layers{first.layer(), second.layer()};
    using layer = std::remove_cvref_t<decltype(layers[0])>;
    bits all;
    auto const run = [&](auto const& queries) {
      using query = std::remove_cvref_t<decltype(queries[0])>;
      kvs::device::planner<C, Launcher, layer, query> planner(on, {layers.data(), 2}, {queries.data(), queries.size()},
                                                              p);
      workspace_memory memory(planner.bytes());
      auto const plan = planner.run(memory.get());
      REQUIRE(plan);
      kvs::token_plan const counted = on_host(plan);
      for (int v = 0; v < 2; ++v)
        for (int h = 0; h < 2; ++h) {
          append(all, counted.scores(v, h).data(), counted.scores(v, h).size() * sizeof(float));
          append(all, counted.kept(v, h).data(), counted.kept(v, h).size() * sizeof(int));
        }
      REQUIRE(kvs::device::move_kept<C>(on, plan, kvs::kv_group<layer>(layers.data(), 2)));
    };
    if constexpr (C::observes_queries)
      run(std::vector{qa_.view(), qb_.view()});
    else
      run(std::vector<kvs::device::no_queries>{});
    for (auto* const x : {&first, &second})
      for (auto* const t : {&x->keys, &x->values}) append(all, t->memory.data(), t->memory.size() * 64);
    return all;
  }
};
template <class C, class T, int D>
void check_plans(typename C::params const& p) {
  planned<C, T, D> const all{.p = p};
  same_in_any_order<64>(all);
  same_in_any_order<128>(all);
}

/// Every thread reads what its neighbour wrote, behind a sync or not.
template <bool Syncs>
struct neighbour_body {
  template <kvs::device::block Block>
  struct shared {
    int number[Block::threads];
  };
  template <kvs::device::block Block>
  static void run(Block& b, int* const& out, kvs::device::work w, shared<Block>& s) {
    s.number[b.rank()] = 0;
    b.sync();
    s.number[b.rank()] = b.rank() + 1;
    if constexpr (Syncs) b.sync();
    out[w.x * Block::threads + b.rank()] = s.number[(b.rank() + 1) % Block::threads];
  }
};
template <bool Syncs>
int orders_that_differ() {
  std::vector<int> first(3 * 64);
  int differ = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    std::vector<int> out(3 * 64, -1);
    int* const to = out.data();
    REQUIRE(emulated_device<64>{nullptr, seed}.launch<neighbour_body<Syncs>>({3, 1, 1}, to));
    if (seed == 1) first = out;
    differ += out == first ? 0 : 1;
  }
  return differ;
}
}  // namespace

TEST_CASE("interleaving: a missing sync shows in some order", "[device][interleaving]") {
  CHECK(orders_that_differ<true>() == 0);
  if constexpr (!race_check) CHECK(orders_that_differ<false>() > 0);  // ThreadSanitizer ends at the race itself
}

TEST_CASE("interleaving: plans and compaction in place are the same in any order", "[device][interleaving]") {
  check_plans<kvs::key_diff<>, float, 64>({.budget = {.keep = 0.4}, .select = {.sink = 2, .recent = 3}});
  check_plans<kvs::snap_kv<>, kvs::bf16, 64>({.score = {.window = 8}, .budget = {.keep = 0.5}});
  check_plans<kvs::ada_kv<>, kvs::bf16, 64>({.score = {.window = 8}, .budget = {.keep = 0.5}});
}

TEST_CASE("interleaving: attention is the same in any order", "[device][interleaving]") {
  using namespace attend_cases;
  constexpr int D = 64, tokens = 300;
  std::mt19937 random(3);
  shape const s{2, 2, 3};
  auto const keys = normal_room<kvs::f16>(random, s.heads * tokens * D);
  auto const values = normal_room<kvs::f16>(random, s.heads * tokens * D);
  auto const asked = normal_room<float>(random, s.rows() * D);
  auto const rows = [&](auto const& data) {
    return kvs::make_rows<D>(static_cast<kvs::f16 const*>(data.data()), s.heads, tokens);
  };
  std::vector const layers{kvs::kv_layer{rows(keys), rows(values)}};
  std::vector const queries{kvs::make_rows<D>(static_cast<float const*>(asked.data()), s.heads * s.group, s.asked)};
  auto const attend = [&]<class Launcher>(Launcher const& on) {
    kvs::device::attention<Launcher, std::remove_cvref_t<decltype(queries[0])>,
                           std::remove_cvref_t<decltype(layers[0])>> const call(on, span_of(queries), span_of(layers));
    workspace_memory scratch({call.bytes(), 0});
    std::vector<float> out(static_cast<std::size_t>(s.rows() * D));
    auto const to = kvs::make_rows<D>(out.data(), s.heads * s.group, s.asked);
    REQUIRE(call.run(kvs::cs::span<kvs::rows<float, D> const>(&to, 1), {}, scratch.get().device));
    bits all;
    append(all, out.data(), out.size() * sizeof(float));
    return all;
  };
  same_in_any_order<64>(attend);
  same_in_any_order<128>(attend);
}
