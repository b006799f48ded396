// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "container.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <csignal>
#include <cstdlib>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/io/read.hpp>
#include <kvsieve/io/write.hpp>

#include "container_case.hpp"
#include "row_formats.hpp"
#include "scratch.hpp"
#include "xxh3.hpp"

using namespace kvsieve;
using test::file_bytes;
using test::read_bytes;
using test::scratch;

namespace {

file_bytes numbers(std::size_t count, unsigned factor) {
  file_bytes out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(static_cast<byte>(factor * i + 1));
  return out;
}

/// The cache of version 1 of tests/golden/container/write.py, as formulas.
struct golden_cache {
  std::vector<int> rows[3]{{3, 3}, {9, 0}, {2, 1}}, positions[2]{{0, 1, 19, 0, 1, 19}, {2, 3, 4, 5, 7, 9, 11, 13, 17}};
  file_bytes keys[3]{numbers(48, 7), numbers(30, 7), numbers(24, 7)},
      values[3]{numbers(48, 11), numbers(45, 11), numbers(48, 11)}, bias = numbers(9, 5);
  std::vector<float> scores{0, 0.25f, 0.5f, 0.75f, 1, 1.25f};
  std::span<byte const> key_pieces[3]{keys[0], keys[1], keys[2]}, value_pieces[3]{values[0], values[1], values[2]};
  io::row_format f16{"f16", 1, 8};
  io::part_source parts[3]{
      {"kept", f16, f16, rows[0], positions[0], {&key_pieces[0], 1}, {&value_pieces[0], 1}, {}, scores},
      {"middle",
       {"k6", 4, 10},
       {"v4", 2, 9},
       rows[1],
       positions[1],
       {&key_pieces[1], 1},
       {&value_pieces[1], 1},
       bias,
       {}},
      {"kept", f16, {"f32", 1, 16}, rows[2], {}, {&key_pieces[2], 1}, {&value_pieces[2], 1}, {}, {}}};
  io::layer_source layers[2]{{0, {parts, 2}}, {2, {parts + 2, 1}}};
  io::text_pair texts[2]{{"strategy", "snap_kv"}, {"params.score.window", "32"}};
  io::cache_source source{"golden", "f16", "half", "U3", 3, 4, 2, 4, 10000, 100, 20, texts, layers};
};

/// That of version 2: the last part holds two of the four channels of its keys.
struct golden_cache_2 : golden_cache {
  std::vector<std::uint64_t> masks{0b1001, 0b0110};
  file_bytes half = numbers(12, 7);
  std::span<byte const> half_piece{half};

  golden_cache_2() {
    auto& p = parts[2];
    p.name = "half";
    p.key_format = {"kept_f16", 1, 4};
    p.keys = {&half_piece, 1};
    p.channels = masks;
  }
};

/// A dump of two layers and what a strategy might have kept of it.
struct kept_case {
  scratch at;
  tool::cache_dump dump;
  tool::outcome result;

  explicit kept_case(bool ragged, std::string type = "F32") {
    test::small_dump made;
    // 16-bit numbers of any bits but NaN, whose bits a conversion may change.
    for (auto& p : made.parts) {
      p.type = type;
      if (type == "F32") continue;
      auto* const halves = reinterpret_cast<std::uint16_t*>(p.numbers.data());
      for (std::size_t i = 0; i < p.numbers.size(); ++i)
        halves[i] = static_cast<std::uint16_t>((i * 40503u + 7u) & 0xbfffu);
    }
    made.write(at / "d.safetensors");
    if (auto const failed = tool::read_dump(at / "d.safetensors", {}, dump)) FAIL(*failed);
    result.strategy = "by_hand";
    result.uniformity = ragged ? "U3" : "U1";
    result.params = {{"score.window", "16"}};
    for (int const layer : {1, 3})
      result.layers.push_back({layer, {{0, 2, 5, 31}, ragged ? std::vector{7} : std::vector{0, 1, 2, 3}}, {}, {}, {}});
    for (auto& l : result.layers)
      for (int i = 0; i < 64; ++i) l.score.push_back(static_cast<float>(i));
  }
};

/// The bytes of a tensor of a safetensors file.
std::string tensor_bytes(std::string const& file, std::string const& name, std::string const& type,
                         std::vector<std::int64_t> const& shape) {
  tool::input_file in;
  if (auto const failed = in.open(file)) FAIL(*failed);
  tool::safetensors::contents all;
  if (auto const failed = tool::safetensors::read_contents(in, all)) FAIL(*failed);
  auto const* const e = all.find(name);
  CAPTURE(name);
  REQUIRE(e != nullptr);
  CHECK(e->type.name == type);
  CHECK(e->shape == shape);
  return read_bytes(file).substr(all.data_offset + e->begin, e->size_bytes());
}
}  // namespace

