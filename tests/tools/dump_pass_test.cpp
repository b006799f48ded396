// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Dumps with a pass behind the cache: mixed queries, graded and its refit, and passes that are wrong.
#include <algorithm>
#include <cmath>
#include <kvsieve/reference/query_sets.hpp>

#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::draw;
using kvsieve::test::program;
using kvsieve::test::read_bytes;
using kvsieve::test::scratch;
using kvsieve::test::small_dump;
using nlohmann::json;

namespace {
/// A small dump with a pass of 10 queries in two chunks.
small_dump with_pass() {
  small_dump d;
  d.metadata["pass_chunks"] = "4-20:6,20-32:4";
  for (std::string const layer : {"layers.1.", "layers.3."}) {
    d.parts.push_back({layer + "pass_k", "F32", {2, 10, 64}, draw(2 * 10 * 64, 1, 3)});
    d.parts.push_back({layer + "pass_q", "F32", {4, 10, 64}, draw(4 * 10 * 64, 1, 4)});
  }
  return d;
}
}  // namespace

TEST_CASE("dump with a pass: graded is mixed queries, merging and levels under one name", "[tools][dump]") {
  scratch const at;
  with_pass().write(at / "d");
  auto const report = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"compress", at / "d", "--bytes", "12%", "--json"});
    program const p{more};
    CAPTURE(p.err);
    REQUIRE(p.status == 0);
    return json::parse(p.out);
  };
  auto const one = report({"--strategy", "graded"});
  auto const parts = report({"--strategy", "mixed_queries", "--evict", "merge_nearest", "--store", "levels"});
  CHECK(one.at("bytes_after") == parts.at("bytes_after"));
  CHECK(one.at("error") == parts.at("error"));
  CHECK(one.at("layers") == parts.at("layers"));
  // Its parts can be replaced like those of any other.
  auto const dense = report({"--strategy", "graded", "--evict", "compact", "--store", "dense"});
  CHECK(dense.at("error") == report({"--strategy", "mixed_queries"}).at("error"));
  // In a comparison it is stored in its own form where none is asked for.
  program const p{{"compare", at / "d", "--strategies", "graded,mixed_queries", "--bytes", "12%", "--json"}};
  REQUIRE(p.status == 0);
  auto const rows = json::parse(p.out)["rows"];
  CHECK(rows[0]["store"] == "levels");
  CHECK(rows[0]["bytes_after"] == one.at("bytes_after"));
  CHECK_FALSE(rows[1].contains("store"));
}

TEST_CASE("dump with a pass: values are refitted to it, chunk by chunk, where it has values", "[tools][dump]") {
  scratch const at;
  auto d = with_pass();
  d.write(at / "without");
  std::vector<std::string> how{"--strategy", "graded", "--bytes", "12%", "--refit", "0.1"};
  auto const with = [&](char const* file) {
    auto all = how;
    all.insert(all.begin(), {"compress", at / file});
    return all;
  };
  program const missing{with("without")};
  CHECK(missing.status == 1);
  CHECK_THAT(missing.err, ContainsSubstring("layers.1.pass_v is missing, and --refit reads it"));
  how.resize(4);
  program const unfitted{with("without")};
  CHECK(unfitted.status == 0);
  CHECK_THAT(unfitted.out, ContainsSubstring("values are not refitted: the pass of this dump has none (pass_v)"));
  for (std::string const layer : {"layers.1.", "layers.3."})
    d.parts.push_back({layer + "pass_v", "F32", {2, 10, 64}, draw(2 * 10 * 64, 1, 5)});
  d.write(at / "d");
  how.push_back("--json");
  auto const errors = [&] {
    program const p{with("d")};
    CAPTURE(p.err);
    REQUIRE(p.status == 0);
    return json::parse(p.out).at("error");
  };
  auto const own = errors();  // graded's own ridge
  how.insert(how.end(), {"--refit", "0.1"});
  CHECK(errors() == own);
  how.back() = "0";
  CHECK(errors() != own);
  how.pop_back();
  how.pop_back();
  // Values of a pass without its keys, or of another length, are refused.
  auto short_of = d;
  short_of["layers.3.pass_v"].shape = {2, 9, 64};
  short_of["layers.3.pass_v"].numbers.resize(2 * 9 * 64);
  short_of.write(at / "short");
  CHECK_THAT((program{with("short")}.err), ContainsSubstring("layers.3.pass_v"));
  auto lone = d;
  std::erase_if(lone.parts, [](auto const& p) { return p.name.ends_with("pass_k") || p.name.ends_with("pass_q"); });
  lone.write(at / "lone");
  CHECK_THAT((program{with("lone")}.err), ContainsSubstring("pass_k\" is missing"));
}

