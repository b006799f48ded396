// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Attention over what compressed caches are made of: parts, formats, heads of their own lengths, biases, new queries.
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/reference/attend.hpp>

#include <catch2/catch_all.hpp>

#include "../encode/codec.hpp"
#include "planned.hpp"

namespace stored_tests {
namespace {
using kvsieve::index;
constexpr int D = 64;

// Any numbers that fit the attention: what it is added to, by head and token.
struct bias_table {
  float const* table = nullptr;
  index stride = 0;
  float operator()(index head, index token) const { return table == nullptr ? 0.0f : table[head * stride + token]; }
};

// A cache of three parts: as it was, in q8_0 with biases, and ragged in 16 bits.
struct stored {
  index heads, group, asked;
  std::vector<float> dense[2], queries, bias;
  std::vector<kvsieve::byte> encoded[2];
  std::vector<kvsieve::bf16> rows[2];
  std::vector<index> offset;
  index dense_tokens, encoded_tokens;

  explicit stored(std::uint32_t seed, bool with_own_rows) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    auto const below = [&](index n) { return static_cast<index>(random() % static_cast<std::uint32_t>(n)); };
    heads = 1 + below(3);
    group = 1 + below(5);
    asked = 1 + below(kvsieve::most_new_queries);
    dense_tokens = below(3) == 0 ? 0 : below(1500);
    encoded_tokens = below(4) == 0 ? 0 : below(300);
    auto const fill = [&](std::vector<float>& x, index n) {
      x.resize(static_cast<std::size_t>(n));
      for (float& v : x) v = normal(random);
    };
    offset.push_back(0);
    for (index h = 0; h < heads; ++h)
      offset.push_back(offset.back() + (with_own_rows ? asked : 0) + (below(3) == 0 ? 0 : below(1200)));
    fill(queries, heads * group * asked * D);
    for (float& q : queries) q *= 2;
    fill(bias, heads * encoded_tokens);
    for (int kv = 0; kv < 2; ++kv) {
      fill(dense[kv], heads * dense_tokens * D);
      std::vector<float> x;
      fill(x, heads * encoded_tokens * D);
      encoded[kv] = encode_tests::encoded<kvsieve::encode::q8_0, D>(x);
      fill(x, offset.back() * D);
      for (float const v : x) rows[kv].push_back(kvsieve::from_float<kvsieve::bf16>(v));
    }
  }
  [[nodiscard]] auto view() const {
    auto const middle = [&](int kv) {
      return kvsieve::make_encoded<kvsieve::encode::q8_0, D>(encoded[kv].data(), heads, encoded_tokens);
    };
    auto const plain = [&](int kv) { return kvsieve::make_rows<D>(dense[kv].data(), heads, dense_tokens); };
    auto const own = [&](int kv) { return kvsieve::make_ragged<D>(rows[kv].data(), heads, offset.data()); };
    return kvsieve::make_parts(kvsieve::kv_layer{plain(0), plain(1)},
                               kvsieve::kv_layer{middle(0), middle(1), bias_table{bias.data(), encoded_tokens}},
                               kvsieve::kv_layer{own(0), own(1)});
  }
};

struct results {
  std::vector<float> out, sums;
};
template <class Layer>
kvsieve::status attend(stored const& s, Layer const& layer, int executor, results& r) {
  r.out.assign(s.queries.size(), -7.0f);
  r.sums.assign(s.queries.size() / D, -7.0f);
  auto const q = kvsieve::make_rows<D>(s.queries.data(), s.heads * s.group, s.asked);
  auto const o = kvsieve::make_rows<D>(r.out.data(), s.heads * s.group, s.asked);
  kvsieve::query_numbers const sums(r.sums.data(), s.heads * s.group, s.asked);
  kvsieve::attend_options const options{.log_sum_exp = kvsieve::cs::span<kvsieve::query_numbers const>(&sums, 1)};
  return support::with_executor(executor, [&](auto const& on) {
    support::workspace memory(kvsieve::attend_workspace_bytes(on, q, layer));
    auto const state = kvsieve::attend(on, q, layer, o, memory.span(), options);
    RC_ASSERT(memory.guards_hold());
    return state;
  });
}
}  // namespace

