// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Containers that are cut, changed or forged: refused or harmless, and never read outside their bytes.
#include <kvsieve/io/read.hpp>

#include <catch2/catch_all.hpp>
#include <string>

#include "container_case.hpp"
#include "refusal.hpp"

using namespace kvsieve;
using test::container_case;
using test::file_bytes;
using test::fnv;
using test::with;

TEST_CASE("container: every truncation and every longer file is refused, and changes nothing", "[io]") {
  std::mt19937 engine{6};
  bool const with_channels = GENERATE(false, true);
  container_case const made{engine, {.with_channels = with_channels}};
  auto bytes = made.written<fnv>();
  io::container c;
  c.tokens = -7;
  for (std::size_t n = 0; n < bytes.size(); ++n)
    for (auto const how : {io::verify::all, io::verify::plans}) {
      file_bytes const cut(bytes.begin(), bytes.begin() + static_cast<long>(n));
      status const s = io::read<fnv>(cut, c, how);
      if (s.code != errc::bad_file) FAIL("cut to " << n);
    }
  bytes.push_back(0);
  CHECK_FALSE(io::read<fnv>(bytes, c));
  CHECK(c.tokens == -7);
}

TEST_CASE("container: random flips are refused or harmless", "[io]") {
  std::mt19937 engine{7};
  bool const with_channels = GENERATE(false, true);
  container_case const made{engine, {.heads = 3, .parts = 3, .with_channels = with_channels}};
  auto const bytes = made.written<fnv>();
  std::uint64_t sum = 0;
  int refused = 0;
  for (int round = 0; round < 10000; ++round) {
    auto flipped = bytes;
    for (auto flips = 1 + engine() % 3; flips > 0; --flips)
      flipped[engine() % bytes.size()] ^= static_cast<byte>(1u << engine() % 8);
    if (flipped == bytes) continue;
    io::container c;
    if (io::read<fnv>(flipped, c)) FAIL("accepted, round " << round);
    if (io::read<fnv>(flipped, c, io::verify::plans)) sum += test::touch(c);
    ++refused;
  }
  CHECK(refused > 9900);
  CHECK(sum > 0);  // of those in keys and values, which `plans` does not look at
}

TEST_CASE("container: forged headers and directories are refused or harmless", "[io]") {
  std::mt19937 engine{8};
  bool const with_channels = GENERATE(false, true);
  container_case const made{engine, {.heads = 3, .parts = 2, .head_dim = 80, .with_channels = with_channels}};
  auto const bytes = made.written<fnv>();
  auto const head = io::header_bytes + io::load<std::uint64_t>(bytes.data() + 40);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 20000; ++round) {
    auto forged = bytes;
    auto const place = engine() % (head - 8);
    test::overwrite(forged, place, 400, engine);
    test::forge<fnv>(forged);
    io::container c;
    c.tokens = -7;
    if (io::read<fnv>(forged, c, round % 2 ? io::verify::plans : io::verify::all)) {
      ++accepted;
      (void)test::touch(c);
    } else {
      ++refused;
      if (c.tokens != -7) FAIL("changed by a refused file");
    }
  }
  CHECK(refused > 5000);
  CHECK(accepted > 100);  // names, texts, theta
}

TEST_CASE("container: forged positions and counts are refused or harmless", "[io]") {
  std::mt19937 engine{9};
  container_case const made{engine, {.heads = 3, .layers = 1, .parts = 1, .heads_alike = true}};
  auto const bytes = made.written<fnv>();
  io::container whole;
  REQUIRE(io::read<fnv>(bytes, whole));
  auto const parts_at = whole.parts_at;
  for (int round = 0; round < 5000; ++round)
    for (std::uint64_t const which : {0u, 1u}) {
      auto forged = bytes;
      auto const record = parts_at + io::part_field::section + which * io::part_field::section_bytes;
      auto const at = io::load<std::uint64_t>(bytes.data() + record),
                 size = io::load<std::uint64_t>(bytes.data() + record + 8);
      forged[at + engine() % size] = static_cast<byte>(engine());
      fnv seen;
      seen.update(forged.data() + at, size);
      forged = with(forged, record + 16, seen.digest());
      io::container c;
      if (io::read<fnv>(forged, c)) (void)test::touch(c);
    }
  SUCCEED("no access outside the bytes: for the sanitizers to say");
}

