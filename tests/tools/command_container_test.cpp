// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::program;
using kvsieve::test::read_bytes;
using kvsieve::test::with_dump;
using kvsieve::test::write_bytes;
using nlohmann::json;

TEST_CASE("program: compress --out, inspect and expand", "[tools][container]") {
  with_dump const at;
  auto const kvs = at / "x.kvs", out = at / "e.safetensors";
  program const compress{
      {"compress", at.dump, "--strategy", "streaming_llm", "--tokens", "8", "--out", kvs, "--scores"}};
  CAPTURE(compress.err);
  REQUIRE(compress.status == 0);
  CHECK_THAT(compress.out, ContainsSubstring("wrote " + kvs));

  program const text{{"inspect", kvs}};
  CHECK(text.status == 0);
  for (auto const* part :
       {"compressed cache, version 1", "strategy: streaming_llm", "next_position: 32", "8, 8", "f32"})
    CHECK_THAT(text.out, ContainsSubstring(part));
  auto const facts = json::parse(program{{"inspect", kvs, "--json"}}.out);
  CHECK(facts["kind"] == "compressed cache");
  REQUIRE(facts["layers"].size() == 2);
  CHECK(facts["layers"][1]["layer"] == 3);
  auto const part = facts["layers"][1]["parts"][0];
  CHECK(part["rows"] == json{8, 8});
  CHECK(part["bytes"]["keys"] == 2 * 8 * 64 * 4);
  CHECK(part["bytes"]["scores"] == 2 * 8 * 4);

  program const expand{{"expand", kvs, "--out", out}};
  CAPTURE(expand.err);
  REQUIRE(expand.status == 0);
  auto const tensors = json::parse(program{{"inspect", out, "--json"}}.out);
  CHECK(tensors["metadata"]["format"] == "kvsieve-expanded-1");
  CHECK(tensors["metadata"]["next_position"] == "32");
  CHECK(tensors["tensors"].size() == 6);
}

TEST_CASE("program: containers that cannot be read or written", "[tools][container]") {
  with_dump const at;
  auto const kvs = at / "x.kvs", out = at / "e.safetensors";
  REQUIRE(program{{"compress", at.dump, "--strategy", "random", "--keep", "0.5", "--out", kvs}}.status == 0);
  auto whole = read_bytes(kvs);
  whole[whole.size() / 2] = static_cast<char>(whole[whole.size() / 2] ^ 4);
  write_bytes(kvs, whole);
  for (std::vector<std::string> const& arguments :
       {std::vector<std::string>{"inspect", kvs}, {"expand", kvs, "--out", out}, {"expand", at.dump, "--out", out}}) {
    program const p{arguments};
    CHECK(p.status == 1);
    CHECK(p.out.empty());
    CHECK(std::count(p.err.begin(), p.err.end(), '\n') == 1);
  }
  CHECK_FALSE(std::filesystem::exists(out));
  CHECK_THAT(program({"expand", kvs}).err, ContainsSubstring("--out"));
  program const nowhere{{"compress", at.dump, "--strategy", "random", "--out", at / "none/x.kvs"}};
  CHECK(nowhere.status == 1);
  CHECK_THAT(nowhere.err, ContainsSubstring("cannot write"));
  CHECK(program({"compress", at.dump, "--strategy", "random", "--scores"}).status == 2);
}
