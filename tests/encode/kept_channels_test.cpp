// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/reference/attend.hpp>

#include "codec.hpp"
#include "planned.hpp"
#include "refusal.hpp"

namespace kept_tests {
namespace {
namespace encode = kvsieve::encode;
using kvsieve::byte;
using kvsieve::index;
template <int K>
using f16_rows = encode::kept_channels<K, encode::plain<kvsieve::f16>>;

// Heads with up to K channels each, exactly K more often than not.
template <int K, int D>
std::vector<std::uint64_t> random_masks(index heads, std::mt19937& random) {
  std::vector<std::uint64_t> words(static_cast<std::size_t>(heads * ((D + 63) / 64)));
  for (index h = 0; h < heads; ++h) {
    std::vector<int> order(D);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    int const keep = random() % 3 == 0 ? static_cast<int>(random() % (K + 1)) : K;
    for (int i = 0; i < keep; ++i)
      words[static_cast<std::size_t>(h * ((D + 63) / 64) + order[static_cast<std::size_t>(i)] / 64)] |=
          std::uint64_t{1} << order[static_cast<std::size_t>(i)] % 64;
  }
  return words;
}
template <int D>
bool keeps(std::vector<std::uint64_t> const& words, index head, int channel) {
  return (words[static_cast<std::size_t>(head * ((D + 63) / 64) + channel / 64)] >> channel % 64 & 1) != 0;
}

// Keys [heads, tokens, D] written by store_row into rows of a format, and what each number should read as.
template <class C, int D>
struct kept_rows {
  index heads, tokens;
  std::vector<std::uint64_t> words;
  std::vector<index> offset;
  std::vector<byte> bytes;
  std::vector<float> rows;
  bool ragged, interleaved;