TEST_CASE("dump with a pass: mixed_queries is the root of seven tenths of the pass and three of the last window",
          "[tools][dump]") {
  scratch const at;
  auto d = with_pass();
  d.write(at / "d");
  program const p{{"score", at / "d", "--strategy", "mixed_queries", "--out", at / "s"}};
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  kvsieve::tool::input_file file;
  kvsieve::tool::safetensors::contents contents;
  REQUIRE(!file.open(at / "s"));
  REQUIRE(!kvsieve::tool::safetensors::read_contents(file, contents));
  std::vector<kvsieve::query_set> const sets{{6, 1, 32, 4, 4, 20}, {4, 1, 38, 4, 20, 32}, {16, 1, 16}};
  for (std::string const layer : {"layers.1.", "layers.3."}) {
    std::shared_ptr<std::byte const> bytes;
    REQUIRE(!kvsieve::tool::safetensors::read_tensor(file, contents, *contents.find(layer + "score"), bytes));
    auto const* const got = reinterpret_cast<float const*>(bytes.get());
    auto const put = [&](std::string const& front, std::string const& behind, std::size_t heads) {
      auto const &a = d[layer + front].numbers, &b = d[layer + behind].numbers;
      std::vector<float> all;
      for (std::size_t h = 0; h < heads; ++h)
        for (auto const* const part : {&a, &b}) {
          auto const first = part->begin() + static_cast<std::ptrdiff_t>(h * part->size() / heads);
          all.insert(all.end(), first, first + static_cast<std::ptrdiff_t>(part->size() / heads));
        }
      return all;
    };
    auto const keys = put("k", "pass_k", 2), queries = put("pass_q", "q", 4);
    for (int h = 0; h < 2; ++h) {
      std::vector<double> want(32);
      for (int g = 0; g < 2; ++g) {
        auto const rows = kvsieve::reference::rows_of_sets(kvsieve::make_rows<64>(queries.data(), 4, 26), 2 * h + g,
                                                           kvsieve::make_rows<64>(keys.data(), 2, 42), h,
                                                           std::span(sets), 32, true, 0.0);
        for (int t = 0; t < 32; ++t) {
          double pass = 0, last = 0;
          for (int i = 0; i < 26; ++i) {
            double const x = rows.number[static_cast<std::size_t>(i * rows.tokens + t)];
            (i < 10 ? pass : last) += x * x;
          }
          want[static_cast<std::size_t>(t)] += std::sqrt(0.7 * pass / 10 + 0.3 * last / 16) / 2;
        }
      }
      for (std::size_t t = 0; t < 32; ++t)
        CHECK(static_cast<double>(got[static_cast<std::size_t>(h) * 32 + t]) == Catch::Approx(want[t]).epsilon(1e-5));
    }
  }
}

TEST_CASE("dump: a wrong pass is refused, naming the argument and both values", "[tools][dump]") {
  scratch const at;
  auto const refusal = [&](auto const& spoil) {
    auto d = with_pass();
    spoil(d);
    d.write(at / "d");
    kvsieve::tool::cache_dump out;
    return kvsieve::tool::read_dump(at / "d", {}, out).value_or("");
  };
  auto const chunks = [&](std::string const& text) {
    return refusal([&](small_dump& d) { d.metadata["pass_chunks"] = text; });
  };
  CHECK(refusal([](small_dump&) {}).empty());
  CHECK_THAT(chunks("4-20"), ContainsSubstring("\"4-20\", from-to:queries is needed"));
  CHECK_THAT(chunks("4:20-6"), ContainsSubstring("from-to:queries is needed"));
  CHECK_THAT(chunks(""), ContainsSubstring("from-to:queries is needed"));
  CHECK_THAT(chunks("4-x:10"), ContainsSubstring("\"x\", not a number"));
  CHECK_THAT(chunks("20-20:10"), ContainsSubstring("pass_chunks is 20, less than 21"));
  CHECK_THAT(chunks("4-33:10"), ContainsSubstring("ends at 33, tokens is 32"));
  CHECK_THAT(chunks("4-32:0"), ContainsSubstring("pass_chunks is 0, less than 1"));
  CHECK_THAT(chunks("4-32:2147483647"), ContainsSubstring("more than 16777216"));
  CHECK_THAT(chunks("4-32:9"), ContainsSubstring("[2, 10, 64] does not fit the metadata, which needs [2, 9, 64]"));
  CHECK_THAT(refusal([](small_dump& d) { d.metadata.erase("pass_chunks"); }),
             ContainsSubstring("pass_chunks is missing, tensor \"layers.1.pass_k\" is there"));
  CHECK_THAT(refusal([](small_dump& d) { d["layers.3.pass_q"].name = "other"; }),
             ContainsSubstring("\"layers.3.pass_q\" is missing, the other of the pass is there"));
}
