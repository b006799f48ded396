// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Presets whose heads or layers keep different numbers of tokens: the plan on emulated blocks has the host's scores up
// to rounding, and of its own scores it makes what the host makes of them.
#include "emulated_plan.hpp"

#include <memory>

#include <kvsieve/budget/composite.hpp>
#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/budget/over_heads_mixed.hpp>
#include <kvsieve/host/run.hpp>
#include <kvsieve/scale/z_score.hpp>

#include "scripted.hpp"

using namespace kvsieve_test;
namespace budget = kvs::budget;

namespace {
/// A plan of the host's and its memory.
struct hosted {
  std::vector<workspace_line> memory;
  kvs::token_plan plan;
};
template <class C, class Layer, class... Queries>
hosted on_threads(std::vector<Layer> const& layers, typename C::params const& p, std::vector<Queries> const&... q) {
  kvs::host::on<> const inline_;
  kvs::kv_group<Layer> const group(layers.data(), layers.size());
  auto const bytes = kvs::workspace_bytes<C>(inline_, group, kvs::cs::span<Queries const>(q.data(), q.size())..., p);
  hosted made{std::vector<workspace_line>(bytes / 64 + 1), {}};
  made.plan = kvs::plan<C>(inline_, group, kvs::cs::span<Queries const>(q.data(), q.size())..., p,
                           std::span(reinterpret_cast<std::byte*>(made.memory.data()), made.memory.size() * 64));
  REQUIRE(made.plan);
  return made;
}

void same_note(kvs::status const& got, kvs::status const& want) {
  CHECK(static_cast<bool>(got) == static_cast<bool>(want));
  CHECK(got.got == want.got);
  CHECK(got.expected == want.expected);
  CHECK(got.layer == want.layer);
}

/// Counts that follow from numbers of the device's own, which are the host's up to rounding, on views where that much
/// changes no count.
template <class C, int Threads, class Layer, class... Queries>
void same_counts(std::vector<Layer> const& layers, typename C::params const& p, std::vector<Queries> const&... q) {
  auto const made = emulated_plan<C, Threads>(layers, p, q...);
  kvs::token_plan const plan = on_host(made.plan);
  hosted const own = on_threads<C>(layers, p, q...);
  same_note(plan.note, own.plan.note);
  for (int v = 0; v < plan.views; ++v)
    for (int h = 0; h < plan.heads; ++h) {
      CAPTURE(v, h, Threads);
      CHECK(plan.count(v, h) == own.plan.count(v, h));
      CHECK(near(scores(plan, v, h), scores(own.plan, v, h), 2e-5, 1e-3));
    }
  CHECK(plan.count(0) != plan.count(plan.views - 1));
}

/// Scores that cross 0 are near relative to `least`.
template <class C, int Threads, class Layer, class... Queries>
void check_plan(std::vector<Layer> const& layers, typename C::params const& p, double least,
                std::vector<Queries> const&... q) {
  auto const made = emulated_plan<C, Threads>(layers, p, q...);
  kvs::token_plan const plan = on_host(made.plan);
  hosted const own = on_threads<C>(layers, p, q...);
  CHECK(plan.uniformity_class == own.plan.uniformity_class);
  CHECK(plan.offset[plan.views * plan.heads] == own.plan.offset[plan.views * plan.heads]);
  same_note(plan.note, own.plan.note);

  // The same budget and selection over the device's scores, with what this score itself forces.
  using replay = kvs::compressor<support::scripted, typename C::budget_policy, kvs::store::ragged>;
  typename replay::params r{};
  r.budget = p.budget;
  r.select = p.select;
  r.score.ends = kvs::describe<typename C::score_policy>(p.score, layers[0].tokens()).ends;
  for (int v = 0; v < plan.views; ++v) r.score.stride = std::max(r.score.stride, plan.tokens(v));
  std::vector<float> table(static_cast<std::size_t>(plan.views * plan.heads * r.score.stride));
  for (int v = 0; v < plan.views; ++v)
    for (int h = 0; h < plan.heads; ++h) {
      CHECK(near(scores(plan, v, h), scores(own.plan, v, h), 2e-5, least));
      auto const row = plan.scores(v, h);
      std::copy(row.begin(), row.end(), table.begin() + (v * plan.heads + h) * r.score.stride);
    }
  r.score.table = table.data();
  hosted const want = on_threads<replay>(layers, r);
  same_note(plan.note, want.plan.note);
  for (int v = 0; v < plan.views; ++v)
    for (int h = 0; h < plan.heads; ++h) {
      CAPTURE(v, h);
      CHECK(plan.count(v, h) == want.plan.count(v, h));
      CHECK(kept(plan, v, h) == kept(want.plan, v, h));
      CHECK(scores(plan, v, h) == scores(want.plan, v, h));
    }
}

/// Two layers of 3 heads and groups of 2, by their own queries where the preset observes any.
template <class C, int Threads = 64>
void check_preset(typename C::params const& p, double least = 1e-3) {
  cache<float, 64> a(3, 190, 41), b(3, 77, 42);
  std::vector const layers{a.layer(), b.layer()};
  if constexpr (C::observes_queries) {
    tensor<float, 64> qa(6, 190, 43), qb(6, 77, 44);
    std::vector const queries{qa.view(), qb.view()};
    check_plan<C, Threads>(layers, p, least, queries);
  } else {
    check_plan<C, Threads>(layers, p, least);
  }
}
std::vector<double> const importance{0.5, 3, 1, 0.25, 2, 0.125};
}  // namespace

