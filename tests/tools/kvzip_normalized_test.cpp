// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A dump with a pass, its hidden states and the output projection: KVzip's normalised form.
#include <catch2/catch_all.hpp>
#include <cmath>

#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/query_sets.hpp>

#include "scratch.hpp"
#include "strategy.hpp"

namespace {
using kvsieve::test::scratch;
using kvsieve::test::small_dump;

small_dump normalized_dump() {
  small_dump d;
  d.metadata["pass_chunks"] = "4-20:6,20-32:4";
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  auto const add = [&](std::string const& name, std::vector<std::int64_t> const& shape) {
    std::size_t size = 1;
    for (auto const extent : shape) size *= static_cast<std::size_t>(extent);
    small_dump::part p{name, "F32", shape, {}};
    while (p.numbers.size() < size) p.numbers.push_back(normal(random));
    d.parts.push_back(std::move(p));
  };
  for (std::string const layer : {"layers.1.", "layers.3."}) {
    add(layer + "pass_k", {2, 10, 64});
    add(layer + "pass_q", {4, 10, 64});
    add(layer + "pass_hidden", {10, 24});
    add(layer + "o_proj", {7, 4 * 64});
  }
  return d;
}
double as_double(std::vector<float> const& x, int i) { return static_cast<double>(x[static_cast<std::size_t>(i)]); }
}  // namespace

TEST_CASE("dump with hidden states of a pass: kvzip_normalized by its formula", "[tools][dump]") {
  scratch const at;
  auto d = normalized_dump();
  d.write(at / "d");
  kvsieve::tool::cache_dump dump;
  REQUIRE(!kvsieve::tool::read_dump(at / "d", {}, dump));
  auto const* const strategy = kvsieve::tool::find_strategy("kvzip_normalized");
  REQUIRE(strategy != nullptr);
  kvsieve::tool::outcome got;
  auto const failed = strategy->run(dump, {}, got);
  CAPTURE(failed.value_or(""));
  REQUIRE(!failed);
  std::vector<kvsieve::query_set> const sets{{6, 1, 32, 4, 4, 20}, {4, 1, 38, 4, 20, 32}};
  for (std::size_t v = 0; v < 2; ++v) {
    std::string const layer = v == 0 ? "layers.1." : "layers.3.";
    auto const &k = d[layer + "k"].numbers, &pass = d[layer + "pass_k"].numbers, &values = d[layer + "v"].numbers,
               &output = d[layer + "o_proj"].numbers, &states = d[layer + "pass_hidden"].numbers;
    std::vector<float> keys;
    for (int h = 0; h < 2; ++h) {
      keys.insert(keys.end(), k.begin() + h * 32 * 64, k.begin() + (h + 1) * 32 * 64);
      keys.insert(keys.end(), pass.begin() + h * 10 * 64, pass.begin() + (h + 1) * 10 * 64);
    }
    auto const queries = kvsieve::make_rows<64>(d[layer + "pass_q"].numbers.data(), 4, 10);
    std::vector<double> want(2 * 32);
    for (int q = 0; q < 4; ++q) {
      auto const rows = kvsieve::reference::rows_of_sets(queries, q, kvsieve::make_rows<64>(keys.data(), 2, 42), q / 2,
                                                         std::span(sets), 32, true, 0.0);
      for (int t = 0; t < 32; ++t) {
        double squares = 0;
        for (int o = 0; o < 7; ++o) {
          double entry = 0;
          for (int c = 0; c < 64; ++c)
            entry += as_double(output, (o * 4 + q) * 64 + c) * as_double(values, (q / 2 * 32 + t) * 64 + c);
          squares += entry * entry;
        }
        for (int i = 0; i < 10; ++i) {
          double norm = 0;
          for (int c = 0; c < 24; ++c) norm += as_double(states, i * 24 + c) * as_double(states, i * 24 + c);
          double& most = want[static_cast<std::size_t>(q / 2 * 32 + t)];
          most = std::max(most, rows.number[static_cast<std::size_t>(i * rows.tokens + t)] * std::sqrt(squares / norm));
        }
      }
    }
    REQUIRE(got.layers[v].score.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
      CAPTURE(v, i);
      if (i % 32 < 4)
        CHECK(std::isinf(got.layers[v].score[i]));  // sinks
      else
        CHECK(static_cast<double>(got.layers[v].score[i]) == Catch::Approx(want[i]).epsilon(1e-4));
    }
  }
}

TEST_CASE("dump without hidden states of its pass: kvzip_normalized names them", "[tools][dump]") {
  scratch const at;
  auto d = normalized_dump();
  d["layers.3.pass_hidden"].name = "other";
  d.write(at / "d");
  kvsieve::tool::cache_dump dump;
  REQUIRE(!kvsieve::tool::read_dump(at / "d", {}, dump));
  kvsieve::tool::outcome got;
  CHECK(kvsieve::tool::find_strategy("kvzip_normalized")->run(dump, {}, got).value_or("") ==
        "layers.3.pass_hidden is missing, and this strategy reads it");
}
