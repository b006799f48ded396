// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The storage `lean_k`: masks from a file, heads of several widths, and what comes back.
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::program;
using kvsieve::test::scratch;
using kvsieve::test::small_dump;
using nlohmann::json;

namespace {
constexpr int tokens = 960, middle = 960 - 128 - 768;

/// Keys and values of layers 1 and 3 in f32, two heads of 64 channels; masks beside them.
struct masked : scratch {
  std::string dump = *this / "d", masks = *this / "m", kvs = *this / "x.kvs", out = *this / "e";
  std::vector<std::vector<float>> keys;                                    ///< of each layer
  std::vector<std::vector<float>> keeps{4, std::vector<float>(64, 0.0f)};  ///< of layers, of heads

  masked() {
    small_dump made;
    made.parts.clear();
    made.metadata["tokens"] = std::to_string(tokens);
    std::mt19937 engine{12};
    std::normal_distribution<float> normal;
    for (std::string const layer : {"layers.1.", "layers.3."})
      for (std::string const name : {"k", "v"}) {
        small_dump::part p{layer + name, "F32", {2, tokens, 64}, {}};
        for (int i = 0; i < 2 * tokens * 64; ++i) p.numbers.push_back(normal(engine));
        if (name == "k") keys.push_back(p.numbers);
        made.parts.push_back(std::move(p));
      }
    made.write(dump);
    // Heads of 64 and of 20 channels, the even ones from 10 on; then of none and of 32, the last ones.
    keeps[0].assign(64, 1.0f);
    for (std::size_t c = 10; c < 50; c += 2) keeps[1][c] = 1;
    for (std::size_t c = 32; c < 64; ++c) keeps[3][c] = 1;
    write_masks();
  }
  void write_masks() const {
    small_dump d;
    d.metadata = {{"format", "pt"}};
    d.parts.clear();
    for (std::size_t l = 0; l < 2; ++l) {
      small_dump::part p{l == 0 ? "layers.1.lean_k.mask" : "layers.3.lean_k.mask", "F32", {2, 64}, keeps[2 * l]};
      p.numbers.insert(p.numbers.end(), keeps[2 * l + 1].begin(), keeps[2 * l + 1].end());
      d.parts.push_back(std::move(p));
    }
    d.write(masks);
  }
  [[nodiscard]] program compress(std::vector<std::string> const& more) const {
    std::vector<std::string> arguments{"compress", dump, "--strategy", "key_norm", "--store", "lean_k", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return program{arguments};
  }
  [[nodiscard]] std::vector<float> tensor_of(std::string const& name) const {
    kvsieve::tool::input_file in;
    if (auto const failed = in.open(out)) FAIL(*failed);
    kvsieve::tool::safetensors::contents all;
    if (auto const failed = kvsieve::tool::safetensors::read_contents(in, all)) FAIL(*failed);
    auto const* const e = all.find(name);
    CAPTURE(name);
    REQUIRE(e != nullptr);
    std::vector<float> to(e->size_bytes() / sizeof(float));
    if (auto const failed = in.read(all.data_offset + e->begin, std::as_writable_bytes(std::span{to}))) FAIL(*failed);
    return to;
  }
};
}  // namespace

TEST_CASE("lean_k: the middle holds the channels of the mask, and heads without any have none", "[tools][store]") {
  masked const at;
  auto const p = at.compress({"--keep", "1", "--weights", at.masks, "--out", at.kvs});
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  auto const report = json::parse(p.out);
  // Three heads' middles of 32, 32 and 64 channels of keys, four heads' windows; masks of the layers that have a part
  // of 32 channels, a word a head; offsets of two parts.
  int const rows = 4 * (middle * (2 * (32 + 64) + 128) + 4 * (tokens - middle) * 128);
  CHECK(report.at("bytes_after") == rows + 2 * 2 * 8 + 2 * 2 * 3 * 8);
  CHECK_THAT(report.at("note").get<std::string>(), ContainsSubstring("lose their middle, 64 entries"));
  auto const facts = json::parse(program{{"inspect", at.kvs, "--json"}}.out);
  auto const parts = facts["layers"][1]["parts"];
  REQUIRE(parts.size() == 2);
  CHECK(parts[0]["keys"]["name"] == "kept_f32");
  CHECK(parts[0]["rows"] == json({0, middle}));
  CHECK(parts[0]["bytes"]["keys"] == middle * 32 * 4);
  CHECK(parts[0]["bytes"]["channels"] == 2 * 8);
  CHECK(parts[1]["rows"] == json({tokens - middle, tokens - middle}));
  CHECK(facts["layers"][0]["parts"][1]["rows"] == json({tokens, tokens - middle}));

  program const expand{{"expand", at.kvs, "--out", at.out}};
  CAPTURE(expand.err);
  REQUIRE(expand.status == 0);
  auto const both = at.tensor_of("layers.1.k"), none = at.tensor_of("layers.3.heads.0.k"),
             last = at.tensor_of("layers.3.heads.1.k");
  REQUIRE(both.size() == 2 * tokens * 64);
  REQUIRE(none.size() == (tokens - middle) * 64);
  REQUIRE(last.size() == tokens * 64);
  bool same = true;
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t c = 0; c < 64; ++c) {
      bool const inside = t >= 128 && t < 128 + middle;
      auto const want = [&](std::size_t layer, std::size_t h) {
        return inside && at.keeps[2 * layer + h][c] == 0.0f ? 0.0f : at.keys[layer][(h * tokens + t) * 64 + c];
      };
      same = same && both[t * 64 + c] == want(0, 0) && both[(tokens + t) * 64 + c] == want(0, 1) &&
             last[t * 64 + c] == want(1, 1);
      if (!inside) same = same && none[(t < 128 ? t : t - middle) * 64 + c] == want(1, 0);
    }
  CHECK(same);
}

