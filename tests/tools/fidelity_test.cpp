// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "fidelity.hpp"

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <numeric>

#include "scratch.hpp"

using namespace kvsieve::tool;
using Catch::Approx;

namespace {

/// One query over random keys and values, and a kept set with its complement.
struct one_query {
  static constexpr int dim = 16, tokens = 40;
  std::vector<float> query, keys, values;
  std::vector<int> all, kept, evicted;
  std::vector<double> p;

  explicit one_query(unsigned seed) {
    std::mt19937 engine{seed};
    std::normal_distribution<float> normal;
    for (int i = 0; i < dim; ++i) query.push_back(2 * normal(engine));
    for (int i = 0; i < tokens * dim; ++i) keys.push_back(normal(engine)), values.push_back(normal(engine));
    for (int t = 0; t < tokens; ++t) {
      all.push_back(t);
      (t == 3 || engine() % 3 == 0 ? kept : evicted).push_back(t);
    }
    p = attention::probabilities(query, keys);
  }
  std::vector<double> read(std::vector<int> const& from, double& mass) const {
    return attention::output(p, values, from, dim, mass);
  }
};

double norm(std::vector<double> const& x) { return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0)); }

}  // namespace

TEST_CASE("fidelity: exact relations of a kept set", "[tools][fidelity]") {
  one_query const q{GENERATE(range(1u, 21u))};
  double m = 0, m_evicted = 0, one = 0;
  auto const y = q.read(q.all, one), y_kept = q.read(q.kept, m), y_evicted = q.read(q.evicted, m_evicted);
  CHECK(one == Approx(1.0).epsilon(1e-12));
  CHECK(m + m_evicted == Approx(1.0).epsilon(1e-12));

  // The restriction of p to the kept set, renormalised, is 1 - m away in total variation and -ln m in divergence.
  double variation = 0, divergence = 0;
  for (int t = 0; t < one_query::tokens; ++t) {
    auto const p = q.p[static_cast<std::size_t>(t)];
    double const restricted = std::binary_search(q.kept.begin(), q.kept.end(), t) ? p / m : 0.0;
    variation += std::abs(p - restricted) / 2;
    if (restricted > 0) divergence += restricted * std::log(restricted / p);
  }
  CHECK(variation == Approx(1 - m).epsilon(1e-12));
  CHECK(divergence == Approx(-std::log(m)).epsilon(1e-12));

  // y - y_kept = (1 - m) (y_evicted - y_kept), hence at most 2 (1 - m) times the longest value.
  std::vector<double> difference(y.size());
  for (std::size_t d = 0; d < y.size(); ++d) {
    difference[d] = y[d] - y_kept[d];
    CHECK(difference[d] == Approx((1 - m) * (y_evicted[d] - y_kept[d])).margin(1e-13));
  }
  double longest = 0;
  for (std::size_t t = 0; t < one_query::tokens; ++t)
    longest = std::max(longest, norm({q.values.begin() + static_cast<std::ptrdiff_t>(t * one_query::dim),
                                      q.values.begin() + static_cast<std::ptrdiff_t>((t + 1) * one_query::dim)}));
  CHECK(norm(difference) <= 2 * (1 - m) * longest);
  CHECK(attention::relative_error(y_kept, y) == Approx(norm(difference) / norm(y)).epsilon(1e-12));
}

TEST_CASE("fidelity: a query sees only kept tokens up to its own position", "[tools][fidelity]") {
  one_query const q{5};
  std::vector<double> const p(q.p.begin(), q.p.begin() + 10);
  double mass = 1;
  auto const y = attention::output(p, q.values, std::vector<int>{10, 11, 39}, one_query::dim, mass);
  CHECK(mass == 0);
  CHECK(norm(y) == 0);
  auto const seen = attention::output(p, q.values, std::vector<int>{4, 11}, one_query::dim, mass);
  CHECK(mass == Approx(p[4]));
  CHECK(seen[0] == Approx(static_cast<double>(q.values[4 * one_query::dim])));
}

TEST_CASE("fidelity: large logits stay finite", "[tools][fidelity]") {
  std::vector<float> const query{1e4f, 0}, keys{1e4f, 0, -1e4f, 0, 9.999e3f, 1};
  auto const p = attention::probabilities(query, keys);
  CHECK(p[0] == Approx(1.0));
  CHECK(p[1] == 0.0);
}

TEST_CASE("fidelity: percentiles interpolate between order statistics", "[tools][fidelity]") {
  std::vector<double> x(101);
  std::iota(x.rbegin(), x.rend(), 0.0);
  auto const up = summarise(x), down = summarise(x, false);
  CHECK(up.mean == Approx(50));
  CHECK(up.tail == Approx(99));
  CHECK(up.worst == 100);
  CHECK(down.tail == Approx(1));
  CHECK(down.worst == 0);
  CHECK(summarise({1, 2}).tail == Approx(1.99));
  CHECK(std::isnan(summarise({}).mean));
  CHECK(std::isnan(summarise({1, NAN, 2}).worst));
}

