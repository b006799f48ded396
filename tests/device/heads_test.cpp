// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores that look at all rows of a head, on emulated blocks: attention inside chunks, and moments.
#include "agreement.hpp"

#include <kvsieve/score/expected_attention.hpp>
#include <kvsieve/score/non_causal_attention.hpp>

using namespace kvsieve_test;
namespace score = kvs::score;

TEST_CASE("device and host make the same plan by attention inside chunks", "[device][host][plan]") {
  using strategy = kvs::compressor<score::non_causal_attention>;
  for (bool const as_source : {false, true})
    for (int const chunk : {7, 64, 400}) {
      if (race_check && chunk == 7) continue;
      check_cache<strategy>({.score = {.chunk = chunk, .as_source = as_source}, .budget = {.keep = 0.4}}, 2e-5, 1e-2);
      check_cache<strategy>(
          {.score = {.chunk = chunk, .sink = 4, .recent = 70, .as_source = as_source}, .budget = {.keep = 0.4}}, 2e-5,
          1e-2);
    }
  cache<kvs::bf16, 96> small(2, 133, 53);
  tensor<kvs::bf16, 96> queries(6, 131, 54);
  std::vector const layers{small.layer()};
  std::vector const asked{queries.view()};
  check_agreement<strategy>(layers, {.score = {.chunk = 50, .sink = 2}, .budget = {.keep = 0.4}}, 2e-5, 1e-2, asked);
}

TEST_CASE("device and host make the same plan by expected attention", "[device][host][plan]") {
  using by_prompt = kvs::compressor<score::expected_attention<>>;
  for (bool const spread : {true, false})
    for (bool const interleaved : {true, false}) {
      by_prompt::params p{.score = {.future = 50, .use_covariance = spread}, .budget = {.keep = 0.4}};
      p.score.rope = {.rope_interleaved = interleaved, .rope_factor = 1.2, .first_position = 33};
      check_cache<by_prompt>(p);
      if (race_check) break;
    }
  std::vector<double> frequencies;
  for (int i = 0; i < 32; ++i) frequencies.push_back(1.0 / (1 + i));
  by_prompt::params turned{.score = {.sink = 70, .future = 1}, .budget = {.keep = 0.4}};
  turned.score.rope.rope_frequencies = frequencies;
  check_cache<by_prompt>(turned);

  using by_table = kvs::compressor<score::expected_attention<kvs::statistics::stored>>;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> mean(2 * 4 * 64), covariance(2 * 4 * 64 * 64);
  for (float& x : mean) x = normal(random);
  for (std::size_t h = 0; h < 8; ++h)
    for (std::size_t i = 0; i < 64; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        covariance[h * 4096 + i * 64 + j] = covariance[h * 4096 + j * 64 + i] = (i == j ? 1.0f : 0.1f) * normal(random);
  for (bool const spread : {true, false})
    check_cache<by_table>({.score = {.use_covariance = spread, .statistics = {.mean = mean, .covariance = covariance}},
                           .budget = {.keep = 0.4}});
}

TEST_CASE("device and host make the same plan by leverage", "[device][host][plan]") {
  using strategy = kvs::compressor<score::leverage>;
  for (int const sketch : {1, 20, 100}) {
    if (race_check && sketch != 20) continue;
    strategy::params p{.score = {.sketch = sketch, .seed = 5}, .budget = {.keep = 0.4}};
    check_cache<strategy>(p, 2e-5, 1e-1);
    p.score.sink = 5;
    p.score.recent = 58;
    p.score.rope = {.rope_interleaved = true, .first_position = 11};
    check_cache<strategy>(p, 2e-5, 1e-1);
  }
  if (!race_check) check_cache<kvs::compactor<>>({.budget = {.keep = 0.4}}, 1e-4, 1);
}

TEST_CASE("device and host make the same plan by values that others cannot stand for", "[device][host][plan]") {
  check_cache<kvs::cap_kv<>>({.budget = {.keep = 0.4}}, 2e-5, 1e-2);
  if (race_check) return;
  check_cache<kvs::cap_kv<>>({.score = {.sink = 70, .future = 9, .sharpness = 0}, .budget = {.keep = 0.4}}, 2e-5, 1e-2);
  cache<kvs::f16, 80> c(2, 90, 61);
  tensor<kvs::f16, 80> q(6, 90, 62);
  c.values.at(1, 20, 3) = kvs::from_float<kvs::f16>(infinite);
  std::vector const layers{c.layer()};
  std::vector const queries{q.view()};
  check_agreement<kvs::cap_kv<>>(layers, {.budget = {.keep = 0.4}}, 2e-5, 1e-2, queries);
}
