// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is written into a container is read from it, and what contradicts itself is not written.
#include <kvsieve/io/read.hpp>
#include <kvsieve/io/write.hpp>

#include <catch2/catch_all.hpp>
#include <string>

#include "container_case.hpp"
#include "refusal.hpp"

using namespace kvsieve;
using support::message_of;
using test::container_case;
using test::container_shape;
using test::file_bytes;
using test::fnv;

namespace {

void same(io::container const& c, io::cache_source const& s) {
  CHECK(c.version == s.version());
  CHECK(c.model == s.model);
  CHECK(c.dtype == s.dtype);
  CHECK(c.rope_style == s.rope_style);
  CHECK(c.uniformity == s.uniformity);
  CHECK(c.num_layers == s.num_layers);
  CHECK(c.query_heads == s.query_heads);
  CHECK(c.kv_heads == s.kv_heads);
  CHECK(c.head_dim == s.head_dim);
  CHECK(c.rope_theta == s.rope_theta);
  CHECK(c.first_position == s.first_position);
  CHECK(c.tokens == s.tokens);
  CHECK(c.next_position() == s.first_position + s.tokens);
  REQUIRE(c.pairs == static_cast<int>(s.metadata.size()));
  for (int i = 0; i < c.pairs; ++i) {
    CHECK(c.key(i) == s.metadata[static_cast<std::size_t>(i)].key);
    CHECK(c.value(i) == s.metadata[static_cast<std::size_t>(i)].value);
  }
  REQUIRE(c.layers == static_cast<int>(s.layers.size()));
  for (int l = 0; l < c.layers; ++l) {
    auto const& layer = s.layers[static_cast<std::size_t>(l)];
    CHECK(c.layer(l) == layer.layer);
    REQUIRE(c.parts(l) == static_cast<int>(layer.parts.size()));
    for (int k = 0; k < c.parts(l); ++k) {
      auto const p = c.part(l, k);
      auto const& q = layer.parts[static_cast<std::size_t>(k)];
      CHECK(p.name == q.name);
      for (auto const& [a, b] : {std::pair{p.key_format, q.key_format}, std::pair{p.value_format, q.value_format}}) {
        CHECK(a.name == b.name);
        CHECK(a.tile_tokens == b.tile_tokens);
        CHECK(a.tile_bytes == b.tile_bytes);
      }
      file_bytes keys, values, wanted_keys, wanted_values;
      std::vector<int> rows, positions(q.positions.size());
      for (std::uint64_t h = 0; h < static_cast<std::uint64_t>(p.heads); ++h) {
        rows.push_back(static_cast<int>(p.rows(h)));
        keys.insert(keys.end(), p.keys(h).begin(), p.keys(h).end());
        values.insert(values.end(), p.values(h).begin(), p.values(h).end());
      }
      for (auto const piece : q.keys) wanted_keys.insert(wanted_keys.end(), piece.begin(), piece.end());
      for (auto const piece : q.values) wanted_values.insert(wanted_values.end(), piece.begin(), piece.end());
      CHECK(std::ranges::equal(rows, q.rows));
      CHECK(keys == wanted_keys);
      CHECK(values == wanted_values);
      std::uint64_t all_rows = 0;
      p.each_head([&](io::stored_part::head_rows const& of) {
        CHECK(of.rows == p.rows(of.head));
        CHECK(of.first == p.first(of.head));
        for (auto const& [one, other] :
             {std::pair{of.keys, p.keys(of.head)}, std::pair{of.values, p.values(of.head)}}) {
          CHECK(one.data() == other.data());
          CHECK(one.size() == other.size());
        }
        all_rows += of.rows;
      });
      CHECK(all_rows == p.entries);
      std::size_t n = 0;
      p.each_position([&](std::uint64_t h, int t) {
        CHECK(n >= p.first(h));
        if (n < positions.size()) positions[n] = t;
        ++n;
      });
      CHECK(n == q.positions.size());
      CHECK(p.has_positions() == (!q.positions.empty() || p.entries == 0));
      CHECK(std::ranges::equal(positions, q.positions));
      CHECK(std::ranges::equal(p.biases, q.bias));
      REQUIRE(p.score_bytes.size() == 4 * q.scores.size());
      for (std::size_t i = 0; i < q.scores.size(); ++i) CHECK(p.score(i) == q.scores[i]);
      REQUIRE(p.masks.size() == 8 * q.channels.size());
      auto const words = io::channel_words(static_cast<std::uint64_t>(c.head_dim));
      for (std::uint64_t h = 0; h < static_cast<std::uint64_t>(p.heads); ++h)
        for (std::uint64_t d = 0; d < static_cast<std::uint64_t>(c.head_dim); ++d)
          if (bool const want = q.channels.empty() || (q.channels[h * words + d / 64] >> d % 64 & 1u) != 0;
              p.holds(h, static_cast<int>(d)) != want)
            FAIL("head " << h << ", channel " << d);
      CHECK((p.key_bytes.empty() || (p.key_bytes.data() - c.bytes.data()) % 64 == 0));
    }
  }
}
}  // namespace