TEST_CASE("container: the file of version 1 is read, and written byte for byte", "[tools][container]") {
  golden_cache const cache;
  auto const file = std::string{KVSIEVE_GOLDEN_DIR} + "/container/version_1.kvs";
  tool::mapped_file map;
  io::container c;
  if (auto const failed = tool::read_container(file, map, c)) FAIL(*failed);
  CHECK(c.version == 1);
  CHECK(c.model == "golden");
  CHECK(c.next_position() == 120);
  CHECK(c.value(1) == "32");
  REQUIRE(c.layers == 2);
  CHECK(c.layer(1) == 2);
  REQUIRE(c.parts(0) == 2);
  auto const middle = c.part(0, 1);
  CHECK(middle.key_format.name == "k6");
  CHECK(middle.key_format.tile_tokens == 4);
  CHECK(std::ranges::equal(middle.keys(0), cache.keys[1]));
  CHECK(middle.keys(1).empty());
  CHECK(std::ranges::equal(middle.biases, cache.bias));
  std::vector<int> positions;
  middle.each_position([&](std::uint64_t, int t) { positions.push_back(t); });
  CHECK(positions == cache.positions[1]);
  CHECK(c.part(0, 0).score(5) == 1.25f);
  CHECK_FALSE(c.part(1, 0).has_positions());

  scratch const at;
  if (auto const failed = tool::write_container(at / "x.kvs", cache.source)) FAIL(*failed);
  CHECK((read_bytes(at / "x.kvs") == read_bytes(file)));
}

TEST_CASE("container: the file of version 2 is read, and written byte for byte", "[tools][container]") {
  golden_cache_2 const cache;
  auto const file = std::string{KVSIEVE_GOLDEN_DIR} + "/container/version_2.kvs";
  tool::mapped_file map;
  io::container c;
  if (auto const failed = tool::read_container(file, map, c)) FAIL(*failed);
  CHECK(c.version == 2);
  REQUIRE(c.layers == 2);
  CHECK(c.part(0, 1).masks.empty());
  CHECK(c.part(0, 1).holds(1, 3));
  auto const last = c.part(1, 0);
  CHECK(last.key_format.name == "kept_f16");
  for (int channel = 0; channel < 4; ++channel) {
    CHECK(last.holds(0, channel) == (channel == 0 || channel == 3));
    CHECK(last.holds(1, channel) == (channel == 1 || channel == 2));
  }
  CHECK(std::ranges::equal(last.keys(1), std::span{cache.half}.last(4)));
  scratch const at;
  if (auto const failed = tool::write_container(at / "x.kvs", cache.source)) FAIL(*failed);
  CHECK((read_bytes(at / "x.kvs") == read_bytes(file)));
}

TEST_CASE("container: 10,000 flips and every truncation of the golden files", "[tools][container]") {
  auto const version = GENERATE(std::string{"1"}, std::string{"2"});
  auto const text = read_bytes(std::string{KVSIEVE_GOLDEN_DIR} + "/container/version_" + version + ".kvs");
  file_bytes const bytes(text.begin(), text.end());
  std::mt19937 engine{3};
  io::container c;
  for (int round = 0; round < 10000; ++round) {
    auto flipped = bytes;
    flipped[engine() % bytes.size()] ^= static_cast<byte>(1u << engine() % 8);
    if (io::read<tool::xxh3>(flipped, c)) FAIL("accepted, round " << round);
    if (io::read<tool::xxh3>(flipped, c, io::verify::plans)) (void)test::touch(c);
  }
  for (std::size_t n = 0; n < bytes.size(); ++n)
    if (io::read<tool::xxh3>(file_bytes(bytes.begin(), bytes.begin() + static_cast<long>(n)), c)) FAIL("cut to " << n);
}

