// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A cache that is evicted from while it is generated into: its attention against the definition as long as nothing
// went, and its size when much did.
#include "online_cache.hpp"

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <random>

using namespace kvsieve::llama_example;
using Catch::Matchers::ContainsSubstring;
using kvsieve::eviction_schedule;

namespace {
constexpr int D = 64;

struct token_rows {
  std::vector<float> queries, keys, values;  // [T, heads, D]
};
token_rows draw(std::mt19937& random, online_shape const& s, int tokens) {
  std::normal_distribution<float> normal;
  auto const fill = [&](int heads) {
    std::vector<float> x(static_cast<std::size_t>(tokens * heads * D));
    for (float& v : x) v = normal(random);
    return x;
  };
  return {fill(s.query_heads), fill(s.kv_heads), fill(s.kv_heads)};
}
message attend(online_cache& cache, int layer, int tokens, online_shape const& s, token_rows const& of, float* out) {
  return cache.attend(layer, tokens, rows_by_token(of.queries.data(), s.query_heads, D),
                      rows_by_token(of.keys.data(), s.kv_heads, D), rows_by_token(of.values.data(), s.kv_heads, D),
                      out);
}
/// Attention of token `t` over tokens 0 to t of all that came, in double.
void check_attention(online_shape const& s, token_rows const& all, int t, float const* out) {
  for (int h = 0; h < s.query_heads; ++h) {
    int const kv = h / (s.query_heads / s.kv_heads);
    auto const at = [&](std::vector<float> const& x, int token, int d) {
      return static_cast<double>(x[static_cast<std::size_t>((token * s.kv_heads + kv) * D + d)]);
    };
    std::vector<double> z;
    double top = -1e300, sum = 0;
    for (int j = 0; j <= t; ++j) {
      double dot = 0;
      for (int d = 0; d < D; ++d)
        dot += static_cast<double>(all.queries[static_cast<std::size_t>((t * s.query_heads + h) * D + d)]) *
               at(all.keys, j, d);
      z.push_back(dot / 8);
      top = std::max(top, z.back());
    }
    for (double& x : z) sum += x = std::exp(x - top);
    for (int d = 0; d < D; ++d) {
      double want = 0;
      for (int j = 0; j <= t; ++j) want += z[static_cast<std::size_t>(j)] / sum * at(all.values, j, d);
      // Rows are kept in f16.
      CHECK(std::abs(static_cast<double>(out[h * D + d]) - want) <= 4e-3);
    }
  }
}
}  // namespace

TEST_CASE("online cache: below its budget it is the full cache, for prompts and single tokens", "[llama_example]") {
  online_shape const s{2, 6, 2, D};
  constexpr int prompt = 37, steps = 30;
  std::mt19937 random(7);
  for (auto const& kind : online_kinds()) {
    CAPTURE(kind.name);
    std::unique_ptr<online_cache> cache;
    REQUIRE(!make_online_cache(kind.name, D, cache));
    REQUIRE(!cache->begin(s, {prompt + steps, kind.every}, 0, 2));
    for (int l = 0; l < s.layers; ++l) {
      token_rows const all = draw(random, s, prompt + steps);
      // Some of the prompt unobserved, the rest by its queries.
      constexpr int plain = 20;
      REQUIRE(!cache->add(l, plain, rows_by_token(all.keys.data(), s.kv_heads, D),
                          rows_by_token(all.values.data(), s.kv_heads, D)));
      auto const behind = [&](int from, int tokens) {
        auto const part = [&](std::vector<float> const& x, int heads) {
          return std::vector<float>(x.begin() + from * heads * D, x.begin() + (from + tokens) * heads * D);
        };
        return token_rows{part(all.queries, s.query_heads), part(all.keys, s.kv_heads), part(all.values, s.kv_heads)};
      };
      std::vector<float> out(static_cast<std::size_t>((prompt - plain) * s.query_heads * D));
      REQUIRE(!attend(*cache, l, prompt - plain, s, behind(plain, prompt - plain), out.data()));
      for (int t = plain; t < prompt; ++t) check_attention(s, all, t, out.data() + (t - plain) * s.query_heads * D);
      for (int t = prompt; t < prompt + steps; ++t) {
        REQUIRE(!attend(*cache, l, 1, s, behind(t, 1), out.data()));
        check_attention(s, all, t, out.data());
      }
    }
    REQUIRE(!cache->end_tokens(prompt - 20 + steps));
    CHECK(cache->rows() == prompt + steps);
    CHECK(cache->counts().evictions == 0);
  }
}