TEST_CASE("attend: parts, formats, ragged heads, biases and several new queries give the reference's output") {
  CHECK(support::holds("attend: a stored cache", 60, [] {
    stored const s(*rc::gen::arbitrary<std::uint32_t>(), true);
    auto const layer = s.view();
    results got;
    RC_ASSERT(static_cast<bool>(attend(s, layer, *rc::gen::inRange(0, 3), got)));
    for (index q = 0; q < s.heads * s.group; ++q)
      for (index i = 0; i < s.asked; ++i) {
        std::vector<double> query(D), out(D);
        for (int d = 0; d < D; ++d)
          query[static_cast<std::size_t>(d)] = s.queries[static_cast<std::size_t>((q * s.asked + i) * D + d)];
        index const head = q / s.group;
        kvsieve::reference::attended want(query);
        kvsieve::each_part(layer, [&](auto const& part, int number) {
          index const tokens = part.tokens(head);
          want.see(
              part.keys, part.values, head, number == 2 ? tokens - (s.asked - 1 - i) : tokens, [&](index h, index t) {
                return number == 1 ? static_cast<double>(s.bias[static_cast<std::size_t>(h * s.encoded_tokens + t)])
                                   : 0.0;
              });
        });
        double const sum = want.finish(out);
        // Logits of about 10 sizes, in float: each weight is off by 1e-6 or so of itself, and so is what they average.
        RC_ASSERT(std::abs(double{got.sums[static_cast<std::size_t>(q * s.asked + i)]} - sum) <= 2e-5);
        for (int d = 0; d < D; ++d)
          RC_ASSERT(std::abs(double{got.out[static_cast<std::size_t>((q * s.asked + i) * D + d)]} -
                             out[static_cast<std::size_t>(d)]) <= 2e-5);
      }
  }));
}

TEST_CASE("attend: a head without entries gives 0, its log-sum-exp is -inf; NaN keys still give NaN") {
  std::vector<float> const rows(4 * D, 1.0f);
  std::vector<index> const offset{0, 4, 4};
  auto const ragged = kvsieve::make_ragged<D>(rows.data(), 2, offset.data());
  stored s(1, true);
  s.heads = 2;
  s.group = 1;
  s.asked = 1;
  s.queries.assign(2 * D, 0.25f);
  results r;
  REQUIRE(attend(s, kvsieve::kv_layer{ragged, ragged}, 0, r));
  CHECK(r.sums[1] == -INFINITY);
  CHECK(r.sums[0] == Catch::Approx(std::log(4.0) + 0.25 * D / std::sqrt(D)));
  for (int d = 0; d < D; ++d) {
    CHECK(r.out[static_cast<std::size_t>(d)] == 1.0f);
    CHECK(r.out[static_cast<std::size_t>(D + d)] == 0.0f);
  }
  std::vector<float> const bad(4 * D, std::nanf(""));
  auto const keys = kvsieve::make_ragged<D>(bad.data(), 2, offset.data());
  REQUIRE(attend(s, kvsieve::kv_layer{keys, ragged}, 0, r));
  CHECK(std::isnan(r.out[0]));
  CHECK(r.out[D] == 0.0f);
}

