// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What kept rows are stored in, chosen on the command line.
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include <cmath>
#include <numeric>

#include "scratch.hpp"
#include "storage.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::compress_report;
using kvsieve::test::mean_error;
using kvsieve::test::program;
using kvsieve::test::with_dump;
using nlohmann::json;

namespace {
/// Masks of channels that keep all, beside a dump.
void write_masks(std::string const& file) {
  kvsieve::test::small_dump masks;
  masks.metadata.clear();
  masks.parts.clear();
  for (std::string const layer : {"layers.1.", "layers.3."})
    masks.parts.push_back({layer + "lean_k.mask", "F32", {2, 64}, std::vector<float>(128, 1.0f)});
  masks.write(file);
}
/// What `compress` reports of every second token.
json report(with_dump const& at, std::vector<std::string> const& more) {
  write_masks(at / "masks");
  return compress_report(at, {"--strategy", "random", "--keep", "0.5", "--weights", at / "masks"}, more);
}
/// A dump of so many tokens, of which 64 have queries, and one without these.
struct scratch_dump : kvsieve::test::scratch {
  std::string dump = *this / "d.safetensors";
  std::vector<float> queries;  ///< of the first layer

  explicit scratch_dump(int tokens) {
    kvsieve::test::small_dump made;
    made.parts.clear();
    made.metadata["tokens"] = std::to_string(tokens);
    std::mt19937 engine{11};
    std::normal_distribution<float> normal;
    for (std::string const layer : {"1", "3"})
      for (auto const& [name, heads, rows] : {std::tuple{"q", 4, 64}, {"k", 2, tokens}, {"v", 2, tokens}}) {
        kvsieve::test::small_dump::part p{"layers." + layer + "." + name, "F32", {heads, rows, 64}, {}};
        for (int i = 0; i < heads * rows * 64; ++i) p.numbers.push_back(normal(engine));
        made.parts.push_back(std::move(p));
      }
    queries = made.parts[0].numbers;
    made.write(dump);
    write_masks(*this / "masks");
    std::erase_if(made.parts, [](auto const& p) { return p.name.ends_with(".q"); });
    made.write(*this / "without_queries");
  }
  [[nodiscard]] json report(std::vector<std::string> const& more) const {
    std::vector<std::string> arguments{"compress", dump,        "--strategy",   "key_norm",
                                       "--json",   "--weights", *this / "masks"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    program const p{arguments};
    CAPTURE(p.err);
    REQUIRE(p.status == 0);
    return json::parse(p.out);
  }
  /// Keys of a layer of a file, the first one unless another is said.
  [[nodiscard]] static std::vector<float> keys(std::string const& file, std::string const& name = "layers.1.k") {
    kvsieve::tool::input_file in;
    if (auto const failed = in.open(file)) FAIL(*failed);
    kvsieve::tool::safetensors::contents all;
    if (auto const failed = kvsieve::tool::safetensors::read_contents(in, all)) FAIL(*failed);
    auto const* const e = all.find(name);
    REQUIRE(e != nullptr);
    std::vector<float> out(e->size_bytes() / sizeof(float));
    if (auto const failed = in.read(all.data_offset + e->begin, std::as_writable_bytes(std::span{out}))) FAIL(*failed);
    return out;
  }
};
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
    // 16 of 32 rows lie in the window of 32 that stays as it was, so nothing is left to hold half of.
    if (s.name == "think50" || s.name == "lean_k")
      CHECK(stored.at("bytes_after") == dense.at("bytes_after").get<int>() + 2 * 3 * 8);
    // Half of the tokens, in the levels of 1.2 to 3 bits a number: less than if all were in 6 and 5 bits.
    if (s.name == "levels") CHECK(stored.at("bytes_after").get<int>() < 2 * 2 * 16 * (52 + 44) + 3 * 2 * 3 * 8);
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

TEST_CASE("compress: think50 holds half of the channels of keys behind the last 32 rows", "[tools][store]") {
  scratch_dump const at{96};  // tokens of 2 layers of 2 KV heads, 64 channels in f32
  auto const kvs = at / "x.kvs", out = at / "e.safetensors";
  auto const stored = at.report({"--keep", "1", "--store", "think50", "--out", kvs});
  // 64 rows of 32 + 64 numbers and 32 of 64 + 64, masks of a word a head, offsets of two parts
  CHECK(stored.at("bytes_after") == 2 * (2 * (64 * 96 * 4 + 32 * 128 * 4) + 2 * 8 + 2 * 3 * 8));
  auto const facts = json::parse(program{{"inspect", kvs, "--json"}}.out);
  CHECK(facts["version"] == 2);
  auto const parts = facts["layers"][1]["parts"];
  REQUIRE(parts.size() == 2);
  CHECK(parts[0]["keys"]["name"] == "kept_f32");
  CHECK(parts[0]["bytes"]["channels"] == 2 * 8);
  CHECK(parts[1]["keys"]["name"] == "f32");
  CHECK(parts[1]["bytes"]["channels"] == 0);
  program const expand{{"expand", kvs, "--out", out}};
  CAPTURE(expand.err);
  REQUIRE(expand.status == 0);
  // What stays is as it was; a row holds 32 channels, the same ones in all rows of a head but the last 32, which hold
  // all, and these are the ones of the largest product of the sums of squares.
  auto const before = at.keys(at.dump), after = at.keys(out);
  REQUIRE(before.size() == after.size());
  for (std::size_t h = 0; h < 2; ++h) {
    std::vector<double> weight(64, 0.0), squares(64, 0.0);
    for (std::size_t q = 2 * h; q < 2 * h + 2; ++q)
      for (std::size_t i = q * 64; i < (q + 1) * 64; ++i)
        for (std::size_t d = 0; i % 64 >= 32 && d < 64; ++d) weight[d] += std::pow(at.queries[i * 64 + d], 2);
    for (std::size_t t = 0; t < 96; ++t)
      for (std::size_t d = 0; d < 64; ++d) squares[d] += std::pow(before[(h * 96 + t) * 64 + d], 2);
    std::vector<std::size_t> order(64);
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return weight[a] * squares[a] > weight[b] * squares[b]; });
    for (std::size_t place = 0; place < 64; ++place)
      for (std::size_t t = 0; t < 96; ++t) {
        auto const i = (h * 96 + t) * 64 + order[place];
        if (after[i] != (t < 64 && place >= 32 ? 0.0f : before[i])) FAIL("head " << h << ", token " << t);
      }
  }
  // Without queries nothing tells which channels matter.
  program const blind{{"compress", at / "without_queries", "--strategy", "key_norm", "--store", "think50"}};
  CHECK(blind.status == 1);
  CHECK_THAT(blind.err, ContainsSubstring("layers.1.q is missing, and think50 reads queries"));
}