TEST_CASE("lean_k: a number of bytes is filled, whatever the widths", "[tools][store]") {
  masked at;
  for (int const widest : {64, 32}) {
    if (widest == 32) at.keeps[0] = at.keeps[3];
    at.write_masks();
    for (int const bytes : {30000, 400000, 1800000, 1900000}) {
      CAPTURE(widest, bytes);
      auto const p = at.compress({"--budget", "over_all", "--bytes", std::to_string(bytes), "--weights", at.masks});
      CAPTURE(p.err);
      REQUIRE(p.status == 0);
      CHECK(json::parse(p.out).at("bytes_after").get<int>() <= bytes);
    }
  }
}

TEST_CASE("lean_k: without masks, or with numbers that are none, it is refused", "[tools][store]") {
  masked at;
  auto const none = at.compress({"--keep", "1"});
  CHECK(none.status == 1);
  CHECK_THAT(none.err, ContainsSubstring("layers.1.lean_k.mask is missing, and lean_k reads it"));
  at.keeps[2][5] = 0.25f;
  at.write_masks();
  auto const quarter = at.compress({"--keep", "1", "--weights", at.masks});
  CHECK(quarter.status == 1);
  CHECK_THAT(quarter.err, ContainsSubstring("lean_k.mask holds 0.25, and channels are either kept, 1, or not, 0"));
  small_dump d;
  d.metadata = {{"format", "pt"}};
  d.parts = {{"layers.1.lean_k.mask", "F32", {2, 32}, std::vector<float>(64)},
             {"layers.3.lean_k.mask", "F32", {2, 32}, std::vector<float>(64)}};
  d.write(at.masks);
  auto const narrow = at.compress({"--keep", "1", "--weights", at.masks});
  CHECK(narrow.status == 1);
  CHECK_THAT(narrow.err, ContainsSubstring("layers.1.lean_k.mask\": shape [2, 32] does not fit the metadata"));
}