TEST_CASE("container: what it says when it refuses", "[io]") {
  std::mt19937 engine{10};
  container_case const made{engine, {.layers = 1, .parts = 1}};
  auto const bytes = made.written<fnv>();
  io::container whole;
  REQUIRE(io::read<fnv>(bytes, whole));
  std::uint64_t const part = whole.parts_at, keys = part + 48 + 2 * 24;
  using f = io::header_field;
  std::vector<std::pair<file_bytes, std::string>> const cases{
      {with(bytes, 0, std::uint32_t{0}), "magic"},
      {with(bytes, f::version, std::uint32_t{2}), "end of a text"},
      {with(bytes, f::version, std::uint32_t{3}), "version is 3, must be at least 1 and at most 2"},
      {with(bytes, f::version, std::uint32_t{0}), "version is 0"},
      {with(bytes, f::version, UINT32_MAX), "version is 4294967295"},
      {with(bytes, f::header_bytes, std::uint32_t{64}), "header bytes is 64"},
      {with(bytes, f::total_bytes, std::uint64_t{bytes.size() + 64}), "differ from those that the header states"},
      {with(bytes, f::hash_name, std::uint64_t{0x41}), "name of the checksum"},
      {with(bytes, f::directory_bytes, UINT64_MAX - 63), "directory bytes"},
      {with(bytes, f::layers, UINT32_MAX), "layers is 4294967295, must be at most"},
      {with(bytes, f::kv_heads, std::uint32_t{0}), "KV heads is 0, must be at least 1"},
      {with(bytes, f::kv_heads, std::uint32_t{1}), "rows is 8, bytes; they should be 4"},
      {with(bytes, f::kv_heads, std::uint32_t{3}), "query heads is 4, must be a multiple of the KV heads, 3"},
      {with(bytes, f::head_dim, UINT32_MAX), "head dimension"},
      {with(bytes, f::tokens, UINT64_MAX), "tokens is"},
      {with(bytes, f::first_position, std::uint64_t{INT64_MAX}), "first position"},
      {with(bytes, f::model, UINT32_MAX), "end of a text"},
      {with(bytes, f::string_bytes, std::uint32_t{1} << 20), "records and texts"},
      {with(bytes, io::header_bytes, std::uint32_t{99}), "layer is 99, must ascend and be less than 4"},
      {with(bytes, io::header_bytes + 8, std::uint32_t{2}), "first part"},
      {with(bytes, part + 24, std::uint32_t{0}), "keys is 0, tokens in a tile"},
      {with(bytes, part + 28, std::uint32_t{0}), "keys is 0, bytes in a tile"},
      {with(bytes, part + 28, UINT32_MAX), "bytes; they should be"},
      {with(bytes, part + 40, UINT64_MAX), "but the rows of the heads are"},
      {with(bytes, keys, std::uint64_t{0}), "is their offset"},
      {with(bytes, keys, UINT64_MAX - 63), "is their offset"},
      {with(bytes, keys + 8, UINT64_MAX), "are their bytes, which must be at most"},
      {with(bytes, keys + 16, std::uint64_t{1}), "is their checksum"},
  };
  for (auto const& [forged, wanted] : cases) {
    io::container c;
    status const s = io::read<fnv>(forged, c);
    CHECK(s.code == errc::bad_file);
    CHECK_THAT(support::message_of(s), Catch::Matchers::ContainsSubstring(wanted));
  }
}