TEST_CASE("container: what was written is read, bit for bit, of any class", "[io]") {
  std::mt19937 engine{5};
  for (bool const heads_alike : {false, true})
    for (bool const layers_alike : {false, true})
      for (bool const extras : {false, true})
        for (double const kept : {0.0, 0.05, 0.6, 1.0})
          for (container_shape s :
               {container_shape{}, container_shape{.heads = 1, .layers = 0}, container_shape{.heads = 3, .tokens = 0},
                container_shape{.heads = 3, .head_dim = 80, .with_channels = true},
                container_shape{.parts = 3, .head_dim = 128, .with_channels = true},
                container_shape{.heads = 7, .layers = 3, .parts = 3, .tokens = 333}, container_shape{.parts = 0}}) {
            s.heads_alike = heads_alike;
            s.layers_alike = layers_alike;
            s.with_bias = s.with_scores = extras;
            s.with_positions = extras || heads_alike;
            s.kept = kept;
            container_case const made{engine, s};
            auto const bytes = made.written<fnv>();
            REQUIRE(!bytes.empty());
            for (auto const how : {io::verify::all, io::verify::plans}) {
              io::container c;
              status const state = io::read<fnv>(bytes, c, how);
              INFO(message_of(state));
              REQUIRE(state);
              same(c, made.source);
            }
          }
}

TEST_CASE("container: tens of thousands of heads are gone through once", "[io]") {
  container_shape shape;
  shape.heads = static_cast<int>(io::most_heads / 2);
  shape.tokens = 2;
  shape.layers = shape.parts = 1;
  std::mt19937 engine(5);
  container_case const all(engine, shape);
  auto const bytes = all.written<fnv>();
  io::container c;
  REQUIRE(io::read<fnv>(bytes, c));
  auto const p = c.part(0, 0);
  byte const *keys = p.key_bytes.data(), *values = p.value_bytes.data();
  std::uint64_t heads = 0, rows = 0;
  bool right = true;
  p.each_head([&](io::stored_part::head_rows const& of) {
    std::uint64_t key_bytes = 0, value_bytes = 0;
    right = right && of.head == heads && of.first == rows && of.rows == p.rows(heads) && of.keys.data() == keys &&
            of.values.data() == values && p.key_format.bytes(of.rows, key_bytes) && of.keys.size() == key_bytes &&
            p.value_format.bytes(of.rows, value_bytes) && of.values.size() == value_bytes;
    keys += of.keys.size();
    values += of.values.size();
    rows += of.rows;
    ++heads;
  });
  CHECK(right);
  CHECK(heads == static_cast<std::uint64_t>(shape.heads));
  CHECK(rows == p.entries);
  CHECK(keys == p.key_bytes.data() + p.key_bytes.size());
  CHECK(values == p.value_bytes.data() + p.value_bytes.size());
}

TEST_CASE("container: a sink that fails anywhere leaves nothing that reads as whole", "[io]") {
  std::mt19937 engine{12};
  container_case const made{engine, {.layers = 1}};
  auto const bytes = made.written<fnv>();
  file_bytes memory(io::head_bytes(made.source));
  for (std::size_t most = 0; most < bytes.size(); ++most) {
    file_bytes sent;
    auto const s = io::write<fnv>(made.source, memory, [&](std::span<byte const> b) {
      auto const room = std::min(b.size(), most - sent.size());
      sent.insert(sent.end(), b.begin(), b.begin() + static_cast<long>(room));
      return room == b.size() ? status{} : fail(errc::bad_pointer, "disk", 1, "is full,", 1);
    });
    if (s || std::string{s.argument} != "disk") FAIL("the failure after " << most << " bytes was lost");
    io::container c;
    if (!std::equal(sent.begin(), sent.end(), bytes.begin()) || io::read<fnv>(sent, c)) FAIL("half of " << most);
  }
}

