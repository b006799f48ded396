// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "safetensors.hpp"

#include <catch2/catch_all.hpp>

#include "scratch.hpp"

namespace st = kvsieve::tool::safetensors;
using Catch::Matchers::ContainsSubstring;
using kvsieve::test::read_bytes;
using kvsieve::test::safetensors_bytes;
using kvsieve::test::scratch;
using kvsieve::test::write_bytes;

namespace {

/// The message for a file of these bytes, or nothing.
std::string refusal(scratch const& at, std::string const& bytes) {
  write_bytes(at / "x.safetensors", bytes);
  kvsieve::tool::input_file file;
  if (auto failed = file.open(at / "x.safetensors")) return *failed;
  st::contents all;
  return st::read_contents(file, all).value_or("");
}

}  // namespace

TEST_CASE("safetensors: what was written reads back", "[tools][safetensors]") {
  scratch const at;
  std::vector<float> const a{1, 2, 3, 4, 5, 6};
  std::vector<std::int32_t> const b{7, 8};
  std::map<std::string, std::string> const metadata{{"format", "some"}, {"quote", "a \"b\" \\ \xc3\xa9"}};
  REQUIRE(!st::write(at / "x.safetensors",
                     {{"a", "F32", {2, 3}, std::as_bytes(std::span{a})},
                      {"b", "I32", {2}, std::as_bytes(std::span{b})},
                      {"none", "F16", {0, 5}, {}},
                      {"scalar", "F32", {}, std::as_bytes(std::span{a}).first(4)}},
                     metadata));
  kvsieve::tool::input_file file;
  REQUIRE(!file.open(at / "x.safetensors"));
  st::contents all;
  REQUIRE(!st::read_contents(file, all));
  CHECK(all.metadata == metadata);
  CHECK(all.data_offset % 64 == 0);
  REQUIRE(all.entries.size() == 4);
  REQUIRE(all.find("a") != nullptr);
  CHECK(all.find("a")->shape == std::vector<std::int64_t>{2, 3});
  CHECK(all.find("missing") == nullptr);
  std::shared_ptr<std::byte const> bytes;
  REQUIRE(!st::read_tensor(file, all, *all.find("a"), bytes));
  CHECK(std::memcmp(bytes.get(), a.data(), sizeof(float) * a.size()) == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(bytes.get()) % 64 == 0);
  CHECK(at.files() == 1);
}

TEST_CASE("safetensors: a hostile file is refused with one line", "[tools][safetensors]") {
  scratch const at;
  auto const one = [](std::string const& fields) { return "{\"t\":{" + fields + "}}"; };
  auto const fine = std::string{R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"};
  auto const with_length = [](std::uint64_t length, std::string const& rest) {
    std::string out(8, '\0');
    std::memcpy(out.data(), &length, 8);
    return out + rest;
  };
  struct hostile {
    std::string what, bytes, message;
  };
  auto const cases = std::vector<hostile>{
      {"empty", "", "0 bytes"},
      {"seven bytes", "1234567", "7 bytes"},
      {"header past the end", with_length(100, "{}"), "header length 100 is more than the 2 bytes"},
      {"header over the limit", with_length(std::uint64_t{1} << 40, "{}"), "1099511627776 is more than the limit"},
      {"header length of all ones", with_length(~std::uint64_t{0}, "{}"), "18446744073709551615"},
      {"no header", with_length(0, ""), "does not begin with '{'"},
      {"blank before the brace", safetensors_bytes(" {}", 0), "does not begin with '{'"},
      {"cut JSON", safetensors_bytes("{\"t\":", 0), "not valid JSON"},
      {"text after the JSON", safetensors_bytes("{} x", 0), "not valid JSON"},
      {"NUL after the JSON", safetensors_bytes(std::string{"{}\0", 3}, 0), "a NUL byte at offset 2"},
      {"not UTF-8", safetensors_bytes("{\"\xff\":1}", 0), "not valid JSON"},
      {"deep nesting", safetensors_bytes("{\"t\":" + std::string(100000, '[') + "", 0), "nested deeper"},
      {"tensor is a list", safetensors_bytes("{\"t\":[]}", 0), "\"t\": a JSON array where an object"},
      {"metadata is a list", safetensors_bytes("{\"__metadata__\":[]}", 0), "__metadata__: a JSON array"},
      {"metadata number", safetensors_bytes("{\"__metadata__\":{\"a\":1}}", 0), "\"a\" is a JSON number"},
      {"empty name", safetensors_bytes("{\"\":{" + fine + "}}", 8), "an empty name"},
      {"NUL in a name", safetensors_bytes("{\"a\\u0000b\":{" + fine + "}}", 8), "control character"},
      {"name twice", safetensors_bytes("{\"t\":{" + fine + "},\"t\":{" + fine + "}}", 8), "\"t\" occurs twice"},
      {"field twice", safetensors_bytes(one(R"("dtype":"F32",)" + fine), 8), "\"dtype\" occurs twice"},
      {"no dtype", safetensors_bytes(one(R"("shape":[2],"data_offsets":[0,8])"), 8), "dtype is missing"},
      {"no shape", safetensors_bytes(one(R"("dtype":"F32","data_offsets":[0,8])"), 8), "shape is missing"},
      {"no offsets", safetensors_bytes(one(R"("dtype":"F32","shape":[2])"), 8), "data_offsets is missing"},
      {"unknown field", safetensors_bytes(one(fine + R"(,"x":1)"), 8), "4 fields"},
      {"dtype is a number", safetensors_bytes(one(R"("dtype":3,"shape":[2],"data_offsets":[0,8])"), 8), "not a string"},
      {"unknown dtype", safetensors_bytes(one(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"), 8),
       "\"F31\" is unknown"},
      {"shape is text", safetensors_bytes(one(R"("dtype":"F32","shape":"2","data_offsets":[0,8])"), 8), "not an array"},
      {"negative extent", safetensors_bytes(one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), 8), "holds -2"},
      {"broken extent", safetensors_bytes(one(R"("dtype":"F32","shape":[2.5],"data_offsets":[0,8])"), 8), "holds 2.5"},
      {"extent over 2^63",
       safetensors_bytes(one(R"("dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8])"), 8),
       "holds 9223372036854775808"},
      {"product over 2^64",
       safetensors_bytes(one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])"), 0), "overflows"},
      {"bytes over 2^64",
       safetensors_bytes(one(R"("dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0])"), 0), "overflows"},
      {"seventeen axes",
       safetensors_bytes(one(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), 4),
       "17 axes"},
      {"one offset", safetensors_bytes(one(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), 8), "not a pair"},
      {"negative offset", safetensors_bytes(one(R"("dtype":"F32","shape":[2],"data_offsets":[-8,0])"), 8),
       "not a pair"},
      {"offsets reversed", safetensors_bytes(one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), 8),
       "begin 8 is after end 0"},
      {"offsets past the end", safetensors_bytes(one(fine), 7), "end 8 is beyond the 7 bytes"},
      {"shape larger than its bytes", safetensors_bytes(one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), 8),
       "span 8 bytes, shape [3] of F32 needs 12"},
      {"hole at the front", safetensors_bytes(one(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), 8),
       "leaves a hole"},
      {"hole at the end", safetensors_bytes(one(fine), 12), "end at byte 8, the file holds 12"},
      {"overlap",
       safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                         R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                         12),
       "\"b\": data_offsets begin 4 overlaps"},
  };
  for (auto const& [what, bytes, expected] : cases) {
    CAPTURE(what);
    auto const message = refusal(at, bytes);
    CHECK_THAT(message, ContainsSubstring(expected));
    CHECK(message.find('\n') == std::string::npos);
  }
  CHECK(refusal(at, safetensors_bytes(one(fine), 8)).empty());
  CHECK(refusal(at, safetensors_bytes("{}   ", 0)).empty());
}