  kept_rows(index h, index n, std::mt19937& random, bool as_ragged, bool as_interleaved)
      : heads(h),
        tokens(n),
        words(random_masks<C::kept, D>(h, random)),
        ragged(as_ragged),
        interleaved(as_interleaved && !as_ragged) {
    std::normal_distribution<float> normal;
    offset.push_back(0);
    for (index i = 0; i < heads; ++i)  // some heads have no rows, not all
      offset.push_back(offset.back() +
                       (ragged && i > 0 ? static_cast<index>(random() % static_cast<unsigned>(n + 1)) : n));
    rows.resize(static_cast<std::size_t>(heads * tokens * D));
    for (float& x : rows) x = normal(random);
    bytes.resize(static_cast<std::size_t>(kvsieve::encoded_bytes<C, D>(offset.back())));
    for (index i = 0; i < heads; ++i)
      for (index t = 0; t < count(i); ++t)
        with([&](auto const& view) { kvsieve::host::store_row(view, i, t, at(i, t)); });
  }
  [[nodiscard]] index count(index head) const {
    return offset[static_cast<std::size_t>(head) + 1] - offset[static_cast<std::size_t>(head)];
  }
  [[nodiscard]] float const* at(index head, index token) const { return rows.data() + (head * tokens + token) * D; }
  template <class F>
  auto with(F const& f) {
    encode::channel_masks const state{words.data(), interleaved ? 1 : tokens, heads, ragged ? offset.data() : nullptr};
    if (ragged) return f(kvsieve::make_encoded_ragged<C, D>(bytes.data(), heads, offset.data(), state));
    if (interleaved) return f(kvsieve::make_encoded<C, D>(bytes.data(), heads, tokens, 1, heads, state));
    return f(kvsieve::make_encoded<C, D>(bytes.data(), heads, tokens, state));
  }
};

template <class C, int D>
bool rows_come_back() {
  return support::holds(encode_tests::joined({C::name, ": kept channels come back"}).c_str(), 100, [] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    kept_rows<C, D> r(*rc::gen::inRange<index>(1, 4), *rc::gen::inRange<index>(1, 12), random,
                      *rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<bool>());
    r.with([&](auto const& view) {
      for (index h = 0; h < r.heads; ++h)
        for (index t = 0; t < r.count(h); ++t) {
          // What the inner format makes of the kept channels alone.
          std::vector<float> kept;
          for (int d = 0; d < D; ++d)
            if (keeps<D>(r.words, h, d)) kept.push_back(r.at(h, t)[d]);
          kept.resize(C::kept);
          auto const want = encode_tests::decoded<typename C::gathered, C::kept>(kept);
          float whole[D];
          kvsieve::host::read_row(view, h, t, whole);
          std::size_t next = 0;
          for (int d = 0; d < D; ++d) {
            float const number = keeps<D>(r.words, h, d) ? want[next++] : 0.0f;
            RC_ASSERT(view(h, t, d) == number);
            RC_ASSERT(whole[d] == number);
          }
        }
    });
  });
}

// attend over kept channels of keys and q8_0 values against the reference over what both decode to.
template <class C, int D>
bool attends_as_reference() {
  return support::holds(encode_tests::joined({C::name, ": attention against the reference"}).c_str(), 40, [] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    index const heads = *rc::gen::inRange<index>(1, 4), group = *rc::gen::inRange<index>(1, 6);
    kept_rows<C, D> r(heads, *rc::gen::inRange<index>(1, 1500), random, *rc::gen::arbitrary<bool>(),
                      *rc::gen::arbitrary<bool>());
    std::vector<float> values(r.rows.size()), queries(static_cast<std::size_t>(heads * group * D)), out(queries.size());
    std::normal_distribution<float> normal;
    for (float& x : values) x = normal(random);
    for (float& x : queries) x = 2 * normal(random);
    std::vector<float> packed;
    for (index h = 0; h < heads; ++h)
      for (index t = 0; t < r.count(h); ++t)
        packed.insert(packed.end(), values.data() + (h * r.tokens + t) * D, values.data() + (h * r.tokens + t + 1) * D);
    auto const q = kvsieve::make_rows<D>(static_cast<float const*>(queries.data()), heads * group, 1);
    auto const o = kvsieve::make_rows<D>(out.data(), heads * group, 1);
    int const where = *rc::gen::inRange(0, 3);
    r.with([&](auto const& keys) {
      // Values of ragged keys are ragged too.
      auto const compare = [&](auto const& layer) {
        support::with_executor(where, [&](auto const& on) {
          support::workspace memory(kvsieve::attend_workspace_bytes(on, q, layer));
          RC_ASSERT(static_cast<bool>(kvsieve::attend(on, q, layer, o, memory.span())));
          RC_ASSERT(memory.guards_hold());
        });
        for (index g = 0; g < heads * group; ++g) {
          std::vector<double> query(D), want(D);
          for (int d = 0; d < D; ++d) query[static_cast<std::size_t>(d)] = q(g, 0, d);
          kvsieve::reference::attended a(query);
          a.see(layer.keys, layer.values, g / group, r.count(g / group), [](index, index) { return 0.0; });
          (void)a.finish(want);
          for (int d = 0; d < D; ++d)
            RC_ASSERT(std::abs(double{out[static_cast<std::size_t>(g * D + d)]} - want[static_cast<std::size_t>(d)]) <=
                      2e-5);
        }
      };
      if (r.ragged)
        compare(kvsieve::kv_layer{
            keys, kvsieve::make_ragged<D>(static_cast<float const*>(packed.data()), heads, r.offset.data())});
      else
        compare(
            kvsieve::kv_layer{keys, kvsieve::make_rows<D>(static_cast<float const*>(values.data()), heads, r.tokens)});
    });
  });
}
}  // namespace

TEST_CASE("kept_channels: bytes of a row and of masks, and its name") {
  using C = f16_rows<32>;
  CHECK(std::string(C::name) == "kept_f16");
  CHECK(C::tile_bytes<64> == 64);
  CHECK(encode::kept_channels<64, encode::q8_0>::tile_bytes<128> == 68);
  CHECK(encode::channel_masks::bytes(3, 64) == 24);
  CHECK(encode::channel_masks::bytes(3, 80) == 48);
  CHECK_FALSE(C::fits(16));
  CHECK_FALSE(f16_rows<24>::fits(64));
  CHECK_FALSE(encode::kept_channels<48, encode::q8_0>::fits(64));
  std::vector<float> row(64);
  for (int d = 0; d < 64; ++d) row[static_cast<std::size_t>(d)] = static_cast<float>(d);
  std::uint64_t const odd = 0xaaaaaaaaaaaaaaaaull;
  byte bytes[64];
  C::encode<64>(row.data(), bytes, {&odd, 0});
  CHECK(bytes[0] == 0x00);  // 1 in f16, little-endian: 0x3c00
  CHECK(bytes[1] == 0x3c);
  CHECK(bytes[62] == 0xe0);  // 63: 0x53e0
  CHECK(bytes[63] == 0x53);
  CHECK(C::decode<64>(bytes, 0, 63, {&odd, 0}) == 63.0f);
  CHECK(C::decode<64>(bytes, 0, 62, {&odd, 0}) == 0.0f);
  // Of a mask with too many channels the lowest count, whatever calls let through.
  std::uint64_t const all = ~0ull;
  C::encode<64>(row.data(), bytes, {&all, 0});
  CHECK(C::decode<64>(bytes, 0, 31, {&all, 0}) == 31.0f);
  CHECK(C::decode<64>(bytes, 0, 32, {&all, 0}) == 0.0f);
}

