// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Dumps that hold more than a cache and its last queries: the output projection, hidden states and their network, a
// pass behind the cache.
#include <kvsieve/reference/kv_zap.hpp>
#include <kvsieve/reference/query_sets.hpp>

#include "../golden_sets/golden.hpp"
#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::program;
using kvsieve::test::read_bytes;
using kvsieve::test::scratch;
using kvsieve::test::small_dump;
using nlohmann::json;

namespace {

std::vector<float> draw(std::size_t size, float scale, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> all(size);
  for (float& x : all) x = scale * normal(random);
  return all;
}
/// Heads' rows `tokens` of a tensor [heads, N, 64].
std::vector<float> rows_of(kvsieve::tool::tensor const& t, std::vector<int> const& tokens) {
  std::vector<float> out;
  for (std::int64_t h = 0; h < t.shape[0]; ++h)
    for (int const token : tokens) {
      auto const* const row = t.as<float>() + (h * t.shape[1] + token) * 64;
      out.insert(out.end(), row, row + 64);
    }
  return out;
}
std::vector<int> range(int from, int to) {
  std::vector<int> all;
  for (int t = from; t < to; ++t) all.push_back(t);
  return all;
}
/// A dump of layer 9 of the real cache, its first `tokens`.
small_dump real_dump(kvsieve::tool::dump_layer const& l, int tokens) {
  small_dump d;
  d.metadata["num_layers"] = "30";
  d.metadata["layers"] = "9";
  d.metadata["num_query_heads"] = "9";
  d.metadata["num_kv_heads"] = "3";
  d.metadata["tokens"] = std::to_string(tokens);
  d.parts = {{"layers.9.k", "F32", {3, tokens, 64}, rows_of(l.keys, range(0, tokens))},
             {"layers.9.v", "F32", {3, tokens, 64}, rows_of(l.values, range(0, tokens))}};
  return d;
}
json plan_of(small_dump const& d, std::vector<std::string> more) {
  scratch const at;
  d.write(at / "d");
  std::vector<std::string> arguments{"compress", at / "d", "--plan", at / "plan.json", "--threads", "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  program const p{arguments};
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  return json::parse(read_bytes(at / "plan.json"));
}
json golden_json(char const* name) {
  std::ifstream file(std::filesystem::path(KVSIEVE_GOLDEN_DIR) / name);
  return json::parse(file);
}
std::vector<float> golden_tensor(char const* of, char const* name) {
  kvsieve::tool::input_file file;
  kvsieve::tool::safetensors::contents contents;
  REQUIRE(!file.open(std::filesystem::path(KVSIEVE_GOLDEN_DIR) / of));
  REQUIRE(!kvsieve::tool::safetensors::read_contents(file, contents));
  auto const* const entry = contents.find(name);
  REQUIRE(entry != nullptr);
  std::shared_ptr<std::byte const> bytes;
  REQUIRE(!kvsieve::tool::safetensors::read_tensor(file, contents, *entry, bytes));
  auto const* const first = reinterpret_cast<float const*>(bytes.get());
  return {first, first + entry->shape[0] * entry->shape[1]};
}

/// A small dump with hidden states 32 wide and networks of 5 units.
small_dump with_networks() {
  small_dump d;
  unsigned seed = 1;
  for (std::string const layer : {"layers.1.", "layers.3."}) {
    d.parts.push_back({layer + "hidden", "F32", {32, 32}, draw(32 * 32, 1, seed++)});
    d.parts.push_back({layer + "kv_zap.weight", "F32", {5, 32}, draw(5 * 32, 0.2f, seed++)});
    d.parts.push_back({layer + "kv_zap.bias", "F32", {5}, draw(5, 1, seed++)});
    d.parts.push_back({layer + "kv_zap.out_weight", "F32", {2, 5}, draw(2 * 5, 1, seed++)});
    d.parts.push_back({layer + "kv_zap.out_bias", "F32", {2}, draw(2, 1, seed++)});
  }
  return d;
}
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

TEST_CASE("dump with an output projection: critical_kv and critical_ada_kv keep what kvpress keeps", "[tools][dump]") {
  auto const inputs = golden::read_layer(9);
  auto d = real_dump(inputs, golden::tokens);
  d.parts.push_back({"layers.9.q", "F32", {9, 64, 64}, rows_of(inputs.queries, range(golden::tokens - 64, 768))});
  d.parts.push_back({"layers.9.o_proj", "F32", {96, 576}, golden_tensor("rows.safetensors", "criticalkv.wo")});
  auto const want = golden_json("selections.json");
  for (auto const& [preset, name] : {std::pair{"critical_kv", "criticalkv"}, {"critical_ada_kv", "critical_adakv"}}) {
    CAPTURE(preset);
    auto const plan = plan_of(d, {"--strategy", preset, "--keep", "0.3", "--set", "score.window=32"});
    CHECK(plan["layers"][0]["heads"] == want[name]["kept"]["9"]);
    CHECK(!plan["params"].contains("weigh.output"));
    CHECK(plan["params"]["weigh.epsilon"].get<double>() == Catch::Approx(1e-4));
  }
}

TEST_CASE("dump with a pass: kvzip keeps what its authors' code keeps", "[tools][dump]") {
  auto const inputs = golden::read_layer(9);
  for (auto const& [name, pass] : {std::pair{"kvzip_one_chunk", 256}, {"kvzip_two_chunks", 128}}) {
    CAPTURE(name);
    auto const source = golden_json("kvzip.json")[name];
    int const sink = source["params"]["sink"].get<int>(), cached = source["params"]["chunks"].back()[1].get<int>();
    auto d = real_dump(inputs, cached);
    std::vector<int> rows;
    std::string chunks;
    for (auto const& c : source["params"]["chunks"]) {
      for (int const t : range(golden::tokens - pass, golden::tokens)) rows.push_back(t);
      chunks += (chunks.empty() ? "" : ",") + std::to_string(c[0].get<int>()) + "-" + std::to_string(c[1].get<int>()) +
                ":" + std::to_string(pass);
    }
    auto const size = static_cast<std::int64_t>(rows.size());
    d.metadata["pass_chunks"] = chunks;
    d.parts.push_back({"layers.9.pass_k", "F32", {3, size, 64}, rows_of(inputs.keys, rows)});
    d.parts.push_back({"layers.9.pass_q", "F32", {9, size, 64}, rows_of(inputs.queries, rows)});
    int const keep = static_cast<int>((cached - sink) * source["params"]["ratio_kept"].get<double>());
    auto const plan = plan_of(d, {"--strategy", "kvzip", "--budget", "uniform", "--tokens", std::to_string(keep + sink),
                                  "--set", "score.sink=" + std::to_string(sink)});
    CHECK(plan["tokens"] == cached);
    for (std::size_t head = 0; head < 3; ++head) {
      auto want = range(0, sink);
      for (auto const& t : source["kept"]["9"][head]) want.push_back(t.get<int>());
      CHECK(plan["layers"][0]["heads"][head].get<std::vector<int>>() == want);
    }
  }
}

TEST_CASE("dump with hidden states: kv_zap scores as the reference", "[tools][dump]") {
  scratch const at;
  auto d = with_networks();
  d.write(at / "d");
  program const p{{"score", at / "d", "--strategy", "kv_zap", "--out", at / "s", "--set", "budget.keep=1"}};
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  kvsieve::tool::input_file file;
  kvsieve::tool::safetensors::contents contents;
  REQUIRE(!file.open(at / "s"));
  REQUIRE(!kvsieve::tool::safetensors::read_contents(file, contents));
  for (std::string const layer : {"layers.1.", "layers.3."}) {
    std::shared_ptr<std::byte const> bytes;
    REQUIRE(!kvsieve::tool::safetensors::read_tensor(file, contents, *contents.find(layer + "score"), bytes));
    auto const* const got = reinterpret_cast<float const*>(bytes.get());
    auto const& x = d[layer + "hidden"].numbers;
    for (std::size_t t = 0; t < 32; ++t) {
      std::vector<double> const row(x.begin() + static_cast<std::ptrdiff_t>(t * 32),
                                    x.begin() + static_cast<std::ptrdiff_t>(t * 32 + 32));
      auto const want =
          kvsieve::reference::kv_zap(d[layer + "kv_zap.weight"].numbers, d[layer + "kv_zap.bias"].numbers,
                                     d[layer + "kv_zap.out_weight"].numbers, d[layer + "kv_zap.out_bias"].numbers, row);
      for (std::size_t h = 0; h < 2; ++h)
        CHECK(static_cast<double>(got[h * 32 + t]) == Catch::Approx(want[h]).margin(1e-5));
    }
  }
  // By a threshold, behind a window.
  auto const plan =
      plan_of(d, {"--strategy", "kv_zap_threshold", "--set", "select.threshold=1e30", "--set", "select.recent=7"});
  for (auto const& head : plan["layers"][1]["heads"]) CHECK(head.get<std::vector<int>>() == range(25, 32));
}

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

TEST_CASE("dump: what a strategy reads and the dump does not hold is named in one line", "[tools][dump]") {
  scratch const at;
  small_dump{}.write(at / "d");
  for (auto const& [preset, tensor] : {std::pair{"critical_kv", "o_proj"},
                                       {"layer_defensive_kv", "o_proj"},
                                       {"kv_zap", "kv_zap.weight"},
                                       {"kvzip", "pass_k"},
                                       {"kv_compose", "pass_k"},
                                       {"mixed_queries", "pass_k"},
                                       {"graded", "pass_k"}}) {
    program const p{{"compress", at / "d", "--strategy", preset}};
    CAPTURE(preset);
    CHECK(p.status == 1);
    CHECK_THAT(p.err, ContainsSubstring(std::string("layers.1.") + tensor + " is missing, and this strategy reads it"));
    CHECK(std::count(p.err.begin(), p.err.end(), '\n') == 1);
  }
  auto unlike = with_networks();
  unlike["layers.3.kv_zap.bias"].shape = {4};
  unlike["layers.3.kv_zap.bias"].numbers.resize(4);
  unlike.write(at / "u");
  CHECK_THAT((program{{"compress", at / "u", "--strategy", "kv_zap"}}.err),
             ContainsSubstring("\"layers.3.kv_zap.bias\": shape [4] does not fit the metadata, which needs [5]"));
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
