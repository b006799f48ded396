// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Dumps that somebody spoiled, with every tensor a dump may hold: refused in one line, or read within their bytes.
#include "dump.hpp"

#include <catch2/catch_all.hpp>
#include <random>

#include "files.hpp"

using kvsieve::test::read_bytes;
using kvsieve::test::scratch;
using kvsieve::test::small_dump;
using kvsieve::test::write_bytes;
using kvsieve::tool::cache_dump;
using kvsieve::tool::tensor;

namespace {

/// One layer of few tokens, so that most bits of its file are those of the header.
small_dump full_dump() {
  small_dump d;
  d.parts.clear();
  d.metadata = {{"format", "kvsieve-dump-1"},
                {"num_layers", "2"},
                {"layers", "1"},
                {"num_query_heads", "2"},
                {"num_kv_heads", "1"},
                {"head_dim", "4"},
                {"tokens", "3"},
                {"first_position", "0"},
                {"rope_theta", "10000"},
                {"rope_style", "half"},
                {"pass_chunks", "0-2:1,2-3:1"}};
  auto const add = [&](std::string const& name, std::vector<std::int64_t> shape) {
    std::int64_t count = 1;
    for (auto const n : shape) count *= n;
    d.parts.push_back(
        {"layers.1." + name, "F32", std::move(shape), std::vector<float>(static_cast<std::size_t>(count))});
    for (std::size_t i = 0; i < d.parts.back().numbers.size(); ++i)
      d.parts.back().numbers[i] = 0.25f * static_cast<float>(i) - 1;
  };
  add("k", {1, 3, 4});
  add("v", {1, 3, 4});
  add("q", {2, 2, 4});
  add("o_proj", {6, 8});
  add("pass_q", {2, 2, 4});
  add("pass_k", {1, 2, 4});
  add("pass_hidden", {2, 6});
  add("hidden", {3, 6});
  add("kv_zap.weight", {5, 6});
  add("kv_zap.bias", {5});
  add("kv_zap.out_weight", {1, 5});
  add("kv_zap.out_bias", {1});
  add("gate.weight", {9, 6});
  add("gate.bias", {6});
  add("gate.query_norm", {3});
  add("gate.key_norm", {3});
  add("gate.base_key", {1, 2, 3});
  add("gate.offset", {1, 2});
  return d;
}

/// Reads all bytes of a dump, which the sanitizers watch.
std::uint64_t touch(cache_dump const& d) {
  std::uint64_t sum = 0;
  for (auto const& l : d.layers)
    for (tensor const* t :
         {&l.keys, &l.values, &l.queries, &l.pass_keys, &l.pass_queries, &l.output_projection, &l.pass_hidden,
          &l.hidden, &l.zap_weight, &l.zap_bias, &l.zap_out_weight, &l.zap_out_bias, &l.gate_weight, &l.gate_bias,
          &l.gate_query_norm, &l.gate_key_norm, &l.gate_base_key, &l.gate_offset})
      for (std::size_t i = 0; t->present() && i < t->size_bytes(); ++i)
        sum += static_cast<unsigned char>(t->as<std::byte>()[i]);
  return sum + d.cache_bytes();
}

/// True when it was refused; then in one line, and nothing changed.
bool refused(std::string const& file) {
  cache_dump out;
  out.model = "untouched";
  auto const message = kvsieve::tool::read_dump(file, {}, out);
  if (!message) {
    (void)touch(out);
    return false;
  }
  if (message->find('\n') != std::string::npos) FAIL("a message of two lines: " << *message);
  if (out.model != "untouched" || !out.layers.empty()) FAIL("changed by a refused file");
  return true;
}

std::size_t header_bytes(std::string const& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  return sizeof length + static_cast<std::size_t>(length);
}
}  // namespace