TEST_CASE("kept_channels: numbers of kept channels come back as their format has them, others as 0, in any layout") {
  CHECK(rows_come_back<f16_rows<32>, 64>());
  CHECK(rows_come_back<encode::kept_channels<48, encode::plain<kvsieve::bf16>>, 80>());
  CHECK(rows_come_back<encode::kept_channels<64, encode::q8_0>, 128>());
}

TEST_CASE("kept_channels: every way to read a row gives the same without masks") {
  CHECK(encode_tests::reads_agree<encode::kept_channels<64, encode::q8_0>>());
  CHECK(encode_tests::attends<f16_rows<48>, encode::q8_0>());
  CHECK(encode_tests::attends<encode::q8_0, f16_rows<32>>());
}

TEST_CASE("kept_channels: attention gathers queries and reads kept channels only") {
  CHECK(attends_as_reference<f16_rows<16>, 64>());
  CHECK(attends_as_reference<encode::kept_channels<48, encode::plain<kvsieve::bf16>>, 80>());
  CHECK(attends_as_reference<encode::kept_channels<96, encode::q8_0>, 128>());
}

TEST_CASE("kept_channels: rows of two views with masks of their own are encoded anew") {
  constexpr int D = 64;
  std::mt19937 random(3);
  kept_rows<f16_rows<32>, D> from(2, 5, random, false, false), to(2, 5, random, false, false);
  index const offset[] = {0, 2, 4};
  int const list[] = {0, 3, 1, 4}, logical[] = {5};
  kvsieve::token_plan plan;
  plan.views = 1;
  plan.heads = 2;
  plan.logical_tokens = logical;
  plan.offset = offset;
  plan.list = list;
  from.with([&](auto const& source) {
    to.with([&](auto const& target) {
      REQUIRE(
          kvsieve::apply<kvsieve::key_norm<>>(kvsieve::host::on{}, plan, kvsieve::kv_layer{source, source},
                                              kvsieve::kv_layer{target, kvsieve::make_rows<D>(to.rows.data(), 2, 5)}));
      for (int h = 0; h < 2; ++h)
        for (int i = 0; i < 2; ++i)
          for (int d = 0; d < D; ++d)
            CHECK(target(h, i, d) == (keeps<D>(to.words, h, d) ? source(h, list[2 * h + i], d) : 0.0f));
    });
  });
}

TEST_CASE("kept_channels: masks that do not fit are refused") {
  constexpr int D = 80;
  using C = f16_rows<48>;
  std::vector<byte> const bytes(static_cast<std::size_t>(2 * 3 * C::tile_bytes<D>));
  std::vector<float> rows(2 * 3 * D), out(2 * D, -7.0f);
  auto const q = kvsieve::make_rows<D>(static_cast<float const*>(rows.data()), 2, 1);
  auto const o = kvsieve::make_rows<D>(out.data(), 2, 1);
  auto const values = kvsieve::make_rows<D>(static_cast<float const*>(rows.data()), 2, 3);
  auto const refused = [&](encode::channel_masks const& state, kvsieve::errc code,
                           std::vector<std::string> const& parts) {
    kvsieve::kv_layer const layer{kvsieve::make_encoded<C, D>(bytes.data(), 2, 3, state), values};
    support::workspace memory(1 << 16);
    support::check_refused(kvsieve::attend(kvsieve::host::on{}, q, layer, o, memory.span()), code, parts);
    CHECK(memory.untouched());
    for (float const x : out) REQUIRE(x == -7.0f);
  };
  using kvsieve::errc;
  std::uint64_t words[] = {0xffff, 0, ~0ull, 0};
  refused({words, 3, 2}, errc::bad_params, {"keys is 64", "48"});
  refused({words, 3, 3}, errc::bad_shape, {"keys is 3", "2"});
  refused({words, 0, 2}, errc::bad_shape, {"keys is 0", "1"});
  words[2] = 1;
  words[3] = 1u << 20;
  refused({words, 3, 2}, errc::bad_params, {"keys is 84", "80"});
}
}  // namespace kept_tests