TEST_CASE("safetensors: files that are none", "[tools][safetensors]") {
  scratch const at;
  kvsieve::tool::input_file missing, folder;
  CHECK_THAT(missing.open(at / "missing").value_or(""), ContainsSubstring("cannot open"));
  CHECK_THAT(folder.open(at.folder).value_or(""), ContainsSubstring("not a regular file"));
}

TEST_CASE("safetensors: a refused write leaves nothing behind", "[tools][safetensors]") {
  scratch const at;
  std::vector<float> const a{1, 2};
  auto const bytes = std::as_bytes(std::span{a});
  CHECK_THAT(st::write(at / "x", {{"a", "F32", {3}, bytes}}, {}).value_or(""), ContainsSubstring("needs 12"));
  CHECK_THAT(st::write(at / "x", {{"a", "F32", {2}, bytes}, {"a", "F32", {2}, bytes}}, {}).value_or(""),
             ContainsSubstring("\"a\" is to be written twice"));
  CHECK_THAT(st::write(at / "none/x", {{"a", "F32", {2}, bytes}}, {}).value_or(""), ContainsSubstring("cannot write"));
  kvsieve::test::fs::create_directory(at.folder / "folder");
  CHECK_THAT(st::write(at / "folder", {{"a", "F32", {2}, bytes}}, {}).value_or(""),
             ContainsSubstring("not a regular file"));
  CHECK_THAT(kvsieve::tool::write_file("/dev/null", "text").value_or(""), ContainsSubstring("not a regular file"));
  CHECK(at.files() == 1);

  write_bytes(at / "old", "before");
  kvsieve::test::fs::create_symlink("old", at.folder / "link");
  REQUIRE(!kvsieve::tool::write_file(at / "link", "after"));
  CHECK(read_bytes(at / "old") == "after");
  CHECK(kvsieve::test::fs::is_symlink(at.folder / "link"));
}

TEST_CASE("safetensors: spoiled bytes are refused or harmless", "[tools][safetensors]") {
  scratch const at;
  std::string bytes;
  {
    kvsieve::test::small_dump const dump;
    dump.write(at / "good");
    bytes = read_bytes(at / "good");
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  auto const header = sizeof length + static_cast<std::size_t>(length);
  std::mt19937 engine{20};
  auto const below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>{0, n - 1}(engine); };
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    auto spoiled = bytes;
    if (round % 4 == 0) {
      spoiled.resize(below(bytes.size()));
    } else {
      // The header is where a flip means something; the data may hold any bits.
      for (std::size_t flips = 1 + below(3); flips > 0; --flips)
        spoiled[below(round % 4 == 1 ? bytes.size() : header)] ^= static_cast<char>(1u << below(8));
    }
    write_bytes(at / "bad", spoiled);
    kvsieve::tool::cache_dump dump;
    auto const message = kvsieve::tool::read_dump(at / "bad", {}, dump);
    if (message) {
      ++refused;
      CHECK(dump.layers.empty());
      CHECK(message->find('\n') == std::string::npos);
    } else {
      for (auto const& l : dump.layers) CHECK(l.keys.size_bytes() == 2 * 32 * 64 * 4);
    }
  }
  CHECK(refused > 1000);
}