TEST_CASE("device counts: AdaKV", "[device][budget]") {
  if (race_check) return;  // its bodies are those of counts_test
  for (double const keep : {0.3, 0.02, 1.0})
    check_preset<kvs::ada_kv<>>({.score = {.window = 16}, .budget = {.keep = keep}, .select = {.sink = 2}});
  check_preset<kvs::ada_kv<>, 128>({.score = {.window = 16}, .budget = {.tokens = 30, .safeguard = 0.5}});
  check_preset<kvs::snap_kv<budget::over_heads_mixed, kvs::store::ragged>, 32>(
      {.score = {.window = 16}, .budget = {.keep = 0.4, .floor = 0.3}});
}

TEST_CASE("device counts: DuoAttention", "[device][budget]") {
  check_preset<kvs::duo_attention<>>({.score = {.sink = 4}, .budget = {.score = importance, .sink = 4, .recent = 30}});
  check_preset<kvs::duo_attention<>, 32>(
      {.score = {.sink = 4}, .budget = {.score = importance, .streaming = 0.9, .sink = 4, .recent = 90}});
}

TEST_CASE("device counts: HeadKV", "[device][budget]") {
  check_preset<kvs::head_kv<>>(
      {.score = {.window = 16}, .budget = {.keep = 0.3, .window = 16, .importance = importance}});
  check_preset<kvs::head_kv<>, 128>(
      {.score = {.window = 16}, .budget = {.tokens = 40, .beta = 2, .window = 16, .importance = importance}});
}

TEST_CASE("device counts: PyramidKV", "[device][budget]") {
  check_preset<kvs::pyramid_kv<>>({.score = {.window = 16}, .budget = {.keep = 0.4}, .select = {.recent = 20}});
}

TEST_CASE("device counts: scores of a layer in one unit, compared over its heads", "[device][budget]") {
  if (race_check) return;  // its bodies are those of counts_test and shape_scores_test
  using scaled = kvs::ada_kv<kvs::scale::z_score>;
  check_preset<scaled>({.score = {.window = 16}, .budget = {.keep = 0.3}, .select = {.sink = 2}}, 1);
  check_preset<kvs::key_norm<kvs::scale::z_score, budget::over_all, kvs::store::ragged>>({.budget = {.keep = 0.3}}, 1);
}

TEST_CASE("device counts: budgets that measure heads", "[device][budget]") {
  if (race_check) return;  // its bodies are those of layer_counts_test
  check_preset<kvs::zigzag_kv<>>({.score = {.window = 16}, .budget = {.keep = 0.4}, .select = {.sink = 2}});
  check_preset<kvs::zigzag_kv<>, 32>({.score = {.window = 16}, .budget = {.tokens = 30, .mass = 0.5, .least = 0.3}});
  using by_variance = kvs::snap_kv<budget::layer_variance>;
  check_preset<by_variance>({.score = {.window = 16}, .budget = {.keep = 0.4, .whole_first = 0, .whole_last = 0}});
  check_preset<by_variance, 128>({.score = {.window = 16}, .budget = {.keep = 0.4, .whole_first = 1}});
}

