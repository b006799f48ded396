// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Containers of both versions that somebody spoiled or forged, with the program's own checksum, read and expanded by
// what the program reads and expands them with.
#include "container.hpp"

#include <catch2/catch_all.hpp>

#include "container_case.hpp"
#include "files.hpp"
#include "xxh3.hpp"

using namespace kvsieve;
using test::file_bytes;
using test::read_bytes;
using test::scratch;
using tool::xxh3;

namespace {

/// Rows of random bits in formats that the program decodes; of version 2 where keys hold some of the channels.
file_bytes decodable(std::mt19937& engine, bool some_channels) {
  constexpr int D = 64, tokens = 40;
  struct one {
    std::string format;
    std::uint32_t key_bytes, value_bytes;
    std::string values;
  };
  std::vector<one> const forms{
      {"f16", 128, 128, "f16"}, {"q8_0", 68, 36, "q4_0"}, {"kept_f16", 64, 128, "f16"}, {"kept_f32", 128, 256, "f32"}};
  std::deque<test::owned_part> owned;
  std::vector<io::part_source> parts;
  for (auto const& f : forms) {
    bool const some = f.format.starts_with("kept_");
    if (some != some_channels && f.format != "f16") continue;
    auto& p = owned.emplace_back();
    p.name = "of " + f.format;
    for (int h = 0; h < 2; ++h)
      for (int t = 0, n = 0; t < tokens; ++t) {
        if (engine() % 3 != 0) p.positions.push_back(t), ++n;
        if (t + 1 == tokens) p.rows.push_back(n);
      }
    auto const any = [&](std::size_t n) {
      file_bytes out(n);
      for (auto& b : out) b = static_cast<byte>(engine());
      return out;
    };
    p.keys = any(p.positions.size() * f.key_bytes);
    p.values = any(p.positions.size() * f.value_bytes);
    p.bias = any(p.positions.size());
    p.key_pieces = {p.keys};
    p.value_pieces = {p.values};
    for (int h = 0; some && h < 2; ++h) {
      std::uint64_t mask = 0;
      for (int k = 0; k < 32; ++k) mask |= std::uint64_t{1} << engine() % D;
      p.channels.push_back(mask);
    }
    p.key_format = f.format;
    p.value_format = f.values;
    parts.push_back({p.name,
                     {p.key_format, 1, f.key_bytes},
                     {p.value_format, 1, f.value_bytes},
                     p.rows,
                     p.positions,
                     p.key_pieces,
                     p.value_pieces,
                     p.bias,
                     {},
                     p.channels});
  }
  std::vector<io::layer_source> const layers{{1, parts}, {2, {parts.data(), 1}}};
  std::vector<io::text_pair> const texts{{"strategy", "snap_kv"}};
  io::cache_source const source{"a model", "f16", "half", "U3", 4, 4, 2, D, 1e6, 17, tokens, texts, layers};
  file_bytes memory(io::head_bytes(source)), out;
  auto const s = io::write<xxh3>(source, memory, [&](std::span<byte const> b) {
    out.insert(out.end(), b.begin(), b.end());
    return status{};
  });
  return s ? out : file_bytes{};
}

/// Sets the checksums of all sections anew, and that of header and directory: what somebody does who knows the format.
void forge_all(file_bytes& f, std::uint64_t parts_at) {
  std::uint32_t const version = io::load<std::uint32_t>(f.data() + io::header_field::version),
                      parts = io::load<std::uint32_t>(f.data() + io::header_field::parts);
  if (version < 1 || version > io::version || parts > 100) return;
  for (std::uint64_t p = 0; p < parts; ++p)
    for (int s = 0; s < io::sections_of(version); ++s) {
      auto const record = parts_at + io::part_bytes(version) * p + io::part_field::section +
                          static_cast<std::uint64_t>(s) * io::part_field::section_bytes;
      if (record + io::part_field::section_bytes > f.size()) return;
      auto const at = io::load<std::uint64_t>(f.data() + record), size = io::load<std::uint64_t>(f.data() + record + 8);
      if (at > f.size() || size > f.size() - at || (at == 0 && size == 0)) continue;
      xxh3 seen;
      seen.update(f.data() + at, static_cast<std::size_t>(size));
      io::store(f.data() + record + 16, seen.digest());
    }
  test::forge<xxh3>(f);
}

/// Reads, touches and expands; true when all of it went well.
bool expanded(file_bytes const& bytes, std::string const& to) {
  io::container c;
  if (!io::read<xxh3>(bytes, c)) return false;
  (void)test::touch(c);
  auto const failed = tool::expand_container(c, to);
  if (failed && failed->find('\n') != std::string::npos) FAIL("a message of two lines: " << *failed);
  return !failed;
}
}  // namespace