TEST_CASE("fidelity: judging a dump", "[tools][fidelity]") {
  kvsieve::test::scratch const at;
  kvsieve::test::small_dump const small;
  small.write(at / "d");
  cache_dump dump;
  REQUIRE(!read_dump(at / "d", {}, dump));
  CHECK(queries_judged(dump) == 16);
  std::vector<int> all(32), early{0, 1, 2, 3, 17};
  std::iota(all.begin(), all.end(), 0);
  auto const layers = [](std::vector<int> const& kept) {
    return std::vector<layer_outcome>{{1, {kept, kept}, {}, {}, {}}, {3, {kept, kept}, {}, {}, {}}};
  };
  auto const full = layers(all), some = layers(early), none = layers({}), late = layers({31});
  std::vector<std::vector<layer_outcome> const*> const sets{&full, &some, &none, &late};
  auto const judged = judge(dump, sets, 1);
  REQUIRE(judged.size() == 4);
  CHECK(judged[0].error.worst == 0);
  CHECK(judged[0].mass.worst == Approx(1).epsilon(1e-12));
  CHECK(judged[2].error.mean == 1);
  CHECK(judged[2].mass.mean == 0);
  CHECK(judged[1].error.samples == 2 * 4 * 16);
  CHECK(judged[1].layers[1].layer == 3);
  CHECK(judged[1].layers[1].error.samples == 4 * 16);
  CHECK(judged[1].error.mean > 0);
  // Token 31 is seen by the last query alone: all others read nothing.
  CHECK(judged[3].error.mean > 15.0 / 16);
  CHECK(judged[3].mass.worst == 0);

  SECTION("layer 1 by hand") {
    auto const& k = small.parts[0].numbers;
    auto const& v = small.parts[1].numbers;
    auto const& q = small.parts[2].numbers;
    double mean = 0, mass_of_head1 = 0;
    for (int head = 0; head < 4; ++head)
      for (int i = 0; i < 16; ++i) {
        int const visible = 17 + i, kv = head / 2;
        std::vector<double> p(static_cast<std::size_t>(visible)), y(64, 0.0), kept_y(64, 0.0);
        double sum = 0, mass = 0;
        auto const at_token = [&](std::vector<float> const& x, int t, int d) {
          return static_cast<double>(x[static_cast<std::size_t>((kv * 32 + t) * 64 + d)]);
        };
        for (int t = 0; t < visible; ++t) {
          double logit = 0;
          for (int d = 0; d < 64; ++d)
            logit += static_cast<double>(q[static_cast<std::size_t>((head * 16 + i) * 64 + d)]) * at_token(k, t, d);
          sum += p[static_cast<std::size_t>(t)] = std::exp(logit / std::sqrt(64.0));
        }
        for (int t = 0; t < visible; ++t) {
          double const share = p[static_cast<std::size_t>(t)] / sum;
          bool const stays = std::find(early.begin(), early.end(), t) != early.end();
          mass += stays ? share : 0;
          for (std::size_t d = 0; d < 64; ++d) {
            y[d] += share * at_token(v, t, static_cast<int>(d));
            if (stays) kept_y[d] += share * at_token(v, t, static_cast<int>(d));
          }
        }
        for (auto& x : kept_y) x /= mass;
        mean += attention::relative_error(kept_y, y) / 64;
        if (kv == 1) mass_of_head1 += mass / 32;
      }
    CHECK(judged[1].layers[0].error.mean == Approx(mean).epsilon(1e-10));
    CHECK(judged[1].layers[0].head_mass[1] == Approx(mass_of_head1).epsilon(1e-10));
  }
  SECTION("the number of threads does not change a bit") {
    auto const again = judge(dump, sets, 5);
    for (std::size_t s = 0; s < 4; ++s) {
      CHECK(again[s].error.mean == judged[s].error.mean);
      CHECK(again[s].mass.tail == judged[s].mass.tail);
    }
  }
  SECTION("without queries there is nothing to judge") {
    dump.layers[1].queries = {};
    CHECK(queries_judged(dump) == 0);
    CHECK(judge(dump, sets, 1)[1].layers.empty());
  }
}

TEST_CASE("fidelity: an outcome that does not fit the dump is refused", "[tools][fidelity]") {
  cache_dump dump;
  dump.tokens = 8;
  dump.kv_heads = 1;
  dump.layers.resize(1);
  outcome result;
  CHECK(check_outcome(dump, result));
  result.layers = {{0, {{0, 3, 7}}, {}, {}, {}}};
  CHECK(!check_outcome(dump, result));
  for (auto const& bad : {std::vector<int>{0, 8}, {3, 3}, {-1}, {4, 2}}) {
    result.layers[0].kept[0] = bad;
    CHECK(check_outcome(dump, result));
  }
  result.layers[0].kept = {{0}, {1}};
  CHECK(check_outcome(dump, result));
}