TEST_CASE("compress: a number of bytes is filled by any storage, tables counted", "[tools][store]") {
  scratch_dump const at{96};
  int const cache = 2 * 2 * 96 * 512;
  for (auto const& s : kvsieve::tool::storages()) {
    if (s.name == "dense") continue;
    int before = 0;
    for (int const bytes : {1000, 5000, 12000, 20000, 50000, cache})
      for (std::string const budget : {"over_all", "bytes"}) {
        CAPTURE(s.name, bytes, budget);
        auto const kvs = at / "x.kvs";
        auto const stored =
            at.report({"--bytes", std::to_string(bytes), "--budget", budget, "--store", s.name, "--out", kvs});
        int const after = stored.at("bytes_after").get<int>();
        CHECK(after <= bytes);
        // Every byte of keys and values is in the file, and the tables are what else there is.
        auto const facts = json::parse(program{{"inspect", kvs, "--json"}}.out);
        int held = 0, parts = 0, rows = 0, masks = 0;
        for (auto const& layer : facts["layers"])
          for (auto const& part : layer["parts"]) {
            held += part["bytes"]["keys"].get<int>() + part["bytes"]["values"].get<int>();
            masks += part["bytes"]["channels"].get<int>();
            parts += 1;
            for (int const n : part["rows"]) rows += n;
          }
        CHECK(after == held + masks + parts * 3 * 8);
        if (budget != "over_all") continue;
        CHECK(rows >= before);  // more bytes, more rows
        before = rows;
        // One more row would not fit, but where heads have rows that stay as they were.
        bool const filled =
            s.name.starts_with("kivi") || s.name == "think50" || s.name == "lean_k" || rows == 2 * 2 * 96;
        if (!filled) CHECK(after > bytes - 3 * 180);
      }
  }
  // Shares of the cache are bytes too.
  auto const share = at.report({"--bytes", "10%", "--budget", "over_all", "--store", "levels"});
  CHECK(share.at("bytes_after").get<int>() <= cache / 10);
  CHECK(share.at("bytes_after").get<int>() > cache / 10 - 3 * 90);
  // Where everything fits, the last level gives way to the first ones.
  auto const all = at.report({"--bytes", "100%", "--budget", "over_all", "--store", "levels", "--out", at / "x.kvs"});
  CHECK(all.at("layers")[0].at("kept") == json({96, 96}));
  auto const parts = json::parse(program{{"inspect", at / "x.kvs", "--json"}}.out)["layers"][0]["parts"];
  CHECK(parts[0]["rows"] == json({96, 96}));
  CHECK(parts[2]["rows"] == json({0, 0}));
  // Rows that may get a bias need a byte more each.
  auto const merged =
      at.report({"--bytes", "20000", "--budget", "over_all", "--evict", "merge_nearest", "--store", "levels"});
  CHECK(merged.at("bytes_after").get<int>() <= 20000);
  CHECK(merged.at("bytes_after").get<int>() > 20000 - 1000);
  auto const wrong = [&](std::string const& bytes, std::string const& said) {
    program const p{{"compress", at.dump, "--strategy", "key_norm", "--budget", "over_all", "--bytes", bytes}};
    CHECK(p.status == 2);
    CHECK_THAT(p.err, ContainsSubstring(said));
  };
  wrong("ten", "--bytes is 'ten', not a number of bytes or a share like 10%");
  wrong("101%", "--bytes is 101%, more than 100%");
  wrong("1.5", "--bytes is 1.5, not a whole number");
  program const few{
      {"compress", at.dump, "--strategy", "key_norm", "--budget", "over_all", "--bytes", "100", "--store", "levels"}};
  CHECK(few.status == 1);
  CHECK_THAT(few.err, ContainsSubstring("--bytes is 100, less than what these rows take in levels, 144"));
}

