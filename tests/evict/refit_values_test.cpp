// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/host/refit_values.hpp>
#include <kvsieve/reference/refit_values.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"

namespace refit_tests {
namespace {
using kvsieve::index, kvsieve::token_plan;
using kvsieve::reference::matrix;
constexpr int D = 32;

struct bias_table {
  float const* table;
  index stride;
  float operator()(index head, index token) const { return table[head * stride + token]; }
};

// A cache of one view, some rows of which are kept and some of which are the queries' own.
struct refit_case {
  int heads, group, observed, prompt, own, kept;
  std::vector<float> keys, values, queries, bias, kept_keys, kept_values;
  std::vector<int> list;
  std::vector<index> offset;
  int tokens;
  kvsieve::evict::refit_values::params params;

  explicit refit_case(std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    auto const below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint32_t>(n)); };
    heads = 1 + below(3);
    group = 1 + below(4);
    prompt = 2 + below(60);
    own = below(2) == 0 ? 0 : 1 + below(20);
    observed = own > 0 ? own : 1 + below(prompt);
    kept = 1 + below(prompt);
    params.ridge = below(2) == 0 ? 0.1 : 2.0;
    params.stride = 1 + below(4);
    auto const fill = [&](std::vector<float>& x, int n) {
      x.resize(static_cast<std::size_t>(n));
      for (float& v : x) v = normal(random);
    };
    fill(keys, heads * (prompt + own) * D);
    fill(values, heads * (prompt + own) * D);
    fill(queries, heads * group * observed * D);
    fill(bias, heads * kept);
    offset.push_back(0);
    for (int h = 0; h < heads; ++h) {
      std::vector<int> all(static_cast<std::size_t>(prompt));
      for (int t = 0; t < prompt; ++t) all[static_cast<std::size_t>(t)] = t;
      std::shuffle(all.begin(), all.end(), random);
      std::sort(all.begin(), all.begin() + kept);
      list.insert(list.end(), all.begin(), all.begin() + kept);
      offset.push_back(static_cast<index>(list.size()));
    }
    for (int h = 0; h < heads; ++h)
      for (int e = 0; e < kept; ++e)
        for (int d = 0; d < D; ++d) {
          auto const at =
              static_cast<std::size_t>((h * (prompt + own) + list[static_cast<std::size_t>(h * kept + e)]) * D + d);
          kept_keys.push_back(keys[at] + 0.1f * normal(random));  // as if they had been encoded
          kept_values.push_back(values[at]);
        }
    tokens = prompt;
  }
  [[nodiscard]] token_plan plan() const {
    token_plan p;
    p.views = 1;
    p.heads = heads;
    p.logical_tokens = &tokens;
    p.offset = offset.data();
    p.list = list.data();
    return p;
  }
  [[nodiscard]] kvsieve::status run(int executor, std::vector<float>& out) const {
    auto const q = kvsieve::make_rows<D>(queries.data(), heads * group, observed);
    auto const full = kvsieve::kv_layer{kvsieve::make_rows<D>(keys.data(), heads, prompt + own),
                                        kvsieve::make_rows<D>(values.data(), heads, prompt + own)};
    auto const some =
        kvsieve::kv_layer{kvsieve::make_rows<D>(kept_keys.data(), heads, kept),
                          kvsieve::make_rows<D>(kept_values.data(), heads, kept), bias_table{bias.data(), kept}};
    out.assign(kept_values.size(), -7.0f);
    auto const to = kvsieve::make_rows<D>(out.data(), heads, kept);
    auto const one = [](auto const& x) { return kvsieve::cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
    auto const p = plan();
    return support::with_executor(executor, [&](auto const& on) {
      support::workspace memory(kvsieve::refit_values_workspace_bytes(on, one(q), one(full), p, one(some), params));
      auto const state = kvsieve::refit_values(on, one(q), one(full), p, one(some), one(to), params, memory.span());
      RC_ASSERT(memory.guards_hold());
      return state;
    });
  }
  [[nodiscard]] double logit(float const* a, float const* b) const {
    double z = 0;
    for (int d = 0; d < D; ++d) z += double{a[d]} * double{b[d]};
    return z / std::sqrt(double{D});
  }
  [[nodiscard]] matrix moves(int h) const {
    std::vector<kvsieve::reference::refit_row> rows;
    int const n = prompt + own;
    for (int g = 0; g < group; ++g)
      for (int i = (observed - 1) % params.stride; i < observed; i += params.stride) {
        auto& r = rows.emplace_back();
        float const* const q = queries.data() + ((h * group + g) * observed + i) * D;
        int const visible = n - (observed - 1 - i);
        for (int t = 0; t < n; ++t)
          r.whole.push_back(t < visible ? logit(q, keys.data() + (h * n + t) * D) : -INFINITY);
        r.own.assign(r.whole.begin() + prompt, r.whole.end());
        for (int e = 0; e < kept; ++e)
          r.kept.push_back(list[static_cast<std::size_t>(h * kept + e)] < visible
                               ? logit(q, kept_keys.data() + (h * kept + e) * D) +
                                     double{bias[static_cast<std::size_t>(h * kept + e)]}
                               : -INFINITY);
      }
    auto const table = [](float const* x, int count) {
      matrix m;
      for (int t = 0; t < count; ++t) m.emplace_back(x + t * D, x + (t + 1) * D);
      return m;
    };
    return kvsieve::reference::refit_values(rows, table(values.data() + h * n * D, n),
                                            table(kept_values.data() + h * kept * D, kept),
                                            table(values.data() + (h * n + prompt) * D, own), params.ridge);
  }
};
}  // namespace