TEST_CASE("online cache: 1200 tokens in the memory of a few", "[llama_example]") {
  online_shape const s{2, 4, 2, D};
  std::mt19937 random(9);
  for (auto const& kind : online_kinds())
    for (int const every : {1, 24}) {
      CAPTURE(kind.name, every);
      constexpr int prompt = 200, budget = 48;
      std::unique_ptr<online_cache> cache;
      REQUIRE(!make_online_cache(kind.name, D, cache));
      REQUIRE(!cache->begin(s, {budget, every}, prompt, 2));
      std::vector<float> out(static_cast<std::size_t>(prompt * s.query_heads * D));
      for (int l = 0; l < s.layers; ++l) REQUIRE(!attend(*cache, l, prompt, s, draw(random, s, prompt), out.data()));
      CHECK(cache->rows() == prompt);
      REQUIRE(!cache->evict());
      CHECK(cache->rows() == budget);
      std::size_t const bytes = cache->row_bytes();
      CHECK(bytes == std::size_t{2} * 2 * budget * D * 2 * 2);
      CHECK(cache->state_bytes() > 0);
      for (int done = 0; done < 1200;) {
        int const now = std::min(cache->next_tokens(), 1 + static_cast<int>(random() % 9));
        for (int l = 0; l < s.layers; ++l) REQUIRE(!attend(*cache, l, now, s, draw(random, s, now), out.data()));
        REQUIRE(std::all_of(out.begin(), out.end(), [](float x) { return std::isfinite(x); }));
        REQUIRE(!cache->end_tokens(now));
        REQUIRE(cache->rows() <= budget + every);
        done += now;
      }
      CHECK(cache->counts().most_rows <= budget + every);
      CHECK(cache->counts().most_rows > budget);
      CHECK(cache->counts().evictions == 1 + 1200 / every);
    }
}

TEST_CASE("online cache: what cannot be held is refused", "[llama_example]") {
  std::unique_ptr<online_cache> cache;
  CHECK_THAT(make_online_cache("snap_kv", D, cache).value_or(""),
             ContainsSubstring("'snap_kv'") && ContainsSubstring("h2o, tova, roco, lazy_eviction"));
  CHECK_THAT(make_online_cache("h2o", 60, cache).value_or(""), ContainsSubstring("head_dim is 60"));
  REQUIRE(!make_online_cache("h2o", D, cache));
  online_shape const s{1, 2, 1, D};
  CHECK(!cache->check());
  for (auto const& f : cache->fields())
    if (f.key() == "select.recent_share") *std::get<double*>(f.member) = 7;
  CHECK_THAT(cache->check().value_or(""), ContainsSubstring("select.recent_share is 7"));
  REQUIRE(!make_online_cache("h2o", D, cache));
  CHECK_THAT(cache->begin(s, {0, 1}, 0, 1).value_or(""), ContainsSubstring("schedule.tokens is 0"));
  CHECK_THAT(cache->begin(s, {8, 0}, 0, 1).value_or(""), ContainsSubstring("schedule.every is 0"));
  REQUIRE(!cache->begin(s, {8, 2}, 0, 1));
  std::mt19937 random(1);
  std::vector<float> out(std::size_t{11} * 2 * D);
  CHECK_THAT(attend(*cache, 0, 11, s, draw(random, s, 11), out.data()).value_or(""),
             ContainsSubstring("room for 10 rows, not for 11"));
  CHECK(cache->rows() == 0);
  CHECK(!attend(*cache, 0, 10, s, draw(random, s, 10), out.data()));
}