TEST_CASE("compare: storages at shares of the bytes", "[tools][store]") {
  scratch_dump const at{96};
  program const p{{"compare", at.dump, "--strategies", "key_norm,snap_kv", "--budget", "over_all", "--bytes",
                   "5%,19660,20%", "--stores", "q8_0,levels", "--html", at / "r.html", "--csv", at / "r.csv",
                   "--json"}};
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  auto const rows = json::parse(p.out)["rows"];
  REQUIRE(rows.size() == 2 * 2 * 3);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto const& r = rows[i];
    CHECK(r["bytes_share"].get<double>() == (i % 3 == 0 ? 0.2 : i % 3 == 1 ? 19660.0 / 196608 : 0.05));
    CHECK(r["bytes_after"].get<double>() <= r["bytes_share"].get<double>() * 196608);
  }
  CHECK_THAT(kvsieve::test::read_bytes(at / "r.csv"), Catch::Matchers::StartsWith("strategy,bytes_share,"));
  CHECK_THAT(kvsieve::test::read_bytes(at / "r.html"), ContainsSubstring("\"by_bytes\":true"));
  program const table{{"compare", at.dump, "--strategies", "key_norm,h2o", "--bytes", "10%", "--stores", "levels"}};
  CHECK(table.status == 1);  // budgets of their own take no bytes
  CHECK_THAT(table.out, ContainsSubstring("10.0 %") && ContainsSubstring("--bytes: this budget takes none"));
  for (auto const& [bytes, said] :
       {std::pair{"10%,10%", "names 10% twice"}, {"x", "holds 'x', not a number"}, {",", "'"}}) {
    program const wrong{{"compare", at.dump, "--bytes", bytes}};
    CHECK(wrong.status == 2);
    CHECK_THAT(wrong.err, ContainsSubstring(said));
  }
  CHECK(program({"compare", at.dump, "--bytes", "10%", "--keeps", "0.5"}).status == 2);
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
