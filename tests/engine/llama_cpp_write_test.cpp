// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// New states: round trips, plans of real strategies against apply(), what is refused.
#include <algorithm>
#include <cstring>
#include <memory>

#include "llama_states.hpp"

namespace llama_tests {
namespace {
template <int D, class View>
std::vector<float> numbers(View const& view) {
  std::vector<float> all;
  for (index h = 0; h < view.extent(0); ++h)
    for (index t = 0; t < view.extent(1); ++t)
      for (int d = 0; d < D; ++d) all.push_back(kvs::to_float(view(h, t, d)));
  return all;
}
// Plans all layers of a state by C, writes the new state, and holds its rows against what apply() makes of the views.
template <class C, int D, class Keys, class Values>
void check_strategy(llama_case& a, typename C::params const& params, bool own) {
  auto const bytes = a.state();
  auto const state = read(bytes);
  using layer = kvs::kv_layer<Keys, Values>;
  std::vector<layer> layers(static_cast<std::size_t>(a.layers));
  for (int l = 0; l < a.layers; ++l) REQUIRE(engine::see_llama(state.cache, l, layers[static_cast<std::size_t>(l)]));
  kvs::cs::span<layer const> const all(layers.data(), layers.size());
  auto const on = kvs::host::on{};
  support::workspace memory(kvs::workspace_bytes<C>(on, all, params));
  auto const plan = kvs::plan<C>(on, all, params, memory.span());
  INFO(support::message_of(plan.state));
  REQUIRE(plan);
  auto const written = write(state, plan);
  auto const seen = read(written);
  int const n = plan.count();
  REQUIRE(seen.cache.cells == n);
  REQUIRE(seen.cache.next_position == state.cache.next_position);
  REQUIRE(written.size() == bytes.size() - (bytes.size() - 24 - static_cast<std::size_t>(24 * a.layers)) /
                                               static_cast<std::size_t>(a.count()) *
                                               static_cast<std::size_t>(a.count() - n));
  for (int i = 0; i < n; ++i)
    REQUIRE(seen.cache.position(i) == (own ? state.cache.position(plan.kept(0, 0)[static_cast<std::size_t>(i)])
                                           : state.cache.next_position - n + i));
  std::vector<float> k(static_cast<std::size_t>(a.heads * n * D)), v(k.size());
  for (int l = 0; l < a.layers; ++l) {
    layer packed;
    REQUIRE(engine::see_llama(seen.cache, l, packed));
    for (int h = 0; h < a.heads; ++h)
      for (int i = 0; i < n; ++i)
        for (int d = 0; d < D; ++d) {
          int const t = plan.kept(l, h)[static_cast<std::size_t>(i)];
          REQUIRE(kvs::to_float(packed.keys(h, i, d)) ==
                  kvs::to_float(layers[static_cast<std::size_t>(l)].keys(h, t, d)));
          REQUIRE(kvs::to_float(packed.values(h, i, d)) ==
                  kvs::to_float(layers[static_cast<std::size_t>(l)].values(h, t, d)));
        }
    if (a.layers > 1) continue;
    kvs::kv_layer const target{kvs::make_rows<D>(k.data(), a.heads, n), kvs::make_rows<D>(v.data(), a.heads, n)};
    REQUIRE(kvs::apply<C>(on, plan, layers[0], target));
    CHECK(numbers<D>(packed.keys) == k);
    CHECK(numbers<D>(packed.values) == v);
  }
}
}  // namespace

TEST_CASE("llama_cpp: a state of which all is kept is the same, byte for byte") {
  for (llama_type const type : types)
    for (int variant = 0; variant < 6; ++variant) {
      CAPTURE(static_cast<int>(type), variant);
      llama_case a;
      a.keys = type;
      a.values = variant % 2 == 0 ? type : llama_type::f16;
      a.transposed = variant % 2 == 1;
      a.extension = variant == 2;
      a.has_values = variant != 4;
      a.streams = 1 + variant % 3;
      a.stream = variant % 3;
      a.cells(7);
      a.positions.back() += 3;  // a gap, as eviction leaves
      auto bytes = a.state();
      llama_case swa;
      swa.cells(2);
      if (variant == 3) {
        auto const more = swa.bytes();
        bytes.insert(bytes.end(), more.begin(), more.end());
      }
      auto const state =
          read(bytes, {.values = a.has_values, .extension = a.extension, .caches = variant == 3 ? 2 : 1});
      plan_by_hand const all(a.layers, a.heads, 7, {first_cells(7)});
      CHECK(write(state, all.plan) == bytes);
      CHECK(write(state, all.plan, {.keys = type, .positions = engine::llama_positions::own}) == bytes);
    }
}

TEST_CASE("llama_cpp: plans of strategies, cells packed") {
  using key_norm = kvs::key_norm<>;
  using streaming = kvs::streaming_llm<>;
  llama_case a;
  key_norm::params const p{.budget = {.keep = 0.4}, .select = {.sink = 2, .recent = 3}};
  a.cells(50);
  check_strategy<key_norm, 64, engine::llama_plain_rows<f16, 64>, engine::llama_plain_rows<f16, 64>>(a, p, false);
  a.transposed = true;
  a.layers = 1;
  check_strategy<key_norm, 64, engine::llama_plain_rows<f16, 64>, engine::llama_columns<f16, 64>>(a, p, false);
  a.transposed = false;
  a.keys = llama_type::q8_0;
  a.values = llama_type::q4_0;
  check_strategy<key_norm, 64, engine::llama_rows<encode::q8_0, 64>, engine::llama_rows<encode::q4_0, 64>>(a, p, false);
  a.keys = a.values = llama_type::bf16;
  a.layers = 2;
  check_strategy<key_norm, 64, engine::llama_plain_rows<bf16, 64>, engine::llama_rows<encode::plain<bf16>, 64>>(a, p,
                                                                                                                false);
  // One list for all, with the last token: cells keep their positions, which eviction before had left holes in.
  for (int& x : a.positions) x *= 3;
  check_strategy<streaming, 64, engine::llama_plain_rows<bf16, 64>, engine::llama_plain_rows<bf16, 64>>(
      a, {.budget = {.tokens = 20}, .select = {.sink = 4}}, true);
}

TEST_CASE("llama_cpp: one list without the last token is packed, or refused where positions have to stay") {
  llama_case a;
  auto const bytes = a.cells(9).state();
  auto const state = read(bytes);
  plan_by_hand const some(a.layers, a.heads, 9, {{1, 4, 7}});
  auto const packed = write(state, some.plan);
  auto const seen = read(packed);
  CHECK(seen.cache.position(0) == 6);
  CHECK(seen.cache.position(2) == 8);
  std::uint64_t size = 77;
  support::check_refused(engine::llama_bytes(state, some.plan, {.positions = engine::llama_positions::own}, size),
                         errc::bad_plan, {"plan.kept is 7", "8"});
  CHECK(size == 77);
  plan_by_hand const with_last(a.layers, a.heads, 9, {{1, 4, 8}});
  CHECK(read(write(state, with_last.plan)).cache.position(0) == 1);
  CHECK(read(write(state, with_last.plan, {.positions = engine::llama_positions::packed})).cache.position(0) == 6);
  a.extension = true;
  auto const extended = a.state();
  auto const m_rope = read(extended, {.extension = true});
  CHECK(std::memcmp(read(write(m_rope, with_last.plan), {.extension = true}).cache.cell(1), m_rope.cache.cell(4), 24) ==
        0);
  support::check_refused(engine::llama_bytes(m_rope, some.plan, {}, size), errc::bad_plan, {"plan.kept is 7", "8"});
  support::check_refused(
      engine::llama_bytes(m_rope, with_last.plan, {.positions = engine::llama_positions::packed}, size),
      errc::bad_params, {"output.positions is 2", "1"});
  plan_by_hand const apart(a.layers, a.heads, 9, {{1, 8}, {2, 8}});
  support::check_refused(engine::llama_bytes(state, apart.plan, {.positions = engine::llama_positions::own}, size),
                         errc::bad_plan, {"lists that differ"});
  CHECK(read(write(state, apart.plan)).cache.position(0) == 7);
  support::check_refused(engine::llama_bytes(m_rope, apart.plan, {}, size), errc::bad_plan, {"lists that differ"});
}

TEST_CASE("llama_cpp: heads of their own lengths are padded in front where that is asked for") {
  for (bool const transposed : {false, true})
    for (llama_type const type : {llama_type::f16, llama_type::f32}) {
      llama_case a;
      a.layers = 1;
      a.transposed = transposed;
      auto const bytes = a.cells(6).state();
      auto const state = read(bytes);
      plan_by_hand const uneven(1, 2, 6, {{0, 1, 3, 5}, {4}});
      std::uint64_t size = 0;
      support::check_refused(engine::llama_bytes(state, uneven.plan, {}, size), errc::bad_plan,
                             {"plan.count is 1", "4"});
      auto const written = write(state, uneven.plan, {.values = type, .pad = true});
      auto const seen = read(written);
      REQUIRE(seen.cache.cells == 4);
      CHECK(seen.cache.position(3) == 5);
      engine::llama_rows<encode::plain<f16>, 64> k, from;
      REQUIRE(engine::see_llama_keys(seen.cache, 0, k));
      REQUIRE(engine::see_llama_keys(state.cache, 0, from));
      auto const value = [&](int h, int i, int d) {
        auto const at = transposed ? (h * 64 + d) * 4 + i : (i * 2 + h) * 64 + d;
        auto const* const data = seen.cache.values(0).data;
        return type == llama_type::f32 ? encode::plain<float>::decode<1>(data, 0, at)
                                       : encode::plain<f16>::decode<1>(data, 0, at);
      };
      for (int d = 0; d < 64; ++d) {
        for (int i = 0; i < 3; ++i) {
          REQUIRE(k(1, i, d) == 0.0f);
          REQUIRE(value(1, i, d) == 0.0f);
        }
        REQUIRE(k(1, 3, d) == from(1, 4, d));
        REQUIRE(value(1, 3, d) == encode::plain<f16>::decode<1>(a.value_rows.data(), 0, (4 * 2 + 1) * 64 + d));
        REQUIRE(k(0, 2, d) == from(0, 3, d));
      }
    }
}

TEST_CASE("llama_cpp: plans and outputs that do not fit a state are refused, and nothing is written") {
  llama_case a;
  auto const bytes = a.cells(6).state();
  auto const state = read(bytes);
  std::vector<byte> room(bytes.size(), 0xee);
  auto const refuse = [&](kvs::token_plan const& plan, engine::llama_output const& output, errc code,
                          std::vector<std::string> const& parts) {
    support::check_refused(engine::write_llama(kvs::host::on{}, state, plan, output, {room.data(), room.size()}), code,
                           parts);
    CHECK(room == std::vector<byte>(bytes.size(), 0xee));
  };
  plan_by_hand const fits(3, 2, 6, {{0, 5}});
  plan_by_hand const layers(2, 2, 6, {{0, 5}}), cells(3, 2, 7, {{0, 5}}), heads(3, 3, 6, {{0, 5}}), none(3, 2, 6, {{}}),
      beyond(3, 2, 6, {{0, 6}}), falls(3, 2, 6, {{4, 3}});
  refuse(layers.plan, {}, errc::bad_plan, {"plan.views is 2", "3"});
  refuse(cells.plan, {}, errc::bad_plan, {"plan.tokens is 7", "6"});
  refuse(heads.plan, {}, errc::bad_shape, {"keys.channels is 128", "3"});
  refuse(none.plan, {}, errc::bad_plan, {"plan.count is 0", "1"});
  refuse(beyond.plan, {}, errc::bad_plan, {"plan.kept is 6", "6"});
  refuse(falls.plan, {}, errc::bad_plan, {"plan.kept is 3", "6"});
  refuse(fits.plan, {.keys = llama_type::iq4_nl}, errc::bad_params, {"output.keys is 20", "1"});
  refuse(fits.plan, {.values = llama_type{14}}, errc::bad_params, {"output.values is 14", "1"});
  refuse(fits.plan, {.values = llama_type::q8_0, .order = engine::llama_values::columns}, errc::bad_params,
         {"output.values is 8", "1"});
  kvs::token_plan failed = fits.plan;
  failed.state = kvs::fail(errc::bad_params, "budget.keep", 2, "must be at most", 1);
  refuse(failed, {}, errc::bad_params, {"budget.keep is 2"});

  std::uint64_t needed = 0;
  REQUIRE(engine::llama_bytes(state, fits.plan, {}, needed));
  support::check_refused(engine::write_llama(kvs::host::on{}, state, fits.plan, {}, {room.data(), needed - 1}),
                         errc::bad_shape, {"to.bytes is " + std::to_string(needed - 1), std::to_string(needed)});
  support::check_refused(engine::write_llama(kvs::host::on{}, state, fits.plan, {}, {}), errc::bad_pointer, {"to"});
  std::vector<byte> both = bytes;
  engine::llama_state own;
  REQUIRE(engine::read_llama(span(both), {}, own));
  support::check_refused(engine::write_llama(kvs::host::on{}, own, fits.plan, {}, {both.data() + 8, both.size() - 8}),
                         errc::overlap, {"to"});
  CHECK(both == bytes);

  a.positions = {0, 2, 1, 3, 4, 5};
  auto const unordered = a.state();
  support::check_refused(engine::llama_bytes(read(unordered), fits.plan, {}, needed), errc::bad_shape,
                         {"cells.position is 1", "2"});
  a.positions = {1, 1, 1, 1, 1, 1};
  auto const same = a.state();
  plan_by_hand const many(3, 2, 6, {{0, 1, 2, 3}, {0, 1, 2, 4}});
  support::check_refused(engine::llama_bytes(read(same), many.plan, {}, needed), errc::bad_plan,
                         {"plan.count is 4", "2"});
  a.positions = {};
  auto const empty = a.state();
  support::check_refused(engine::llama_bytes(read(empty), fits.plan, {}, needed), errc::bad_shape,
                         {"state.cells is 0", "1"});
}

TEST_CASE("llama_cpp: states with flipped bits are refused, or read and written within their bytes") {
  std::mt19937 random(11);
  int written = 0;
  for (int round = 0; round < 20000; ++round) {
    llama_case a;
    a.layers = 1 + static_cast<int>(random() % 2);
    a.head_dim = 32;
    a.heads = 1;
    a.keys = types[random() % std::size(types)];
    a.transposed = random() % 2 == 0;
    a.cells(2 + static_cast<int>(random() % 3));
    auto bytes = a.state();
    std::size_t const among = random() % 2 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 90);
    bytes[random() % among] ^= static_cast<byte>(1u << random() % 8);
    std::unique_ptr<byte[]> const exact(new byte[bytes.size()]);  // of exactly that size, for the sanitizer
    std::memcpy(exact.get(), bytes.data(), bytes.size());
    engine::llama_state state;
    if (!engine::read_llama({exact.get(), bytes.size()}, {.values = random() % 4 != 0, .more = true}, state)) continue;
    if (state.cache.cells < 2) continue;
    auto const cells = first_cells(state.cache.cells);
    plan_by_hand const some(state.cache.layers, 1, state.cache.cells,
                            {std::vector<int>(cells.begin() + 1, cells.end())});
    engine::llama_output const output{.keys = random() % 2 == 0 ? llama_type::same : types[random() % std::size(types)],
                                      .values = random() % 2 == 0 ? llama_type::same : llama_type::f32,
                                      .order = static_cast<engine::llama_values>(random() % 3)};
    std::uint64_t size = 0;
    if (!engine::llama_bytes(state, some.plan, output, size)) continue;
    std::unique_ptr<byte[]> const to(new byte[size]);
    REQUIRE(engine::write_llama(kvs::host::on{}, state, some.plan, output, {to.get(), size}));
    engine::llama_state again;
    REQUIRE(engine::read_llama({to.get(), size}, {.values = state.cache.has_values, .more = true}, again));
    REQUIRE(again.cache.cells == state.cache.cells - 1);
    ++written;
  }
  CHECK(written > 1000);
}
}  // namespace llama_tests