TEST_CASE("fuzz: 10,000 flips of a container of either version", "[fuzz][container]") {
  scratch const at;
  std::mt19937 engine{6};
  bool const some_channels = GENERATE(false, true);
  auto const bytes = decodable(engine, some_channels);
  REQUIRE(expanded(bytes, at / "e"));
  io::container whole;
  REQUIRE(io::read<xxh3>(bytes, whole));
  CHECK(whole.version == (some_channels ? 2u : 1u));
  std::uint64_t sum = 0;
  for (int round = 0; round < 10000; ++round) {
    auto flipped = bytes;
    for (auto flips = 1 + engine() % 3; flips > 0; --flips)
      flipped[engine() % bytes.size()] ^= static_cast<byte>(1u << engine() % 8);
    if (flipped == bytes) continue;
    io::container c;
    if (io::read<xxh3>(flipped, c)) FAIL("accepted, round " << round);
    if (io::read<xxh3>(flipped, c, io::verify::plans)) sum += test::touch(c);
  }
  CHECK(sum > 0);
  for (std::size_t n = 0; n < bytes.size(); n += 1 + engine() % 3) {
    io::container c;
    file_bytes const cut(bytes.begin(), bytes.begin() + static_cast<long>(n));
    if (io::read<xxh3>(cut, c) || io::read<xxh3>(cut, c, io::verify::plans)) FAIL("cut to " << n);
  }
}

TEST_CASE("fuzz: forged headers, records and sections are refused or expand within their bytes", "[fuzz][container]") {
  scratch const at;
  std::mt19937 engine{7};
  bool const some_channels = GENERATE(false, true);
  auto const bytes = decodable(engine, some_channels);
  io::container whole;
  REQUIRE(io::read<xxh3>(bytes, whole));
  auto const head = io::header_bytes + io::load<std::uint64_t>(bytes.data() + io::header_field::directory_bytes);
  int done = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    auto forged = bytes;
    for (auto times = 1 + engine() % 2; times > 0; --times) {
      // Half of the changes are to header and directory, where they mean most.
      auto const place = engine() % ((engine() % 2 == 0 ? head : bytes.size()) - 8);
      test::overwrite(forged, place, 300, engine);
    }
    forge_all(forged, whole.parts_at);
    (expanded(forged, at / "e") ? done : refused) += 1;
  }
  CHECK(refused > 500);
  CHECK(done > 250);
}

TEST_CASE("fuzz: what is no container, as a file", "[fuzz][container]") {
  scratch const at;
  std::mt19937 engine{8};
  auto const bytes = decodable(engine, true);
  for (int round = 0; round < 1000; ++round) {
    auto spoiled = bytes;
    if (round % 3 == 0)
      spoiled.resize(engine() % bytes.size());
    else if (round % 3 == 1)
      spoiled.resize(bytes.size() + 1 + engine() % 200);
    else
      spoiled[engine() % io::header_bytes] ^= static_cast<byte>(1u << engine() % 8);
    test::write_bytes(at / "x", std::string(spoiled.begin(), spoiled.end()));
    tool::mapped_file map;
    io::container c;
    auto const message = tool::read_container(at / "x", map, c);
    if (!message) FAIL("accepted, round " << round);
    if (message->find('\n') != std::string::npos) FAIL("a message of two lines: " << *message);
  }
}
