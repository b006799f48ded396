// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores that hold keys against each other, and those of hidden states, on emulated blocks.
#include "agreement.hpp"

#include <kvsieve/score/gate.hpp>

using namespace kvsieve_test;

TEST_CASE("device and host make the same plan by redundancy", "[device][host][plan]") {
  cache<float, 64> alike(2, 150, 51), brief(2, 1, 52);
  std::mt19937 random(8);
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 150; ++t)
      for (int d = 0; d < 64; ++d) {
        float& x = alike.keys.at(h, t, d);
        if (t >= 10 && t % 3 != 0) x = alike.keys.at(h, t % 10, d) + 0.3f * x;
        if (t == 70) x = 0;
      }
  alike.keys.at(1, 31, 7) = infinite;
  std::vector const layers{alike.layer(), brief.layer()};
  for (float const threshold : {-1.0f, 0.2f, 0.5f, 0.9f, 1.0f}) {
    kvs::redundancy<>::params const p{.score = {.threshold = threshold}, .budget = {.keep = 0.4}};
    check_agreement<kvs::redundancy<>>(layers, p, 2e-5, 1e-3);
    if (race_check) break;
    check_cache<kvs::redundancy<>>(p);
  }
  if (!race_check) check_cache<kvs::r_kv<>>({.budget = {.keep = 0.4}});
  cache<kvs::bf16, 96> small(2, 333, 53);
  std::vector const halves{small.layer()};
  check_agreement<kvs::redundancy<>>(halves, {.score = {.threshold = 0.3f}, .budget = {.keep = 0.4}}, 2e-5, 1e-3);
}

TEST_CASE("device and host make the same plan by hidden states", "[device][host][plan]") {
  constexpr int width = 48, units = 37, layers = 2, heads = 2;
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  auto const draw = [&](std::size_t n, float scale) {
    std::vector<float> table(n);
    for (float& x : table) x = scale * normal(random);
    return table;
  };
  std::vector<float> const first = draw(150 * 50, 1);
  std::vector<kvs::bf16> second;
  for (float const x : draw(61 * width, 1)) second.push_back(kvs::from_float<kvs::bf16>(x));
  std::vector<kvs::hidden_rows> const hidden{{first.data(), kvs::dtype::f32, 150, width, 50},
                                             {second.data(), kvs::dtype::bf16, 61, width, width}};
  auto const weight = draw(layers * units * width, 0.1f), bias = draw(layers * units, 0.5f);
  auto const out_weight = draw(layers * heads * units, 0.3f), out_bias = draw(layers * heads, 1);
  std::vector<int> const swapped{1, 0};
  check_cache<kvs::kv_zap<>>({.score = {.hidden = hidden,
                                        .width = width,
                                        .units = units,
                                        .weight = weight,
                                        .bias = bias,
                                        .out_weight = out_weight,
                                        .out_bias = out_bias,
                                        .layer = swapped},
                              .budget = {.keep = 0.4}},
                             2e-5, 1);
  auto const linear = draw(layers * heads * width, 0.1f);
  check_cache<kvs::kv_zap_linear<>>(
      {.score = {.hidden = hidden, .width = width, .weight = linear, .bias = out_bias}, .budget = {.keep = 0.4}}, 2e-5,
      1);
  constexpr int group = 3, channels = 8, base_keys = 5;
  auto const both = draw(layers * heads * (group + 1) * channels * width, 0.2f);
  auto const query_bias = draw(layers * heads * group * channels, 0.2f), norms = draw(layers * channels, 1);
  auto const base = draw(layers * heads * base_keys * channels, 1), offset = draw(layers * heads * group, 1);
  check_cache<kvs::compressor<kvs::score::gate>>({.score = {.hidden = hidden,
                                                            .width = width,
                                                            .group = group,
                                                            .channels = channels,
                                                            .base_keys = base_keys,
                                                            .weight = both,
                                                            .bias = query_bias,
                                                            .query_norm = norms,
                                                            .key_norm = norms,
                                                            .base_key = base,
                                                            .offset = offset,
                                                            .window = 9,
                                                            .layer = swapped},
                                                  .budget = {.keep = 0.4}});
}
