// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans divided into levels and windows on emulated blocks, as the host divides them; and the whole way from a plan to
// attention over levels of several formats.
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/device/store/divider.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/score/key_norm.hpp>
#include <kvsieve/store/ragged.hpp>

#include "attend_cases.hpp"
#include "emulated_plan.hpp"
#include "generators.hpp"
#include "random_plan.hpp"

namespace divide_tests {
using namespace kvsieve_test;
using kvs::index;

namespace {
constexpr int rounds = race_check ? 5 : 150;
constexpr index slack = 40;  // what the host thinks that a plan may have more

/// A random plan as the device has it: counts on the device alone, known to the host as well, or all alike.
struct device_plan {
  support::random_plan drawn;
  std::vector<int> longest;
  kvs::token_plan whole;  ///< all of it on the host

  explicit device_plan(std::uint32_t seed, bool alike = false) : drawn(seed, alike), whole(drawn.view()) {
    for (int v = 0; v < whole.views; ++v) longest.push_back(whole.count(v) + static_cast<int>(seed % 3));
  }
  [[nodiscard]] kvs::device::open_plan open() const {
    kvs::device::open_plan p;
    p.views = whole.views;
    p.heads = whole.heads;
    p.logical_tokens = whole.logical_tokens;
    p.longest = longest.data();
    p.rows = kvs::store::entries_of(whole) + slack;
    p.offset = whole.offset;
    p.list = whole.list;
    p.score = whole.score;
    p.score_offset = whole.score_offset;
    return p;
  }
  [[nodiscard]] kvs::token_plan counted() const {
    kvs::token_plan p = whole;
    p.device_offset = p.offset;
    return p;
  }
};

template <class Plan>
using emulated_division = kvs::device::division<emulated_device<64>, Plan>;

/// What the device made of a part against what the host did, and its bounds.
template <class Plan>
void same_part(Plan const& got, kvs::token_plan const& want) {
  RC_ASSERT(got.uniformity_class == want.uniformity_class);
  kvs::token_plan const seen = on_host(got);
  RC_ASSERT(support::places(seen) == support::places(want));
  for (int i = 0; i <= want.views * want.heads; ++i) RC_ASSERT(seen.offset[i] == want.offset[i]);
  if constexpr (std::is_same_v<Plan, kvs::device::open_plan>) {
    RC_ASSERT(kvs::store::entries_of(seen) <= got.rows);
    for (int v = 0; v < want.views; ++v) {
      RC_ASSERT(seen.count(v) <= got.most(v));
      for (int h = 0; h < want.heads; ++h) RC_ASSERT(seen.count(v, h) % got.multiple == 0);
    }
  } else {
    for (int i = 0; i <= want.views * want.heads; ++i) RC_ASSERT(got.device_offset[i] == want.offset[i]);
  }
}

/// f(division, workspace, seed) on blocks of 32 and 128 threads.
template <class Plan, class F>
void on_blocks(Plan const& plan, int parts, bool by_score, F const& f) {
  auto const seed = *rc::gen::inRange<std::uint64_t>(1, 1000);
  auto const run = [&](auto const& on) {
    kvs::device::division<std::remove_cvref_t<decltype(on)>, Plan> const call(on, plan, parts);
    workspace_memory memory(by_score ? call.bytes_by_score() : call.bytes());
    f(call, memory.get());
  };
  if (*rc::gen::arbitrary<bool>())
    run(emulated_device<32>{nullptr, seed});
  else
    run(emulated_device<128>{nullptr, seed});
}
template <class F>
void each_kind(std::uint32_t seed, F const& f) {
  device_plan const drawn(seed), alike(seed, true);
  f(drawn.open(), drawn.whole);
  f(drawn.counted(), drawn.whole);
  f(alike.whole, alike.whole);
}
}  // namespace

TEST_CASE("levels on the device: entries are divided by rank over everything, as the host divides them", "[device]") {
  CHECK(support::holds("device levels", rounds, [] {
    int const count = *rc::gen::inRange(1, 5);
    std::vector<index> entries;
    for (int p = 0; p < count; ++p) entries.push_back(*rc::gen::inRange<index>(0, 80));
    auto const numbers = kvs::cs::span<index const>(entries.data(), entries.size());
    each_kind(*rc::gen::arbitrary<std::uint32_t>(), [&](auto const& plan, kvs::token_plan const& whole) {
      std::vector<kvs::token_plan> want(entries.size());
      support::workspace memory(kvs::store::divide_by_score_workspace_bytes(whole, count));
      RC_ASSERT(static_cast<bool>(kvs::store::divide_by_score(
          whole, numbers, memory.span(), kvs::cs::span<kvs::token_plan>(want.data(), want.size()))));
      on_blocks(plan, count, true, [&](auto const& call, kvs::device::workspace const& w) {
        std::vector<kvs::device::open_plan> parts(entries.size());
        RC_ASSERT(static_cast<bool>(
            call.run_by_score(numbers, w, kvs::cs::span<kvs::device::open_plan>(parts.data(), parts.size()))));
        for (std::size_t p = 0; p < parts.size(); ++p) {
          same_part(parts[p], want[p]);
          if (p + 1 < parts.size()) RC_ASSERT(parts[p].rows <= entries[p]);
        }
      });
    });
  }));
}

TEST_CASE("windows on the device: whole tiles between sinks and recent entries", "[device]") {
  CHECK(support::holds("device windows", rounds, [] {
    kvs::store::windows const rule{
        .sink = *rc::gen::inRange(0, 5), .recent = *rc::gen::inRange(0, 20), .tile = *rc::gen::element(1, 4, 16)};
    each_kind(*rc::gen::arbitrary<std::uint32_t>(), [&](auto const& plan, kvs::token_plan const& whole) {
      using plan_type = std::remove_cvref_t<decltype(plan)>;
      kvs::token_plan want[2];
      support::workspace memory(kvs::store::divide_workspace_bytes(whole, 2));
      RC_ASSERT(
          static_cast<bool>(kvs::store::divide(whole, rule, memory.span(), kvs::cs::span<kvs::token_plan>(want, 2))));
      on_blocks(plan, 2, false, [&](auto const& call, kvs::device::workspace const& w) {
        plan_type parts[2];
        RC_ASSERT(static_cast<bool>(call.run(rule, w, kvs::cs::span<plan_type>(parts, 2))));
        for (int p = 0; p < 2; ++p) same_part(parts[p], want[p]);
      });
    });
  }));
}

TEST_CASE("divide on the device: a rule of the caller's", "[device]") {
  struct by_head {
    int parts;
    [[nodiscard]] KVSIEVE_HD int operator()(int view, int head, int i) const { return (view + head + i / 3) % parts; }
  };
  CHECK(support::holds("device divide", rounds, [] {
    int const count = *rc::gen::inRange(1, 17);
    by_head const rule{count};
    each_kind(*rc::gen::arbitrary<std::uint32_t>(), [&](auto const& plan, kvs::token_plan const& whole) {
      std::vector<kvs::token_plan> want(static_cast<std::size_t>(count));
      support::workspace memory(kvs::store::divide_workspace_bytes(whole, count));
      RC_ASSERT(static_cast<bool>(
          kvs::store::divide(whole, rule, memory.span(), kvs::cs::span<kvs::token_plan>(want.data(), want.size()))));
      on_blocks(plan, count, false, [&](auto const& call, kvs::device::workspace const& w) {
        std::vector<kvs::device::open_plan> parts(want.size());
        RC_ASSERT(
            static_cast<bool>(call.run(rule, w, kvs::cs::span<kvs::device::open_plan>(parts.data(), parts.size()))));
        for (std::size_t p = 0; p < parts.size(); ++p) same_part(parts[p], want[p]);
      });
    });
  }));
}

TEST_CASE("divide on the device: what it refuses, and then nothing is launched", "[device]") {
  device_plan const drawn(5);
  kvs::device::open_plan const plan = drawn.open();
  int launches = 0;
  emulated_device<64> const on{&launches};
  auto const refused = [&](kvs::status const& s, kvs::errc code, char const* argument) {
    CHECK(s.code == code);
    CHECK(s.argument == std::string_view(argument));
    CHECK(launches == 0);
  };
  std::vector<kvs::device::open_plan> parts(17);
  auto const out = [&](std::size_t n) { return kvs::cs::span<kvs::device::open_plan>(parts.data(), n); };
  std::vector<index> const entries{3, -1};
  kvs::cs::span<index const> const numbers(entries.data(), 2);
  emulated_division<kvs::device::open_plan> const two(on, plan, 2);
  workspace_memory memory(two.bytes_by_score());
  kvs::device::workspace const room = memory.get();
  refused(two.run_by_score(numbers, room, out(2)), kvs::errc::bad_params, "entries");
  refused(two.run_by_score(numbers.first(1), room, out(2)), kvs::errc::bad_shape, "entries");
  refused(two.run(kvs::store::windows{.sink = -1}, room, out(2)), kvs::errc::bad_params, "windows.sink");
  refused(two.run(kvs::store::windows{}, {room.device.first(64), room.host}, out(2)), kvs::errc::workspace_too_small,
          "workspace.device");
  refused(emulated_division<kvs::device::open_plan>(on, plan, 17).run([](int, int, int) { return 0; }, room, out(17)),
          kvs::errc::bad_shape, "parts");
  CHECK(emulated_division<kvs::device::open_plan>(on, plan, 17).bytes().device == 0);
  kvs::device::open_plan bad = plan;
  bad.state = kvs::fail(kvs::errc::bad_plan, "layers", 0, "must be at least", 1);
  refused(emulated_division<kvs::device::open_plan>(on, bad, 2).run(kvs::store::windows{}, room, out(2)),
          kvs::errc::bad_plan, "layers");
}

namespace {
constexpr int D = 64;
template <class Codec>
std::vector<workspace_line> stored_bytes(index rows) {
  return std::vector<workspace_line>(static_cast<std::size_t>(kvs::encoded_bytes<Codec, D>(rows)) / 64 + 1);
}
kvs::byte* bytes_of(std::vector<workspace_line>& of) { return reinterpret_cast<kvs::byte*>(of.data()); }

/// The tables of a plan's views by themselves: the host takes the rows of each view as memory of its own.
struct host_tables {
  std::vector<index> own;
  index begin;
  host_tables(kvs::token_plan const& plan, int view) : begin(plan.offset[index{view} * plan.heads]) {
    for (int h = 0; h <= plan.heads; ++h) own.push_back(plan.offset[index{view} * plan.heads + h] - begin);
  }
  template <class Codec>
  [[nodiscard]] auto rows(std::vector<workspace_line>& pool) const {
    return kvs::make_encoded_ragged<Codec, D>(bytes_of(pool) + kvs::encoded_bytes<Codec, D>(begin),
                                              static_cast<index>(own.size()) - 1, own.data());
  }
};
/// One part of all views of a plan: packed rows of a format, keys and values in a pool each.
template <class Keys, class Values>
struct packed_part {
  std::vector<workspace_line> keys, values;
  explicit packed_part(index rows) : keys(stored_bytes<Keys>(rows)), values(stored_bytes<Values>(rows)) {}
  /// As the device writes and reads it.
  auto layers(kvs::device::open_plan const& plan) {
    auto const rows = [&]<class Codec>(Codec, auto& pool, int v) {
      return kvs::make_encoded_ragged<Codec, D>(bytes_of(pool), plan.heads, plan.offsets(v), plan.most(v));
    };
    auto const layer = [&](int v) { return kvs::kv_layer{rows(Keys{}, keys, v), rows(Values{}, values, v)}; };
    return std::vector{layer(0), layer(1)};
  }
  /// As the host does.
  auto layers(std::vector<host_tables> const& of) {
    auto const layer = [&](host_tables const& t) { return kvs::kv_layer{t.rows<Keys>(keys), t.rows<Values>(values)}; };
    return std::vector{layer(of[0]), layer(of[1])};
  }
  bool operator==(packed_part const& o) const {
    auto const same = [](auto const& a, auto const& b) {
      return std::memcmp(static_cast<void const*>(a.data()), static_cast<void const*>(b.data()), a.size() * 64) == 0;
    };
    return same(keys, o.keys) && same(values, o.values);
  }
};
template <class Layer>
kvs::kv_group<Layer> group(std::vector<Layer> const& v) {
  return {v.data(), v.size()};
}

/// Levels of a plan whose counts the device alone has, by launches alone; bytes and outputs are the host's.
template <class First, class Second, int Threads>
void levels_all_the_way(std::uint64_t seed) {
  CAPTURE(First::name, Second::name, Threads, seed);
  using strategy = kvs::compressor<kvs::score::key_norm, kvs::budget::over_all, kvs::store::ragged>;
  cache<float, D> a(2, 150, 41), b(2, 61, 42);
  std::vector const layers{a.layer(), b.layer()};
  auto const made = emulated_plan<strategy, Threads>(layers, {.budget = {.keep = 0.4}});
  emulated_device<Threads> const on{nullptr, seed};
  std::vector<index> const entries{70, 60};
  kvs::cs::span<index const> const numbers(entries.data(), 2);
  kvs::device::division<emulated_device<Threads>, kvs::device::open_plan> const call(on, made.plan, 2);
  workspace_memory room(call.bytes_by_score());
  kvs::device::open_plan parts[2];
  REQUIRE(call.run_by_score(numbers, room.get(), kvs::cs::span<kvs::device::open_plan>(parts, 2)));

  kvs::token_plan const whole = on_host(made.plan);
  kvs::token_plan host_parts[2];
  support::workspace host_room(kvs::store::divide_by_score_workspace_bytes(whole, 2));
  REQUIRE(kvs::store::divide_by_score(whole, numbers, host_room.span(), kvs::cs::span<kvs::token_plan>(host_parts, 2)));

  packed_part<First, First> first(parts[0].rows), host_first(parts[0].rows);
  packed_part<Second, Second> second(parts[1].rows), host_second(parts[1].rows);
  std::vector<host_tables> const tables[2]{{{host_parts[0], 0}, {host_parts[0], 1}},
                                           {{host_parts[1], 0}, {host_parts[1], 1}}};
  auto const f = first.layers(parts[0]);
  auto const s = second.layers(parts[1]);
  auto const hf = host_first.layers(tables[0]);
  auto const hs = host_second.layers(tables[1]);
  REQUIRE(kvs::device::copy_kept<strategy>(on, parts[0], group(layers), group(f)));
  REQUIRE(kvs::device::copy_kept<strategy>(on, parts[1], group(layers), group(s)));
  REQUIRE(kvs::host::compact(kvs::host::on<>{}, host_parts[0], group(layers), group(hf)));
  REQUIRE(kvs::host::compact(kvs::host::on<>{}, host_parts[1], group(layers), group(hs)));
  CHECK(first == host_first);
  CHECK(second == host_second);

  tensor<float, D> qa(4, 1, 43), qb(4, 1, 44);
  std::vector const queries{qa.view(), qb.view()};
  using joined = decltype(kvs::make_parts(f[0], s[0]));
  std::vector<joined> device_layers, host_layers;
  for (std::size_t v = 0; v < 2; ++v) {
    device_layers.push_back(kvs::make_parts(f[v], s[v]));
    host_layers.push_back(kvs::make_parts(hf[v], hs[v]));
  }
  std::vector<attend_cases::shape> const shapes{{2, 2, 1}, {2, 2, 1}};
  auto const got = attend_cases::on_blocks<Threads>(shapes, queries, device_layers);
  CHECK(attend_cases::distance(got, attend_cases::on_host(shapes, queries, host_layers)) <= attend_cases::bound);
}
}  // namespace

TEST_CASE("levels on the device: from a plan to attention, counts staying there", "[device]") {
  using six = kvs::encode::rotated<kvs::encode::bits<6>>;
  using three = kvs::encode::rotated<kvs::encode::bits<3>>;
  levels_all_the_way<six, three, 32>(1);
  if (race_check) return;
  levels_all_the_way<six, three, 32>(2);
  if constexpr (support::all_combinations) levels_all_the_way<six, three, 128>(3);
}

TEST_CASE("windows on the device: tiles of a plan whose counts the device alone has", "[device]") {
  using strategy = kvs::compressor<kvs::score::key_norm, kvs::budget::over_all, kvs::store::ragged>;
  using codec = kvs::encode::kivi_values<2>;
  using tiles = kvs::encode::kivi_keys<2>;
  cache<float, D> a(2, 150, 51), b(2, 161, 52);
  std::vector const layers{a.layer(), b.layer()};
  auto const made = emulated_plan<strategy, 64>(layers, {.budget = {.keep = 0.7}});
  emulated_device<64> const on;
  kvs::store::windows const rule{.sink = 4, .recent = 8, .tile = tiles::tile_tokens};
  emulated_division<kvs::device::open_plan> const call(on, made.plan, 2);
  workspace_memory room(call.bytes());
  kvs::device::open_plan parts[2];
  REQUIRE(call.run(rule, room.get(), kvs::cs::span<kvs::device::open_plan>(parts, 2)));
  CHECK(parts[0].multiple == tiles::tile_tokens);

  kvs::token_plan const middle = on_host(parts[0]);
  REQUIRE(kvs::store::entries_of(middle) > 0);
  packed_part<tiles, codec> packed(parts[0].rows), want(parts[0].rows);
  auto const to = packed.layers(parts[0]);
  std::vector<host_tables> const tables{{middle, 0}, {middle, 1}};
  auto const host_to = want.layers(tables);
  REQUIRE(kvs::device::copy_kept<strategy>(on, parts[0], group(layers), group(to)));
  REQUIRE(kvs::host::compact(kvs::host::on<>{}, middle, group(layers), group(host_to)));
  CHECK(packed == want);

  // Without the rule nobody knows that counts are whole tiles.
  parts[0].multiple = 1;
  kvs::status const s = kvs::device::copy_kept<strategy>(on, parts[0], group(layers), group(to));
  CHECK(s.code == kvs::errc::bad_plan);
  CHECK(s.argument == std::string_view("plan.multiple"));
}
}  // namespace divide_tests