TEST_CASE("attend: ragged views of one pool, whose offsets begin where the view before ends, read their own rows") {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  std::vector<index> const offset{0, 40, 40, 105, 131};  // two views of two heads
  std::vector<float> pool(131 * D);
  for (float& x : pool) x = normal(random);
  auto const encoded = encode_tests::encoded<kvsieve::encode::q8_0, D>(pool);
  auto const back = encode_tests::decoded<kvsieve::encode::q8_0, D>(pool);
  stored s(1, true);
  s.heads = 2;
  s.group = 3;
  s.asked = 1;
  s.queries.resize(6 * D);
  for (float& q : s.queries) q = normal(random);
  auto const layer = [](auto const& rows) { return kvsieve::kv_layer{rows, rows}; };
  for (index view = 0; view < 2; ++view) {
    index const* const own = offset.data() + 2 * view;
    std::vector<index> from_zero{0, own[1] - own[0], own[2] - own[0]};
    results got, want;
    REQUIRE(attend(s, layer(kvsieve::make_ragged<D>(pool.data(), 2, own)), 0, got));
    REQUIRE(attend(s, layer(kvsieve::make_ragged<D>(pool.data() + own[0] * D, 2, from_zero.data())), 0, want));
    CHECK(got.out == want.out);
    CHECK(got.sums == want.sums);
    auto const coded = kvsieve::make_encoded_ragged<kvsieve::encode::q8_0, D>(encoded.data(), 2, own);
    REQUIRE(attend(s, layer(coded), 0, got));
    REQUIRE(attend(s, layer(kvsieve::make_ragged<D>(back.data(), 2, own)), 0, want));
    for (std::size_t i = 0; i < got.out.size(); ++i) CHECK(std::abs(got.out[i] - want.out[i]) <= 1e-6f);
  }
  // A table that begins before the rows is refused.
  std::vector<index> const before{-1, 3, 5};
  results r;
  CHECK(attend(s, layer(kvsieve::make_ragged<D>(pool.data(), 2, before.data())), 0, r).code ==
        kvsieve::errc::bad_shape);
}

TEST_CASE("attend: any number of workers gives the same bytes over parts") {
  for (std::uint32_t seed = 0; seed < 5; ++seed) {
    stored const s(seed, true);
    results one, two;
    REQUIRE(attend(s, s.view(), 0, one));
    REQUIRE(attend(s, s.view(), 1, two));
    CHECK(one.out == two.out);
    CHECK(one.sums == two.sums);
  }
}

TEST_CASE("attend refuses parts and queries that do not fit") {
  stored s(3, true);
  results r;
  s.asked = 9;
  s.queries.assign(static_cast<std::size_t>(s.heads * s.group * 9 * D), 0.0f);
  CHECK(attend(s, s.view(), 0, r).code == kvsieve::errc::bad_shape);
  s.asked = 8;
  s.queries.assign(static_cast<std::size_t>(s.heads * s.group * 8 * D), 0.0f);
  std::vector<index> shorter(static_cast<std::size_t>(s.heads + 1));
  for (index h = 0; h <= s.heads; ++h)
    shorter[static_cast<std::size_t>(h)] = h * 7;  // their own rows are not all there
  auto const own = [&](int kv) { return kvsieve::make_ragged<D>(s.rows[kv].data(), s.heads, shorter.data()); };
  s.rows[0].resize(static_cast<std::size_t>(s.heads * 7 * D));
  s.rows[1].resize(static_cast<std::size_t>(s.heads * 7 * D));
  CHECK(attend(s, kvsieve::kv_layer{own(0), own(1)}, 0, r).code == kvsieve::errc::bad_shape);
  for (float const x : r.out) REQUIRE(x == -7.0f);
  std::swap(shorter[0], shorter[1]);
  s.asked = 1;
  CHECK(attend(s, kvsieve::kv_layer{own(0), own(1)}, 0, r).code == kvsieve::errc::bad_shape);
  // Rows of heads that lie half a row apart are no rows of the format.
  kvsieve::kv_layer const cut{
      kvsieve::encoded_rows<kvsieve::encode::q8_0, D>(
          s.encoded[0].data(),
          kvsieve::layout_rows::mapping<kvsieve::row_extents<D>>{kvsieve::row_extents<D>(s.heads, 1), D / 2, D}),
      kvsieve::make_encoded<kvsieve::encode::q8_0, D>(static_cast<kvsieve::byte const*>(s.encoded[1].data()), s.heads,
                                                      1)};
  CHECK(attend(s, cut, 0, r).code == kvsieve::errc::bad_shape);
}
}  // namespace stored_tests