TEST_CASE("container: a description that contradicts itself is refused before the first byte", "[io]") {
  std::mt19937 engine{13};
  auto const refused = [&](auto const& spoil) {
    container_case made{engine, {.heads = 2, .layers = 2, .parts = 1, .tokens = 30}};
    spoil(made);
    file_bytes memory(io::head_bytes(made.source));
    int sent = 0;
    auto const s = io::write<fnv>(made.source, memory, [&](std::span<byte const>) { return ++sent, status{}; });
    CHECK(sent == 0);
    CHECK_FALSE(s);
    return message_of(s);
  };
  using Catch::Matchers::ContainsSubstring;
  auto const first = [](container_case& m) -> io::part_source& { return m.parts[0][0]; };
  CHECK_THAT(refused([](auto& m) { m.source.kv_heads = 3; }),
             ContainsSubstring("query_heads is 4, must be a multiple"));
  CHECK_THAT(refused([](auto& m) { m.source.kv_heads = 4; }), ContainsSubstring("part.rows is 2, heads"));
  CHECK_THAT(refused([](auto& m) { m.source.kv_heads = 0; }), ContainsSubstring("kv_heads is 0"));
  CHECK_THAT(refused([](auto& m) { m.source.tokens = 5; }), ContainsSubstring("part.positions is"));
  CHECK_THAT(refused([](auto& m) { m.source.tokens = -1; }), ContainsSubstring("tokens is -1"));
  CHECK_THAT(refused([](auto& m) { m.source.num_layers = 1; }), ContainsSubstring("layers is 2"));
  CHECK_THAT(refused([](auto& m) { m.layers[1].layer = 1; }), ContainsSubstring("layers.layer is 1"));
  CHECK_THAT(refused([](auto& m) { m.layers[1].layer = 6; }), ContainsSubstring("layers.layer is 6"));
  CHECK_THAT(refused([](auto& m) { m.owned[0].rows[0] = -1; }), ContainsSubstring("part.rows is -1"));
  CHECK_THAT(refused([](auto& m) { ++m.owned[0].rows[0]; }), ContainsSubstring("entries; the rows are"));
  CHECK_THAT(refused([](auto& m) { m.owned[0].positions[1] = m.owned[0].positions[0]; }),
             ContainsSubstring("must be greater than the index before it"));
  CHECK_THAT(refused([&](auto& m) { first(m).bias = first(m).bias.first(1); }), ContainsSubstring("part.bias is 1"));
  CHECK_THAT(refused([&](auto& m) { first(m).scores = first(m).scores.first(1); }),
             ContainsSubstring("part.scores is 1"));
  CHECK_THAT(refused([&](auto& m) { first(m).channels = std::span{m.owned[0].channels = {1}}; }),
             ContainsSubstring("part.channels is 1, words; the heads of the model have 2"));
  CHECK_THAT(refused([&](auto& m) {
               m.source.head_dim = 16;
               first(m).channels = std::span{m.owned[0].channels = {1, 1u << 20}};
             }),
             ContainsSubstring("part.channels is 20, is a channel of a mask, which must be less than 16"));
  CHECK_THAT(refused([&](auto& m) { first(m).keys = {}; }), ContainsSubstring("part.keys is 0, bytes"));
  CHECK_THAT(refused([&](auto& m) { first(m).value_format.tile_bytes = 0; }), ContainsSubstring("bytes in a tile"));
  CHECK_THAT(refused([&](auto& m) { first(m).key_format.tile_tokens = 0; }), ContainsSubstring("tokens in a tile"));
  CHECK_THAT(refused([&](auto& m) { first(m).key_format.name = ""; }), ContainsSubstring("characters in the name"));

  container_case const made{engine, {}};
  file_bytes small(io::head_bytes(made.source) - 1);
  auto const s = io::write<fnv>(made.source, small, [](std::span<byte const>) { return status{}; });
  CHECK(s.code == errc::workspace_too_small);
}