TEST_CASE("device counts: sorted heads in one ranking", "[device][budget]") {
  if (race_check) return;  // its bodies are those of layer_counts_test
  using strategy = kvs::snap_kv<budget::composite, kvs::aggregate::heads_own_and_mean>;
  check_preset<strategy>({.score = {.window = 16}, .budget = {.keep = 0.3}});
  check_preset<strategy, 32>({.score = {.window = 16}, .budget = {.tokens = 40, .least = 25}, .select = {.sink = 3}});
}

TEST_CASE("device counts: CAKE, SimLayerKV", "[device][budget]") {
  cache<float, 64> a(3, 190, 41), b(3, 190, 42), c(3, 190, 43);
  tensor<float, 64> qa(6, 190, 44), qb(6, 190, 45), qc(6, 190, 46);
  a.keys.at(1, 30, 5) = not_a_number;
  for (int h = 0; h < 3; ++h)  // layers that spread their attention more, and less
    for (int t = 0; t < 190; ++t)
      for (int d = 0; d < 64; ++d) {
        a.keys.at(h, t, d) *= 0.3f;
        c.keys.at(h, t, d) *= t < 150 ? 1.7f : 0.1f;
      }
  std::vector const layers{a.layer(), b.layer(), c.layer()};
  std::vector const queries{qa.view(), qb.view(), qc.view()};
  same_counts<kvs::cake<>, 64>(layers, {.score = {.window = 16}, .budget = {.keep = 0.3}}, queries);
  same_counts<kvs::sim_layer_kv<>, 64>(layers, {.budget = {.threshold = 0.15, .sink = 4, .recent = 30}}, queries);
  if (race_check) return;
  same_counts<kvs::cake<>, 32>(
      layers, {.score = {.window = 8}, .budget = {.tokens = 70, .tau1 = 1.6, .tau2 = 0.4}, .select = {.sink = 2}},
      queries);
  same_counts<kvs::cake<>, 128>(layers, {.score = {.window = 16}, .budget = {.keep = 0.2, .tau2 = 2.3, .layers = 5}},
                                queries);
}

TEST_CASE("device counts: KeyDiff in one ranking", "[device][budget]") {
  if (race_check) return;  // its bodies are those of counts_test
  using strategy = kvs::key_diff<budget::over_all, kvs::store::ragged>;
  check_preset<strategy>({.budget = {.keep = 0.3}});
  check_preset<strategy, 128>({.budget = {.keep = 0.3, .layers = 1}, .select = {.sink = 4, .recent = 12}});
  check_preset<strategy, 32>({.budget = {.bytes = 100 * 512}});
  check_preset<strategy>({.budget = {.tokens = 3}, .select = {.sink = 4}});
}

TEST_CASE("device counts: more layers than the parameters of one launch hold", "[device][budget]") {
  if (race_check) return;  // its bodies are those of counts_test
  std::vector<std::unique_ptr<cache<float, 64>>> caches;
  std::vector<decltype(caches[0]->layer())> layers;
  for (unsigned i = 0; i < 70; ++i) {
    caches.push_back(std::make_unique<cache<float, 64>>(2, static_cast<int>(1 + i * 7 % 40), i));
    layers.push_back(caches.back()->layer());
  }
  check_plan<kvs::random<budget::over_heads, kvs::store::ragged>, 32>(layers, {.budget = {.keep = 0.4}}, 1e-3);
  check_plan<kvs::random<budget::over_heads_mixed, kvs::store::ragged>, 32>(layers, {.budget = {.keep = 0.4}}, 1e-3);
  check_plan<kvs::random<budget::over_all, kvs::store::ragged>, 32>(layers, {.budget = {.keep = 0.4, .layers = 2}},
                                                                    1e-3);
  check_plan<kvs::random<budget::over_all, kvs::store::ragged>, 32>(layers, {.budget = {.keep = 0.4}}, 1e-3);
  check_plan<kvs::random<budget::composite>, 32>(layers, {.budget = {.keep = 0.4}}, 1e-3);
  check_plan<kvs::random<budget::composite>, 32>(layers, {.budget = {.keep = 0.4, .layers = 2}}, 1e-3);
  check_plan<kvs::random<budget::uncertainty>, 32>(layers, {.budget = {.keep = 0.4, .layers = 1}}, 1e-3);
}
