// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Block-wise selection against reference/block_wise.hpp: rounds of any size, budgets from nothing to everything.
#include <kvsieve/reference/block_wise.hpp>

#include <catch2/catch_all.hpp>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/key_diff.hpp>
#include <kvsieve/reference/key_norm.hpp>

namespace kvs = kvsieve;
namespace reference = kvsieve::reference;

namespace {
constexpr int heads = 3, dim = 64;

struct cache {
  std::vector<float> keys, values;
  int tokens;
  explicit cache(int n) : keys(static_cast<std::size_t>(heads * n * dim)), values(keys.size(), 1.0f), tokens(n) {
    std::mt19937 random(static_cast<unsigned>(n));
    std::normal_distribution<float> normal(0.3f);
    for (float& x : keys) x = normal(random);
  }
  [[nodiscard]] auto view() {
    return kvs::kv_layer{kvs::make_rows<dim>(keys.data(), heads, tokens),
                         kvs::make_rows<dim>(values.data(), heads, tokens)};
  }
};

template <class C>
std::vector<std::vector<int>> kept(cache& c, double keep, int block, int workers) {
  kvs::host::team team{workers};
  kvs::host::on const on{team};
  typename C::params const params{.budget = {.keep = keep}, .select = {.block = block}};
  auto const view = c.view();
  std::size_t const bytes = kvs::workspace_bytes<C>(on, view, params);
  std::unique_ptr<std::byte, void (*)(void*)> const memory(
      static_cast<std::byte*>(std::aligned_alloc(64, bytes / 64 * 64 + 64)), std::free);
  auto const plan = kvs::plan<C>(on, view, params, std::span(memory.get(), bytes));
  REQUIRE(plan);
  std::vector<std::vector<int>> lists;
  for (int h = 0; h < heads; ++h) lists.emplace_back(plan.kept(0, h).begin(), plan.kept(0, h).end());
  return lists;
}
}  // namespace

TEST_CASE("block-wise KeyDiff keeps what the reference keeps", "[select][block_wise]") {
  int const tokens = GENERATE(1, 2, 63, 300, 777), block = GENERATE(1, 7, 128, 5000);
  double const keep = GENERATE(0.0, 0.1, 0.25, 0.9, 1.0);
  int const budget = static_cast<int>(tokens * keep);
  // Two keys make the same angle with their mean: with two candidates rounding alone would decide.
  if (budget == 1 && (block == 1 || tokens == 2)) return;
  cache c(tokens);
  auto const lists = kept<kvs::key_diff_block_wise<>>(c, keep, block, 2);
  for (int h = 0; h < heads; ++h)
    CHECK(lists[static_cast<std::size_t>(h)] ==
          reference::block_wise(
              c.view().keys, h, budget, block,
              [](auto const& k, kvs::index head, std::span<double> s) { reference::key_diff(k, head, s); }));
}

TEST_CASE("a score that looks at a row alone keeps the same block-wise and at once", "[select][block_wise]") {
  using at_once = kvs::key_norm<>;
  cache c(500);
  auto const lists = kept<kvs::key_norm<kvs::select::block_wise>>(c, 0.3, 64, 1);
  auto const view = c.view();
  kvs::host::on const on;
  at_once::params const params{.budget = {.keep = 0.3}};
  std::vector<std::byte> memory(kvs::workspace_bytes<at_once>(on, view, params) + 64);
  std::size_t const skip = (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
  auto const plan = kvs::plan<at_once>(on, view, params, std::span(memory).subspan(skip));
  REQUIRE(plan);
  for (int h = 0; h < heads; ++h)
    CHECK(lists[static_cast<std::size_t>(h)] == std::vector<int>(plan.kept(0, h).begin(), plan.kept(0, h).end()));
}

TEST_CASE("block-wise selection refuses a block of nothing", "[select][block_wise]") {
  using strategy = kvs::key_diff_block_wise<>;
  cache c(10);
  auto const view = c.view();
  kvs::host::on const on;
  strategy::params const params{.select = {.block = 0}};
  std::vector<std::byte> memory(1 << 16);
  auto const plan = kvs::plan<strategy>(on, view, params, memory);
  char line[128];
  CHECK(!plan);
  CHECK(plan.state.message(line) == "select.block is 0, must be at least 1");
}
