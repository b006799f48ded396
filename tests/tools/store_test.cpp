// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What kept rows are stored in, chosen on the command line.
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "scratch.hpp"
#include "storage.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::program;
using kvsieve::test::with_dump;
using nlohmann::json;

namespace {
json report(with_dump const& at, std::vector<std::string> const& more) {
  std::vector<std::string> arguments{"compress", at.dump, "--strategy", "random", "--keep", "0.5", "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  program const p{arguments};
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  return json::parse(p.out);
}
double mean_error(json const& of) { return of.at("error").at("mean").get<double>(); }
}  // namespace

TEST_CASE("compress: kept rows in every storage", "[tools][store]") {
  with_dump const at;  // 2 layers of 2 KV heads, 64 channels in f32; 16 of 32 tokens stay
  auto const dense = report(at, {});
  CHECK(dense == [&] {
    auto same = report(at, {"--store", "dense"});
    same["seconds"] = dense["seconds"];
    same["seconds_per_million_tokens"] = dense["seconds_per_million_tokens"];
    return same;
  }());
  for (auto const& s : kvsieve::tool::storages()) {
    CAPTURE(s.name);
    auto const stored = report(at, {"--store", s.name});
    CHECK(stored.at("layers")[0].at("kept") == dense.at("layers")[0].at("kept"));
    CHECK(stored.at("bytes_after").get<int>() <= dense.at("bytes_after").get<int>() + 2 * 3 * 8);
    if (s.name == "q8_0") {
      CHECK(stored.at("bytes_after") == 2 * (2 * 16 * (68 + 68) + 3 * 8));  // rows of two blocks, offsets of two heads
      CHECK(mean_error(stored) < mean_error(dense) + 0.05);
    }
    if (s.name == "q4_0") CHECK(stored.at("bytes_after") == 2 * (2 * 16 * (36 + 36) + 3 * 8));
    if (s.name == "bitmap50") CHECK(stored.at("bytes_after") == 2 * (2 * 16 * 2 * (8 + 64) + 3 * 8));
    // 48 and 32 entries of four heads together: with their sizes, 30, 40 and 30 % of the bytes
    if (s.name == "levels") CHECK(stored.at("bytes_after").get<int>() < 2 * 2 * 16 * (52 + 36) + 3 * 2 * 3 * 8);
  }
}

TEST_CASE("compress: stored rows go into a container and come back", "[tools][store]") {
  with_dump const at;
  for (auto const& s : kvsieve::tool::storages()) {
    CAPTURE(s.name);
    auto const kvs = at / (s.name + ".kvs"), out = at / (s.name + ".safetensors");
    auto const stored = report(at, {"--store", s.name, "--out", kvs});
    auto const facts = json::parse(program{{"inspect", kvs, "--json"}}.out);
    REQUIRE(facts["layers"].size() == 2);
    int rows = 0, bytes = 0;
    for (auto const& layer : facts["layers"])
      for (auto const& part : layer["parts"]) {
        for (int const n : part["rows"]) rows += n;
        bytes += part["bytes"]["keys"].get<int>() + part["bytes"]["values"].get<int>();
      }
    CHECK(rows == 2 * 2 * 16);
    CHECK(bytes <= stored.at("bytes_after").get<int>());
    CHECK(bytes >= stored.at("bytes_after").get<int>() - 3 * 2 * 3 * 8);  // tables of offsets
    program const expand{{"expand", kvs, "--out", out}};
    CAPTURE(expand.err);
    CHECK(expand.status == 0);
  }
  // Merged rows and their biases too.
  auto const kvs = at / "merged.kvs";
  (void)report(at, {"--evict", "merge_nearest", "--store", "levels", "--out", kvs});
  auto const facts = json::parse(program{{"inspect", kvs, "--json"}}.out);
  CHECK(facts["layers"][0]["parts"].size() == 3);
  CHECK(facts["layers"][0]["parts"][0]["bytes"]["bias"].get<int>() > 0);
}

TEST_CASE("compare: storages beside each other; names that are none are refused", "[tools][store]") {
  with_dump const at;
  auto const rows = json::parse(
      program{{"compare", at.dump, "--strategies", "random", "--keeps", "0.5", "--stores", "dense,q4_0", "--json"}}
          .out)["rows"];
  REQUIRE(rows.size() == 2);
  CHECK(rows[0]["store"] == "dense");
  CHECK(rows[1]["store"] == "q4_0");
  CHECK(rows[1]["bytes_after"].get<int>() < rows[0]["bytes_after"].get<int>() / 4);
  program const wrong{{"compress", at.dump, "--strategy", "random", "--store", "q9"}};
  CHECK(wrong.status == 2);
  CHECK_THAT(wrong.err, ContainsSubstring("q9") && ContainsSubstring("kivi2"));
  CHECK(program({"compare", at.dump, "--strategies", "random", "--stores", "q4_0,q4_0"}).status == 2);
}
