// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Keys of which heads keep some channels, on emulated blocks: ThinK's choice is the host's, and attention reads them.
#include <kvsieve/core/paged.hpp>
#include <kvsieve/device/store/choose_channels.hpp>
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q8_0.hpp>

#include "attend_cases.hpp"
#include "emulated_plan.hpp"

namespace channels_tests {
using namespace attend_cases;
using kvs::index;
using kvsieve_test::race_check;
namespace enc = kvs::encode;
namespace store = kvs::store;
using words = std::vector<kvs::cs::uint64_t>;

namespace {
template <class V>
kvs::kv_layer<V, V> keys_alone(V const& view) {
  return {view, view};
}
/// Masks of the device, equal to the host's, for keys and queries of any view.
template <int Threads, class Layer, class Queries>
words same_masks(std::vector<Layer> const& layers, std::vector<Queries> const& queries, store::think const& p,
                 std::uint64_t seed = 1) {
  auto const size = layers.size() * static_cast<std::size_t>(layers[0].heads() * store::mask_words(Layer::head_dim));
  words want(size, 7), got(size + 1, 7);
  kvs::host::on<> const inline_;
  REQUIRE(store::think_channels(inline_, span_of(layers), span_of(queries), p, {want.data(), size}));
  int launches = 0;
  kvsieve_test::emulated_device<Threads> const on{&launches, seed};
  REQUIRE(kvs::device::choose_channels(on, span_of(layers), span_of(queries), p, {got.data(), size}));
  CHECK(launches == 1);
  CHECK(got.back() == 7);
  got.pop_back();
  CHECK(got == want);
  return got;
}
template <class T, int D, int Threads>
void think_on_blocks(unsigned seed) {
  std::mt19937 random(seed);
  index const heads = 1 + below(random, 3), group = 1 + below(random, 4), asked = 1 + below(random, 40);
  index const tokens[] = {1 + below(random, 700), 256, 1 + below(random, 90)};
  std::vector<room<T>> memory;
  std::vector<kvs::kv_layer<kvs::rows<T, D>, kvs::rows<T, D>>> layers;
  std::vector<kvs::rows<T, D>> queries;
  for (index const n : tokens) {
    memory.push_back(normal_room<T>(random, heads * n * D));
    layers.push_back(keys_alone(kvs::make_rows<D>(memory.back().data(), heads, n)));
    memory.push_back(normal_room<T>(random, heads * group * asked * D));
    queries.push_back(kvs::make_rows<D>(memory.back().data(), heads * group, asked));
  }
  layers[0].keys(0, 0, 3) = kvs::from_float<T>(kvsieve_test::not_a_number);
  queries[1](0, asked - 1, 5) = kvs::from_float<T>(kvsieve_test::infinite);
  int const keep = static_cast<int>(below(random, D + 1)), window = 1 + static_cast<int>(below(random, 50));
  CAPTURE(seed, D, Threads, heads, group, asked, tokens[0], tokens[2], keep, window);
  (void)same_masks<Threads>(layers, queries, {keep, window}, seed);
}
}  // namespace

TEST_CASE("ThinK on the device: the masks of the host", "[device][store]") {
  think_on_blocks<float, 64, 64>(1);
  if (race_check) return think_on_blocks<kvs::f16, 128, 128>(2);
  for (unsigned seed = 2; seed < 6; ++seed) {
    think_on_blocks<kvs::f16, 128, 64>(seed);
    think_on_blocks<kvs::bf16, 80, 32>(seed + 10);
    think_on_blocks<float, 512, 64>(seed + 20);
  }
}

TEST_CASE("ThinK on the device: packed heads, pages and encoded keys", "[device][store]") {
  constexpr int D = 64;
  std::mt19937 random(5);
  room<float> const rows = normal_room<float>(random, 600 * D), asked = normal_room<float>(random, 4 * 20 * D);
  std::vector const queries{kvs::make_rows<D>(asked.data(), 4, 20)};
  index const offset[] = {0, 270, 275};
  same_masks<64>(std::vector{keys_alone(kvs::make_ragged<D>(rows.data(), 2, offset, index{270}))}, queries, {24, 32});
  int const pages[] = {7, 2, 5, 3, 11}, first[] = {0, 3, 5}, length[] = {41, 32};
  kvs::page_pool_view const pool{18, {16 * D, 0, D}};
  kvs::head_page_tables const tables{pages, first, length, 41};
  same_masks<64>(std::vector{keys_alone(kvs::make_ragged_paged<16, D>(rows.data(), 2, pool, tables))}, queries, {9, 6});
  room<kvs::byte> bytes(kvs::encoded_bytes<enc::q8_0, D>(90));
  for (index t = 0; t < 90; ++t) enc::q8_0::encode<D>(rows.data() + t * D, bytes.data() + t * enc::q8_0::tile_bytes<D>);
  same_masks<64>(std::vector{keys_alone(kvs::make_encoded<enc::q8_0, D>(bytes.data(), 2, 45))}, queries, {33, 20});
}

namespace {
/// Keys of some channels, written by the device where a strategy kept all, read by attention.
template <class Keys, int D, int Threads>
void chosen_and_read(unsigned seed) {
  CAPTURE(Keys::name, D, seed);
  using kvsieve_test::cache;
  constexpr int tokens = 130;
  cache<kvs::f16, D> c(2, tokens, seed);
  std::mt19937 random(seed);
  shape const s{2, 1 + below(random, 8), 1 + below(random, 3)};
  room<float> const query = normal_room<float>(random, s.rows() * D, 2.0f);
  std::vector const layers{c.layer()};
  std::vector const queries{kvs::make_rows<D>(query.data(), s.heads * s.group, s.asked)};
  auto const masks = same_masks<Threads>(layers, queries, {Keys::kept - 3, 32});
  enc::channel_masks const state{masks.data(), tokens, 2, nullptr};
  room<kvs::byte> bytes(kvs::encoded_bytes<Keys, D>(2 * tokens));
  auto const made = kvsieve_test::emulated_plan<kvs::random<>, Threads>(layers, {.budget = {.tokens = tokens}});
  room<kvs::f16> values(2 * tokens * D);
  std::vector const to{kvs::kv_layer{kvs::make_encoded<Keys, D>(bytes.data(), 2, tokens, state),
                                     kvs::make_rows<D>(values.data(), 2, tokens)}};
  REQUIRE(kvs::device::copy_kept<kvs::random<>>(kvsieve_test::emulated_device<Threads>{}, made.plan, span_of(layers),
                                                span_of(to)));
  for (int h = 0; h < 2; ++h)
    for (int d = 0; d < D; ++d) {
      bool const held = (masks[static_cast<std::size_t>(h * store::mask_words(D) + d / 64)] >> d % 64 & 1u) != 0;
      float const got = to[0].keys(h, 17, d), want = held ? kvs::to_float(c.keys.at(h, 17, d)) : 0.0f;
      CHECK(std::abs(got - want) <= (held ? 0.05f : 0.0f));
    }
  agree<Threads>({s}, queries, to);
}
}  // namespace

TEST_CASE("attention on the device over keys of chosen channels", "[device][attend]") {
  chosen_and_read<enc::kept_channels<32, enc::plain<kvs::f16>>, 64, 64>(1);
  if (race_check) return;
  chosen_and_read<enc::kept_channels<96, enc::q8_0>, 128, 64>(2);
  chosen_and_read<enc::kept_channels<48, enc::plain<float>>, 80, 32>(3);
  chosen_and_read<enc::kept_channels<64, enc::plain<kvs::bf16>>, 64, 128>(4);  // all of them
}

TEST_CASE("attention on the device: masks that hold too much, and none", "[device][attend]") {
  constexpr int D = 64, n = 70;
  using format = enc::kept_channels<32, enc::plain<kvs::f16>>;
  std::mt19937 random(9);
  shape const s{2, 3, 1};
  room<float> const query = normal_room<float>(random, s.rows() * D, 2.0f);
  room<kvs::f16> const held = normal_room<kvs::f16>(random, 2 * n * 32),
                       values = normal_room<kvs::f16>(random, 2 * n * D);
  std::vector const queries{kvs::make_rows<D>(query.data(), 6, 1)};
  auto const layer = [&](enc::channel_masks const& m) {
    return std::vector{
        kvs::kv_layer{kvs::make_encoded<format, D>(reinterpret_cast<kvs::byte const*>(held.data()), 2, n, m),
                      kvs::make_rows<D>(static_cast<kvs::f16 const*>(values.data()), 2, n)}};
  };
  agree<64>({s}, queries, layer({}));
  // A mask lies in device memory, which the host does not read: the lowest channels count.
  kvs::cs::uint64_t const all = ~kvs::cs::uint64_t{0};
  auto const first = on_blocks<64>({s}, queries, layer({}));
  auto const most = on_blocks<64>({s}, queries, layer({&all, 1, 1, nullptr}));
  CHECK(distance(first, most) == 0);
  // How many masks there are does not.
  auto const three = layer({&all, n, 3, nullptr});
  int launches = 0;
  kvsieve_test::emulated_device<64> const on{&launches};
  std::vector<float> out(static_cast<std::size_t>(s.rows() * D));
  std::vector const outs{kvs::make_rows<D>(out.data(), 6, 1)};
  using layer_type = std::remove_cvref_t<decltype(three[0])>;
  kvs::device::attention<kvsieve_test::emulated_device<64>, kvs::rows<float, D>, layer_type> const call(
      on, span_of(queries), span_of(three));
  support::workspace memory(call.bytes());
  auto const state = call.run(span_of(outs), {}, memory.span());
  char line[200];
  CHECK(std::string(state.message(line)) == "view 0: keys is 3, masks of channels; there must be 1, or one a head, 2");
  CHECK(launches == 0);
}

TEST_CASE("ThinK on the device: what it refuses, and then no mask is written", "[device][store]") {
  constexpr int D = 64;
  kvsieve_test::cache<float, D> c(2, 20);
  kvsieve_test::tensor<float, D> q(4, 5, 3), odd(3, 5, 3);
  words masks(2, 7);
  int launches = 0;
  kvsieve_test::emulated_device<64> const on{&launches};
  auto const refused = [&](auto const& layer, auto const& queries, store::think const& p, std::size_t count) {
    std::vector const layers{layer};
    std::vector const asked{queries};
    auto const s = kvs::device::choose_channels(on, span_of(layers), span_of(asked), p, {masks.data(), count});
    CHECK(!s);
    CHECK(masks == words(2, 7));
    char line[200];
    return std::string(s.message(line));
  };
  CHECK(refused(c.layer(), q.view(), {65, 32}, 2) == "think.keep is 65, must be at most 64");
  CHECK(refused(c.layer(), q.view(), {8, 0}, 2) == "think.window is 0, must be at least 1");
  CHECK(refused(c.layer(), odd.view(), {8, 4}, 2) ==
        "view 0: queries.heads is 3, must be a multiple of the KV heads, 2");
  CHECK(refused(c.layer(), q.view(), {8, 4}, 1).starts_with("masks is 1"));
  auto const nothing = keys_alone(kvs::make_rows<D>(static_cast<float*>(nullptr), 2, 20));
  CHECK(refused(nothing, q.view(), {8, 4}, 2) == "view 0: keys is 0, must not be null; 0");
  CHECK(launches == 0);
}
}  // namespace channels_tests