TEST_CASE("refit_values: values move as the reference says") {
  CHECK(support::holds("refit_values", 150, [] {
    refit_case const c(*rc::gen::arbitrary<std::uint32_t>());
    std::vector<float> out;
    RC_ASSERT(static_cast<bool>(c.run(*rc::gen::inRange(0, 3), out)));
    for (int h = 0; h < c.heads; ++h) {
      auto const moves = c.moves(h);
      for (int e = 0; e < c.kept; ++e)
        for (int d = 0; d < D; ++d) {
          auto const at = static_cast<std::size_t>((h * c.kept + e) * D + d);
          double const want =
              double{c.kept_values[at]} + moves[static_cast<std::size_t>(e)][static_cast<std::size_t>(d)];
          // Weights are off by some 1e-6 of themselves, which the inverse of a ridge of 0.1 enlarges tenfold.
          RC_ASSERT(std::abs(double{out[at]} - want) <= 1e-4);
        }
    }
  }));
}

TEST_CASE("refit_values: any number of workers gives the same bytes; in place is the same") {
  refit_case c(11);
  std::vector<float> one, two;
  REQUIRE(c.run(0, one));
  REQUIRE(c.run(1, two));
  CHECK(one == two);
  CHECK(one != c.kept_values);
}

TEST_CASE("refit_values: nothing is missing where everything is kept as it was") {
  refit_case c(5);
  c.own = 0;
  c.prompt = c.tokens = 20;
  c.kept = 20;
  c.observed = 9;
  c.heads = c.group = 1;
  c.list.clear();
  for (int t = 0; t < 20; ++t) c.list.push_back(t);
  c.offset = {0, 20};
  c.keys.resize(20 * D);
  c.values.resize(20 * D);
  c.queries.resize(9 * D);
  c.kept_keys = c.keys;
  c.kept_values = c.values;
  c.bias.assign(20, 0.0f);
  std::vector<float> out;
  REQUIRE(c.run(0, out));
  for (std::size_t i = 0; i < out.size(); ++i) CHECK(std::abs(out[i] - c.values[i]) < 1e-5f);
}

TEST_CASE("refit_values: a head with a NaN keeps its values, others do not notice") {
  refit_case c(3);
  while (c.heads < 2) c = refit_case(static_cast<std::uint32_t>(c.prompt + 7));
  std::vector<float> before, out;
  REQUIRE(c.run(0, before));
  c.keys[0] = std::nanf("");
  REQUIRE(c.run(0, out));
  std::size_t const half = static_cast<std::size_t>(c.kept * D);
  CHECK(std::equal(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(half), c.kept_values.begin()));
  CHECK(std::equal(out.begin() + static_cast<std::ptrdiff_t>(half), out.end(),
                   before.begin() + static_cast<std::ptrdiff_t>(half)));
}

TEST_CASE("refit_values refuses numbers and shapes that do not fit, and writes nothing") {
  refit_case c(3);
  std::vector<float> out;
  c.params.ridge = 0;
  CHECK(c.run(0, out).code == kvsieve::errc::bad_params);
  c.params.ridge = std::nan("");
  CHECK(c.run(0, out).code == kvsieve::errc::bad_params);
  c.params = {.stride = 0};
  CHECK(c.run(0, out).code == kvsieve::errc::bad_params);
  c.params = {};
  c.tokens = c.prompt + c.own + 1;
  CHECK(c.run(0, out).code == kvsieve::errc::bad_shape);
  for (float const x : out) REQUIRE(x == -7.0f);
}
}  // namespace refit_tests
