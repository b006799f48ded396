// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// kvsieve_llama as people run it: a process, a real model.
#include <sys/wait.h>
#include <catch2/catch_all.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "files.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::read_bytes;
using kvsieve::test::scratch;
using kvsieve::test::write_bytes;
using nlohmann::json;

namespace {

std::string const model = KVSIEVE_LLAMA_MODEL, texts = KVSIEVE_LLAMA_TEXTS_DIR;

std::string quoted(std::string const& word) {
  std::string out = "'";
  for (char const c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// The program run once, what it wrote beside it.
struct program {
  std::string out, err;
  int status = -1;

  program(scratch const& at, std::vector<std::string> const& arguments) {
    std::string line = quoted(KVSIEVE_PROGRAM);
    for (auto const& a : arguments) line += " " + quoted(a);
    auto const to_out = at / "out", to_err = at / "err";
    int const ended = std::system((line + " >" + quoted(to_out) + " 2>" + quoted(to_err)).c_str());
    if (WIFEXITED(ended)) status = WEXITSTATUS(ended);
    out = read_bytes(to_out);
    err = read_bytes(to_err);
  }
};

}  // namespace

TEST_CASE("kvsieve_llama eval: a needle among others like it is found in a quarter of the bytes") {
  scratch const at;
  program const p(at,
                  {"eval", "--model", model, "--tasks", "needle", "--items", "1", "--depths", "0.5", "--tokens", "400",
                   "--distractors", "2", "--strategies", "graded", "--bytes", "25%", "--json", at / "needle.json"});
  CAPTURE(p.err, p.out);
  REQUIRE(p.status == 0);
  auto const report = json::parse(read_bytes(at / "needle.json"));
  REQUIRE(report["rows"].size() == 1);
  for (auto const& row : report["rows"]) {
    CAPTURE(row);
    CHECK(row["score_full"] == 1);
    CHECK(row["score"] == 1);
    CHECK(row["bytes_share"].get<double>() <= row["keep"].get<double>());
    // The code is what the full cache answers, so that giving it costs next to nothing there.
    CHECK(row["loss_full"].get<double>() < 0.2);
    CHECK(row["loss"].get<double>() < row["loss_full"].get<double>() + 0.5);
  }
}

TEST_CASE("kvsieve_llama: a pass repeats a share of the text, and its own queries stand in for the rest") {
  scratch const at;
  write_bytes(at / "text", read_bytes(texts + "/prose.txt").substr(0, 2000));
  auto const judged = [&](std::string const& strategy, std::vector<std::string> more) {
    std::vector<std::string> all{"eval",     "--model", model,          "--text",       texts + "/prose.txt",
                                 "--tokens", "300",     "--score",      "24",           "--bytes",
                                 "10%",      "--json",  at / "kl.json", "--strategies", strategy};
    all.insert(all.end(), more.begin(), more.end());
    program const p(at, all);
    CAPTURE(p.err, p.out);
    REQUIRE(p.status == 0);
    return json::parse(read_bytes(at / "kl.json"))["rows"][0]["kl_mean"].get<double>();
  };
  double const last_queries = judged("snap_kv", {});
  for (std::string const share : {"1", "0.1", "0"}) {
    CAPTURE(share, last_queries);
    CHECK(judged("graded", {"--pass", share}) < last_queries / 3);
  }
  for (auto const& [share, more] : {std::pair{"0", 0}, {"0.25", 1}}) {
    program const p(at, {"dump", "--model", model, "--file", at / "text", "--out", at / "x", "--pass", share});
    CAPTURE(p.err, p.out, share);
    REQUIRE(p.status == 0);
    // A safetensors file: the length of its header in 8 bytes, then the header.
    std::string const file = read_bytes(at / "x");
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof length);
    auto const header = json::parse(file.substr(8, length));
    int const tokens = std::stoi(header["__metadata__"]["tokens"].get<std::string>());
    int const moved = tokens - 4, seen = header["layers.0.pass_k"]["shape"][1].get<int>();
    std::string chunks = "4-" + std::to_string(tokens) + ":" + std::to_string(moved);
    if (more > 0) chunks += ",4-" + std::to_string(tokens) + ":" + std::to_string(seen - moved);
    CHECK(header["__metadata__"]["pass_chunks"] == chunks);
    // A quarter of the text and an instruction of a few tokens.
    CHECK(seen - moved >= (more > 0 ? tokens / 4 - 8 : 0));
    CHECK(seen - moved <= (more > 0 ? tokens / 4 + 16 : 0));
    CHECK(header["layers.0.pass_q"]["shape"][1] == seen);
  }
}

TEST_CASE("kvsieve_llama generate: llama.cpp's cells and kvsieve's memory hold what is kept") {
  scratch const at;
  std::string text = read_bytes(texts + "/prose.txt");
  write_bytes(at / "text", text.substr(0, 2000));
  for (auto const* const hold : {"cells", "memory"}) {
    program const p(at, {"generate", "--model", model, "--file", at / "text", "--prompt", "What was wrong?",
                         "--strategy", "snap_kv", "--keep", "0.25", "--predict", "8", "--hold", hold});
    CAPTURE(p.err, p.out);
    REQUIRE(p.status == 0);
    CHECK_THAT(p.out, ContainsSubstring(std::string(hold) == "cells" ? "in llama.cpp's cells" : "in kvsieve's memory"));
    CHECK_THAT(p.out, ContainsSubstring("10.9 MB before, 2.72 MB after") && ContainsSubstring("decoding, compressed"));
  }
}

TEST_CASE("kvsieve_llama generate: a text goes through fewer cells than it has tokens") {
  scratch const at;
  write_bytes(at / "text", read_bytes(texts + "/prose.txt").substr(0, 2000));
  program const p(at, {"generate", "--model", model, "--file", at / "text", "--prompt", "What was wrong?", "--strategy",
                       "snap_kv", "--keep", "0.5", "--predict", "8", "--cells", "256"});
  CAPTURE(p.err, p.out);
  REQUIRE(p.status == 0);
  CHECK_THAT(p.out, ContainsSubstring("SnapKV, in 256 cells") && ContainsSubstring("while reading"));
  CHECK_THAT(p.out, !ContainsSubstring("0 times while reading"));
}

TEST_CASE("kvsieve_llama decode: the full cache's tokens while nothing goes, and a cache that stays small") {
  scratch const at;
  // What comes next is beyond doubt, so that rounding does not decide it.
  std::string text;
  for (int i = 0; i < 12; ++i) text += "one two three four five six seven eight nine ten\n";
  text += "one two three four";
  write_bytes(at / "text", text);
  auto const decode = [&](std::string const& strategy, std::vector<std::string> more) {
    std::vector<std::string> all{"decode", "--model",    model,    "--file",    at / "text",
                                 "--raw",  "--strategy", strategy, "--past-end"};
    all.insert(all.end(), more.begin(), more.end());
    return program(at, all);
  };
  for (std::string const strategy : {"h2o", "tova", "roco", "lazy_eviction"}) {
    CAPTURE(strategy);
    auto const whole = decode(strategy, {"--tokens", "1000", "--predict", "5", "--full"});
    CAPTURE(whole.err, whole.out);
    REQUIRE(whole.status == 0);
    CHECK_THAT(whole.out, ContainsSubstring("evicted             0 times"));
    CHECK_THAT(whole.out, ContainsSubstring("same tokens         all"));
    auto const small = decode(strategy, {"--tokens", "64", "--every", "8", "--predict", "20"});
    CAPTURE(small.err, small.out);
    REQUIRE(small.status == 0);
    CHECK_THAT(small.out, ContainsSubstring("generated           20 tokens"));
    CHECK_THAT(small.out, ContainsSubstring("at most 72 once the prompt was evicted from"));
  }
}

TEST_CASE("kvsieve_llama refuses in one line") {
  scratch const at;
  write_bytes(at / "none.gguf", "no weights");
  write_bytes(at / "text", read_bytes(texts + "/prose.txt").substr(0, 2000));
  struct refusal {
    std::vector<std::string> arguments;
    int status;
    std::vector<std::string> names;
  };
  auto const generate = [&](std::vector<std::string> more, std::string const& with = model) {
    std::vector<std::string> all{"generate", "--file", at / "text", "--model", with};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  for (auto const& r : {
           refusal{generate({"--strategy", "snap_kv"}, at / "none.gguf"), 1, {"none.gguf"}},
           refusal{generate({"--strategy", "snap_kv"}, at / "absent.gguf"), 1, {"absent.gguf"}},
           refusal{generate({"--strategy", "snap_kv", "--context", "64"}), 1, {"--context is 64", "474 tokens"}},
           refusal{generate({"--strategy", "no_such"}), 2, {"no_such", "snap_kv"}},
           refusal{generate({"--strategy", "kvzip", "--pass", "1.5"}), 2, {"--pass is 1.5"}},
           refusal{generate({"--strategy", "snap_kv", "--pass", "0.5"}), 2, {"--pass is 0.5", "snap_kv"}},
           refusal{generate({"--strategy", "snap_kv", "--keep", "1.5"}), 2, {"--keep is 1.5"}},
           refusal{generate({"--strategy", "ada_kv", "--store", "levels", "--hold", "cells"}), 1, {"levels"}},
           refusal{generate({"--strategy", "kvzip", "--cells", "256"}), 1, {"kvzip", "parts of it"}},
           refusal{
               generate({"--strategy", "ada_kv", "--keep", "0.5", "--cells", "256"}), 1, {"ada_kv", "other numbers"}},
           refusal{generate({"--strategy", "snap_kv", "--keep", "1", "--cells", "256"}), 1, {"256", "budget"}},
           refusal{generate({"--strategy", "snap_kv", "--rpc", "127.0.0.1:1"}), 1, {"127.0.0.1:1", "no server"}},
           refusal{generate({"--strategy", "snap_kv", "--rpc-split", "1"}), 1, {"--rpc-split without --rpc"}},
           refusal{
               {"decode", "--model", model, "--file", at / "text", "--strategy", "snap_kv"}, 2, {"snap_kv", "tova"}},
           refusal{{"decode", "--model", model, "--file", at / "text", "--strategy", "h2o", "--set",
                    "select.recent_share=7"},
                   2,
                   {"select.recent_share is 7", "1"}},
           refusal{{"decode", "--model", model, "--file", at / "text", "--strategy", "h2o", "--context", "64"},
                   1,
                   {"--context is 64", "474 tokens"}},
       }) {
    program const p(at, r.arguments);
    CAPTURE(r.arguments, p.err, p.out);
    CHECK(p.status == r.status);
    CHECK(std::count(p.err.begin(), p.err.end(), '\n') == 1);
    for (auto const& name : r.names) CHECK_THAT(p.err, ContainsSubstring(name));
  }
}