TEST_CASE("container: kept rows come back from an expansion, bit for bit", "[tools][container]") {
  for (std::string const type : {"F32", "F16", "BF16"})
    for (bool const ragged : {false, true}) {
      kept_case const made{ragged, type};
      auto const kvs = made.at / "x.kvs", out = made.at / "e.safetensors";
      if (auto const failed = tool::write_kept(kvs, made.dump, made.result, true)) FAIL(*failed);
      tool::mapped_file map;
      io::container c;
      if (auto const failed = tool::read_container(kvs, map, c)) FAIL(*failed);
      CHECK(c.part(0, 0).score(3) == 31);
      CHECK(c.key(1) == "params.score.window");
      if (auto const failed = tool::expand_container(c, out)) FAIL(*failed);
      std::size_t const row = type == "F32" ? 256 : 128;
      for (int const layer : {1, 3})
        for (std::string const side : {"k", "v"}) {
          auto const prefix = "layers." + std::to_string(layer) + ".";
          auto const whole = tensor_bytes(made.at / "d.safetensors", prefix + side, type, {2, 32, 64});
          std::string wanted;
          for (std::size_t h = 0; h < 2; ++h) {
            auto const& kept = made.result.layers[0].kept[h];
            std::string one;
            for (int const t : kept) one += whole.substr((h * 32 + static_cast<std::size_t>(t)) * row, row);
            auto const n = static_cast<std::int64_t>(kept.size());
            if (ragged) {
              auto const name = prefix + "heads." + std::to_string(h) + ".";
              CHECK((tensor_bytes(out, name + side, type, {n, 64}) == one));
              auto const positions = tensor_bytes(out, name + "positions", "I32", {n});
              CHECK(std::memcmp(positions.data(), kept.data(), positions.size()) == 0);
            }
            wanted += one;
          }
          if (!ragged) CHECK((tensor_bytes(out, prefix + side, type, {2, 4, 64}) == wanted));
        }
    }
}

TEST_CASE("container: parts of formats are decoded and joined by position", "[tools][container]") {
  constexpr int D = 64;
  std::vector<float> x(5 * D);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  file_bytes encoded(3 * encode::q8_0::tile_bytes<D>), plain(2 * D * 4);
  for (std::size_t r = 0; r < 3; ++r)
    encode::q8_0::encode<D>(x.data() + r * D, encoded.data() + r * encode::q8_0::tile_bytes<D>);
  std::memcpy(plain.data(), x.data() + 3 * D, plain.size());
  std::vector<int> const rows[2]{{3}, {2}}, positions[2]{{2, 3, 9}, {0, 5}};
  file_bytes const bias{1, 2, 3};
  std::span<byte const> const pieces[2]{encoded, plain};
  auto const q8 = io::format_of<encode::q8_0, D>(), f32 = io::format_of(dtype::f32, D);
  io::part_source const parts[2]{{"middle", q8, q8, rows[0], positions[0], {pieces, 1}, {pieces, 1}, bias, {}},
                                 {"recent", f32, f32, rows[1], positions[1], {pieces + 1, 1}, {pieces + 1, 1}, {}, {}}};
  io::layer_source const layer{0, parts};
  scratch const at;
  if (auto const failed = tool::write_container(at / "x", {"", "f32", "", "U1", 1, 1, 1, D, 0, 0, 10, {}, {&layer, 1}}))
    FAIL(*failed);
  tool::mapped_file map;
  io::container c;
  if (auto const failed = tool::read_container(at / "x", map, c)) FAIL(*failed);
  if (auto const failed = tool::expand_container(c, at / "e")) FAIL(*failed);
  auto const keys = tensor_bytes(at / "e", "layers.0.k", "F32", {1, 5, D});
  auto const order = tensor_bytes(at / "e", "layers.0.positions", "I32", {1, 5});
  int const wanted[5]{0, 2, 3, 5, 9}, row_of[5]{3, 0, 1, 4, 2};
  CHECK(std::memcmp(order.data(), wanted, sizeof wanted) == 0);
  CHECK(tensor_bytes(at / "e", "layers.0.bias", "U8", {1, 5}) == std::string("\0\1\2\0\3", 5));
  for (int i = 0; i < 5; ++i)
    for (int k = 0; k < D; ++k) {
      float got = 0;
      std::memcpy(&got, keys.data() + 4 * (i * D + k), 4);
      float const exact = x[static_cast<std::size_t>(row_of[i] * D + k)];
      if (row_of[i] >= 3)
        CHECK(got == exact);
      else
        CHECK_THAT(got, Catch::Matchers::WithinAbs(exact, 0.5 / 127 + 1e-3));  // half a scale, its f16 rounding
    }

  // Rows of some channels: the others are 0, and room that a head does not use is left alone.
  file_bytes some(2 * 32 * 4);
  std::memcpy(some.data(), x.data(), some.size());
  std::vector<int> const held{1, 5, 63};
  std::vector<float> wide(2 * D, 7);
  REQUIRE(!tool::decode_held_rows({"kept_f32", 1, 32 * 4}, some, 2, D, &held, wide.data()));
  for (std::size_t r = 0; r < 2; ++r)
    for (std::size_t k = 0; k < D; ++k) {
      auto const place = std::ranges::find(held, static_cast<int>(k)) - held.begin();
      CHECK(wide[r * D + k] == (place == 3 ? 0.0f : x[r * 32 + static_cast<std::size_t>(place)]));
    }
  REQUIRE(!tool::decode_held_rows({"kept_f32", 1, 32 * 4}, some, 2, D, nullptr, wide.data()));
  for (std::size_t k = 0; k < D; ++k) CHECK(wide[D + k] == (k < 32 ? x[32 + k] : 0.0f));
  CHECK(tool::decode_held_rows({"kept_f32", 1, 8}, some, 2, D, &held, wide.data())->find("do not fit") !=
        std::string::npos);
  CHECK(tool::decode_held_rows({"kept_f32", 1, 65 * 4}, {}, 0, D, &held, wide.data())->find("do not fit") !=
        std::string::npos);
  CHECK(tool::decode_held_rows({"kept_k6", 1, 64}, some, 1, D, &held, wide.data())->find("cannot decode") !=
        std::string::npos);

  std::vector<float> out(D);
  file_bytes const row(64);
  CHECK(tool::decode_rows({"k6", 1, 64}, row, 1, D, out.data())->find("cannot decode") != std::string::npos);
  CHECK(tool::decode_rows({"q8_0", 1, 64}, row, 1, D, out.data())->find("do not fit") != std::string::npos);
}