TEST_CASE("fuzz: 10,000 spoiled dumps", "[fuzz][dump]") {
  scratch const at;
  full_dump().write(at / "d");
  REQUIRE_FALSE(refused(at / "d"));
  auto const bytes = read_bytes(at / "d");
  auto const header = header_bytes(bytes);
  std::mt19937 engine{3};
  auto const below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>{0, n - 1}(engine); };
  int count = 0;
  for (int round = 0; round < 10000; ++round) {
    auto spoiled = bytes;
    if (round % 10 == 0)
      spoiled.resize(below(bytes.size()));
    else if (round % 10 == 1)
      spoiled.insert(below(bytes.size()), spoiled.substr(below(bytes.size()), 1 + below(64)));
    else
      for (std::size_t flips = 1 + below(3); flips > 0; --flips)
        spoiled[below(round % 2 == 0 ? header : bytes.size())] ^= static_cast<char>(1u << below(8));
    write_bytes(at / "bad", spoiled);
    count += refused(at / "bad") ? 1 : 0;
  }
  CHECK(count > 6000);
  CHECK(count < 10000);  // numbers, spaces
}

TEST_CASE("fuzz: metadata and shapes of dumps that say something else", "[fuzz][dump]") {
  scratch const at;
  std::mt19937 engine{4};
  auto const below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>{0, n - 1}(engine); };
  std::vector<std::string> const texts{"",
                                       "0",
                                       "-1",
                                       "1",
                                       "2",
                                       "3",
                                       "4",
                                       "2147483647",
                                       "2147483648",
                                       "-2147483648",
                                       "1e9",
                                       "nan",
                                       "0-3:2",
                                       "0-0:2",
                                       "3-0:1",
                                       "0-2:1,2-3:",
                                       "0-2:9999999999",
                                       ",",
                                       "1,0",
                                       "interleaved",
                                       "\xff\xfe",
                                       "9223372036854775807"};
  std::vector<std::int64_t> const extents{0, 1, 2, 3, 4, 5, 6, 8, 9};
  int count = 0;
  for (int round = 0; round < 1500; ++round) {
    auto dump = full_dump();
    for (std::size_t times = 1 + below(2); times > 0; --times) {
      if (below(2) == 0) {
        auto text = dump.metadata.begin();
        std::advance(text, static_cast<long>(below(dump.metadata.size())));
        if (below(8) == 0)
          dump.metadata.erase(text);
        else
          text->second = texts[below(texts.size())];
        continue;
      }
      auto& part = dump.parts[below(dump.parts.size())];
      if (below(8) == 0) {
        part.name += "x";
      } else if (below(8) == 0) {
        part.shape.push_back(1);
      } else if (!part.shape.empty()) {
        part.shape[below(part.shape.size())] = extents[below(extents.size())];
        std::int64_t size = 1;
        for (auto const n : part.shape) size *= n;
        part.numbers.resize(static_cast<std::size_t>(size));
      }
    }
    dump.write(at / "bad");
    count += refused(at / "bad") ? 1 : 0;
  }
  CHECK(count > 500);
  CHECK(count < 1500);
}

TEST_CASE("fuzz: 4,000 spoiled files of weights", "[fuzz][dump]") {
  scratch const at;
  auto const full = full_dump();
  full.write(at / "d");
  auto weights = full;
  weights.metadata.clear();
  std::erase_if(weights.parts, [](auto const& p) {
    return p.name.find("kv_zap") == std::string::npos && p.name.find("gate") == std::string::npos;
  });
  weights.write(at / "w");
  auto const bytes = read_bytes(at / "w");
  auto const header = header_bytes(bytes);
  cache_dump dump;
  REQUIRE(!kvsieve::tool::read_dump(at / "d", {}, dump));
  REQUIRE(!kvsieve::tool::read_weights(at / "w", dump));
  auto const before = touch(dump);
  std::mt19937 engine{5};
  auto const below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>{0, n - 1}(engine); };
  int count = 0;
  for (int round = 0; round < 4000; ++round) {
    auto spoiled = bytes;
    if (round % 10 == 0)
      spoiled.resize(below(bytes.size()));
    else
      for (std::size_t flips = 1 + below(3); flips > 0; --flips)
        spoiled[below(header)] ^= static_cast<char>(1u << below(8));
    write_bytes(at / "bad", spoiled);
    auto copy = dump;
    if (auto const message = kvsieve::tool::read_weights(at / "bad", copy)) {
      ++count;
      if (touch(copy) != before) FAIL("changed by a refused file");
      if (message->find('\n') != std::string::npos) FAIL("a message of two lines: " << *message);
    } else {
      (void)touch(copy);
    }
  }
  CHECK(count > 2500);
}
