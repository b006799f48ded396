// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels of the scores that read keys, values or both: with a table for each head, as shares of blocks and of heads.
#include "emulated_plan.hpp"

#include <kvsieve/reference/cur.hpp>
#include <kvsieve/reference/q_filters.hpp>
#include <kvsieve/reference/top_k.hpp>
#include <kvsieve/reference/value_key_ratio.hpp>
#include <kvsieve/score/value_norm.hpp>

using namespace kvsieve_test;

/// A score of keys alone with a number of its own, as a user may write it.
struct squares_above : kvs::policy_base<kvs::stages::score, kvs::needs::keys> {
  using pattern = kvs::patterns::per_row;
  static constexpr bool summarises = false;
  struct params {
    float floor = 60.0f;
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("floor", self.floor, "key^2", "least that a token scores");
    }
  };
  template <class F>
  KVSIEVE_HD static F term(F key) {
    return key * key;
  }
  template <class S>
  KVSIEVE_HD static S score(params const& p, S squares) {
    using kvsieve::max;
    return max(squares, S(p.floor));
  }
};

namespace {
template <class T, int D, int Threads>
void check_rows(int heads, int tokens, bool hostile) {
  CAPTURE(D, Threads, tokens, hostile);
  cache<T, D> a(heads, tokens, static_cast<unsigned>(tokens + D)), b(heads, tokens / 2 + 1, 5);
  if (hostile)
    for (int h = 0; h < heads; ++h) {
      a.keys.at(h, tokens / 2, 3) = kvs::from_float<T>(not_a_number);
      a.values.at(h, tokens / 3, D - 1) = kvs::from_float<T>(infinite);
      for (int d = 0; d < D; ++d) a.values.at(h, tokens - 1, d) = T{};
    }
  using layer_type = decltype(a.layer());
  std::vector<layer_type> const layers{a.layer(), b.layer()};
  auto const compare = [&](kvs::token_plan const& plan, double bound, double least, auto const& fill) {
    for (int v = 0; v < 2; ++v)
      for (int h = 0; h < heads; ++h) {
        std::vector<double> expected(static_cast<std::size_t>(plan.tokens(v)));
        fill(v, h, std::span<double>(expected));
        CHECK(near(scores(plan, v, h), expected, bound, least));
      }
  };
  auto const keys = [&](int v) { return layers[static_cast<std::size_t>(v)].keys; };
  auto const values = [&](int v) { return layers[static_cast<std::size_t>(v)].values; };

  using ratio = kvs::value_key_ratio<>;
  auto const by_ratio = emulated_plan<ratio, Threads>(layers, {.budget = {.keep = 0.4}});
  compare(by_ratio.plan, 1e-5, 1,
          [&](int v, int h, std::span<double> out) { kvs::reference::value_key_ratio(keys(v), values(v), h, out); });
  for (int h = 0; h < heads; ++h)
    CHECK(kept(by_ratio.plan, 1, h) == kvs::reference::top_k(scores(by_ratio.plan, 1, h), by_ratio.plan.count(1, h)));

  auto const by_values = emulated_plan<kvs::compressor<kvs::score::value_norm>, Threads>(layers, {});
  compare(by_values.plan, 1e-5, 1, [&](int v, int h, std::span<double> out) {
    for (std::size_t t = 0; t < out.size(); ++t)
      out[t] = kvs::reference::finite_row(values(v), h, static_cast<int>(t))
                   ? kvs::reference::norm_of(values(v), h, static_cast<int>(t))
                   : static_cast<double>(not_a_number);
  });

  if (!hostile) {
    using strategy = kvs::compressor<squares_above>;
    auto const own = emulated_plan<strategy, Threads>(layers, {.score = {.floor = 80.0f}});
    compare(own.plan, 1e-5, 1, [&](int v, int h, std::span<double> out) {
      for (std::size_t t = 0; t < out.size(); ++t) {
        double const norm = kvs::reference::norm_of(keys(v), h, static_cast<int>(t));
        out[t] = std::max(norm * norm, 80.0);
      }
    });

    std::vector<float> filters;
    for (int i = 0; i < 2 * heads * D; ++i) filters.push_back(static_cast<float>(i * 7 % 13) - 6.0f);
    int const layer[] = {1, 0};
    auto const filtered = emulated_plan<kvs::q_filters<>, Threads>(
        layers, {.score = {.filter = {filters.data(), filters.size()}, .layer = {layer, 2}}});
    compare(filtered.plan, 1e-5, 100, [&](int v, int h, std::span<double> out) {
      kvs::reference::q_filters(keys(v), h,
                                std::span(filters).subspan(static_cast<std::size_t>((1 - v) * heads + h) * D, D), out);
    });
  }

  for (int const block : {16, 0, 5, 700}) {
    CAPTURE(block);
    auto const products = emulated_plan<kvs::cur<>, Threads>(layers, {.score = {.block_size = block}});
    compare(products.plan, 1e-5, 1e-9, [&](int v, int h, std::span<double> out) {
      kvs::reference::cur(keys(v), values(v), h, kvs::reference::cur_of::product, static_cast<std::size_t>(block), out);
    });
    if (block != 5) continue;
    using of_keys = kvs::compressor<kvs::score::cur<kvs::leverage_of::keys>>;
    auto const single = emulated_plan<of_keys, Threads>(layers, {.score = {.block_size = block}});
    compare(single.plan, 1e-5, 1e-9, [&](int v, int h, std::span<double> out) {
      kvs::reference::cur(keys(v), values(v), h, kvs::reference::cur_of::keys, static_cast<std::size_t>(block), out);
    });
  }
}
}  // namespace

TEST_CASE("row kernels with values, tables and shares agree with the reference", "[device][score]") {
  check_rows<float, 64, 64>(2, 33, false);
  check_rows<float, 128, 32>(1, 70, true);
  check_rows<kvs::f16, 80, 64>(1, 131, false);
  check_rows<kvs::bf16, 96, 128>(2, 65, true);
  if constexpr (!race_check) check_rows<kvs::bf16, 128, 64>(1, 1100, true);
}

TEST_CASE("row kernels refuse a table that does not fit before anything is launched", "[device][score]") {
  cache<float, 64> c(2, 40);
  std::vector const layers{c.layer()};
  std::vector<float> const filters(64);
  int launches = 0;
  emulated_device<32> const on{&launches};
  kvs::q_filters<>::params const p{.score = {.filter = {filters.data(), filters.size()}}};
  using layer_type = decltype(c.layer());
  kvs::device::planner<kvs::q_filters<>, emulated_device<32>, layer_type, kvs::device::no_queries> planner(
      on, {layers.data(), 1}, {}, p);
  std::vector<workspace_line> memory(1 << 10);
  kvs::token_plan const plan = planner.run({{reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64},
                                            {reinterpret_cast<std::byte*>(memory.data()), 64}});
  CHECK_FALSE(plan);
  CHECK(plan.state.argument == std::string_view("score.filter"));
  CHECK(launches == 0);
}
