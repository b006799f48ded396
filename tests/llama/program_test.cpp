// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// kvsieve_llama as people run it: a process, a real model.
#include <sys/wait.h>
#include <catch2/catch_all.hpp>
#include <cstdlib>
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