TEST_CASE("container: a writer killed at any byte leaves the name as it was", "[tools][container]") {
  golden_cache const cache;
  scratch const at;
  auto const file = at / "x.kvs";
  file_bytes memory(io::head_bytes(cache.source));
  auto const size = std::filesystem::file_size(std::string{KVSIEVE_GOLDEN_DIR} + "/container/version_1.kvs");
  // A process that ends in the middle of a write, and one whose disk takes no more.
  for (std::size_t most = 0; most < size; most += 37)
    for (bool const full_disk : {false, true}) {
      test::write_bytes(file, "before");
      pid_t const child = ::fork();
      if (child == 0) {
        if (full_disk) {
          std::signal(SIGXFSZ, SIG_IGN);
          ::rlimit const limit{most, most};
          ::setrlimit(RLIMIT_FSIZE, &limit);
          ::_exit(tool::write_container(file, cache.source) ? 3 : 0);
        }
        tool::output_file to;
        if (to.open(file)) ::_exit(1);
        std::size_t sent = 0;
        (void)io::write<tool::xxh3>(cache.source, memory, [&](std::span<byte const> b) {
          auto const room = std::min(b.size(), most - sent);
          (void)to.write(std::as_bytes(b.first(room)));
          sent += room;
          if (room < b.size()) ::_exit(3);
          return status{};
        });
        ::_exit(2);
      }
      int result = 0;
      REQUIRE(::waitpid(child, &result, 0) == child);
      CHECK(WEXITSTATUS(result) == 3);
      CHECK(read_bytes(file) == "before");
      // What is left beside it was never given a name that a reader looks for, and is not whole.
      for (auto const& left : std::filesystem::directory_iterator{at.folder}) {
        if (left.path() == file) continue;
        CHECK_FALSE(full_disk);
        CHECK(left.path().extension() == ".part");
        tool::mapped_file map;
        io::container c;
        CHECK(tool::read_container(left.path(), map, c));
        std::filesystem::remove(left.path());
      }
    }
}

TEST_CASE("container: files that are none are refused with one line", "[tools][container]") {
  scratch const at;
  tool::mapped_file map[3];
  io::container c;
  test::write_bytes(at / "empty", "");
  CHECK(*tool::read_container(at / "empty", map[0], c) ==
        "'" + (at / "empty") + "': bytes is 0, is less than magic and version, 12");
  CHECK(tool::read_container(at / "nothing", map[1], c)->find("cannot open") != std::string::npos);
  auto text = read_bytes(std::string{KVSIEVE_GOLDEN_DIR} + "/container/version_1.kvs");
  text[8] = 9;
  test::write_bytes(at / "later", text);
  CHECK(tool::read_container(at / "later", map[2], c)->ends_with("version is 9, must be at least 1 and at most 2"));
}
