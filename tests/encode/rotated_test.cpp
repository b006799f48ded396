// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>

#include "codec.hpp"

using kvsieve::encode::bits;
using kvsieve::encode::plain;
using kvsieve::encode::q8_0;
using kvsieve::encode::rotated;

TEST_CASE("rotate: golden row of 64") {
  auto x = encode_tests::golden_row<64>();
  double before = 0, after = 0;
  for (float const v : x) before += std::pow(double{v}, 2);
  kvsieve::rotate<64>(x.data());
  for (float const v : x) after += std::pow(double{v}, 2);
  float const want[] = {0, .25f, 0, .5f, -.5f, .5f, -.5f, -.5f};
  for (std::size_t i = 0; i < 8; ++i) CHECK(x[i] == want[i]);  // all sums are exact
  CHECK(std::sqrt(before) == Catch::Approx(9.236477).margin(5e-7));
  CHECK(std::sqrt(after) == Catch::Approx(9.236477).margin(5e-7));
}

TEMPLATE_TEST_CASE_SIG("rotate: the matrix of Sylvester over blocks that divide D, its own inverse", "",
                       ((int D, int Size), D, Size), (64, 64), (80, 16), (96, 32), (128, 128), (192, 64), (256, 256),
                       (512, 512)) {
  CHECK(kvsieve::rotation_block(D) == Size);
  std::mt19937 random(D);
  std::normal_distribution<float> normal;
  std::vector<float> x(D);
  for (float& v : x) v = normal(random);
  auto y = x;
  kvsieve::rotate<D>(y.data());
  for (int i = 0; i < D; ++i) {
    double sum = 0;
    for (int j = 0; j < Size; ++j) {
      double const v = x[static_cast<std::size_t>(i / Size * Size + j)];
      sum += std::popcount(static_cast<unsigned>(i % Size & j)) % 2 != 0 ? -v : v;
    }
    CHECK(y[static_cast<std::size_t>(i)] == Catch::Approx(sum / std::sqrt(Size)).margin(1e-5));
  }
  kvsieve::rotate<D>(y.data());
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == Catch::Approx(x[i]).margin(1e-5));
}

TEST_CASE("rotated: what is stored is the inner format's of the rotated row") {
  auto x = encode_tests::golden_row<64>();
  auto const bytes = encode_tests::hex_of<rotated<q8_0>, 64>(x);
  kvsieve::rotate<64>(x.data());
  CHECK(bytes == encode_tests::hex_of<q8_0, 64>(x));
  CHECK(std::string(rotated<q8_0>::name) == "rotated_q8_0");
  CHECK(rotated<bits<4>>::tile_bytes<128> == bits<4>::tile_bytes<128>);
}

TEMPLATE_TEST_CASE("rotated: every way to read a row gives the same, in any layout", "", q8_0, bits<4>, bits<3>,
                   plain<float>) {
  CHECK(encode_tests::reads_agree<rotated<TestType>>());
}

TEST_CASE("rotated: rows come back as they were") {
  auto const rows = encode_tests::hard_rows<96>(16, 5);
  auto const back = encode_tests::decoded<rotated<plain<float>>, 96>(rows);
  for (std::size_t r = 0; r < rows.size(); r += 96) {
    double const most = encode_tests::range_of(rows.data() + r, 96).magnitude;
    for (std::size_t i = r; i < r + 96; ++i) CHECK(std::abs(double{back[i]} - double{rows[i]}) <= 4e-6 * most);
  }
}

// A rotation keeps lengths, and normal rows stay normal rows.
TEST_CASE("rotated: relative error on normal numbers is the inner format's, and smaller where few channels stand out") {
  CHECK(encode_tests::relative_error<rotated<q8_0>, 128>() == Catch::Approx(0.00536).epsilon(0.03));
  CHECK(encode_tests::relative_error<rotated<bits<4>>, 128>() ==
        Catch::Approx(encode_tests::relative_error<bits<4>, 128>()).epsilon(0.03));
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  std::vector<float> rows(128 * 64);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = normal(random) * (i % 32 == 7 ? 20.0f : 1.0f);
  double error[2] = {};
  auto const plain_back = encode_tests::decoded<bits<4>, 128>(rows);
  auto const rotated_back = encode_tests::decoded<rotated<bits<4>>, 128>(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    error[0] += std::pow(double{plain_back[i]} - double{rows[i]}, 2);
    error[1] += std::pow(double{rotated_back[i]} - double{rows[i]}, 2);
  }
  CHECK(error[1] < 0.6 * error[0]);
}

namespace {
constexpr int D = 96;  // blocks of 32
constexpr kvsieve::index heads = 2, group = 3, tokens = 700;
template <class Layer>
std::vector<float> attended(std::vector<float> const& queries, Layer const& layer) {
  std::vector<float> out(queries.size());
  kvsieve::host::on const on;
  auto const q = kvsieve::make_rows<D>(queries.data(), heads * group, 1);
  auto const o = kvsieve::make_rows<D>(out.data(), heads * group, 1);
  support::workspace memory(kvsieve::attend_workspace_bytes(on, q, layer));
  REQUIRE(static_cast<bool>(kvsieve::attend(on, q, layer, o, memory.span())));
  CHECK(memory.guards_hold());
  return out;
}
template <class Keys, class Values>
void compare(std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> rows[4], queries(heads * group * D);
  for (auto& r : rows) {
    r.resize(heads * tokens * D);
    for (float& x : r) x = normal(random);
  }
  for (float& x : queries) x = normal(random);
  auto const keys = encode_tests::encoded<Keys, D>(rows[0]), values = encode_tests::encoded<Values, D>(rows[1]);
  auto const plain_keys = encode_tests::decoded<Keys, D>(rows[0]);
  auto const plain_values = encode_tests::decoded<Values, D>(rows[1]);
  auto const rest = kvsieve::kv_layer{kvsieve::make_rows<D>(std::as_const(rows[2]).data(), heads, tokens),
                                      kvsieve::make_rows<D>(std::as_const(rows[3]).data(), heads, tokens)};
  auto const stored = kvsieve::kv_layer{kvsieve::make_encoded<Keys, D>(keys.data(), heads, tokens),
                                        kvsieve::make_encoded<Values, D>(values.data(), heads, tokens)};
  auto const decoded = kvsieve::kv_layer{kvsieve::make_rows<D>(plain_keys.data(), heads, tokens),
                                         kvsieve::make_rows<D>(plain_values.data(), heads, tokens)};
  auto const near = [](std::vector<float> const& got, std::vector<float> const& want) {
    for (std::size_t i = 0; i < got.size(); ++i)
      if (!(std::abs(got[i] - want[i]) <= 1e-5f)) return false;
    return true;
  };
  CHECK(near(attended(queries, stored), attended(queries, decoded)));
  // parts that rotate next to parts that do not
  CHECK(near(attended(queries, kvsieve::make_parts(stored, rest)),
             attended(queries, kvsieve::make_parts(decoded, rest))));
  CHECK(near(attended(queries, kvsieve::make_parts(rest, stored)),
             attended(queries, kvsieve::make_parts(rest, decoded))));
}
}  // namespace

TEST_CASE("rotated: attention over encoded rows is attention over what they decode to") {
  compare<rotated<bits<4>>, rotated<bits<4>>>(1);
  compare<rotated<bits<6>>, bits<4>>(2);
  compare<q8_0, rotated<bits<3>>>(3);
}
