// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Dumps that hold more than a cache and its last queries: the output projection, hidden states and their network, a
// pass behind the cache.
#include <kvsieve/reference/kv_zap.hpp>

#include "../golden_sets/golden.hpp"
#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::draw;
using kvsieve::test::program;
using kvsieve::test::read_bytes;
using kvsieve::test::scratch;
using kvsieve::test::small_dump;
using nlohmann::json;

namespace {

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
