// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "html_report.hpp"
#include "scratch.hpp"
#include "strategy.hpp"
#include "text.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::program;
using kvsieve::test::read_bytes;
using kvsieve::test::with_dump;
using kvsieve::test::write_bytes;
using nlohmann::json;

TEST_CASE("command line: what is wrong ends with status 2 and one message", "[tools][command]") {
  with_dump const at;
  std::vector<std::pair<std::vector<std::string>, std::string>> const cases{
      {{}, "subcommand is required"},
      {{"shrink"}, "shrink"},
      {{"list", "--jsno"}, "--jsno"},
      {{"compress"}, "required"},
      {{"compress", at.dump}, "--strategy"},
      {{"compress", at.dump, "--strategy", "nothing"}, "no strategy 'nothing'; there are"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--keep", "1.5"}, "--keep is 1.5, outside [0, 1]"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--keep", "nan"}, "--keep is nan"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--keep", "half"}, "half"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--tokens", "-3"}, "--tokens is -3"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--tokens", "3", "--keep", "0.5"}, "--keep"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--set", "select.sink"}, "stage.field=value is needed"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--set", "a.b=1"}, "--set names 'a.b', streaming_llm has"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--layers", "x"}, "--layers holds 'x'"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--layers", "1,1"}, "layer 1 twice"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--threads", "-1"}, "--threads is -1"},
      {{"compress", at.dump, "--strategy", "streaming_llm", "--bytes", "9"}, "--bytes: this budget takes none"},
      {{"compress", at.dump, "--strategy", "random", "--budget", "bytes", "--bytes", "-3"}, "--bytes is -3"},
      {{"compress", at.dump, "--strategy", "random", "--budget", "bytes", "--bytes", "9", "--keep", "0.5"}, "--keep"},
      {{"compress", at.dump, "--strategy", "random", "--budget", "none"}, "--budget none: there is uniform"},
      {{"compress", at.dump, "--strategy", "random", "--select", "none"},
       "--select none: with another budget there is"},
      {{"compress", at.dump, "--strategy", "key_diff_block_wise", "--budget", "uniform"}, "cannot be replaced"},
      {{"compress", at.dump, "--strategy", "random", "--select", "heavy_hitters", "--set", "select.recent=1"},
       "--set names 'select.recent', random has"},
      {{"compress", at.dump, "--strategy", "random", "--select", "chunks:length"}, "name:field=value is needed"},
      {{"compress", at.dump, "--strategy", "random", "--select", "chunks:size=4"}, "no field 'select.size', there is"},
      {{"compress", at.dump, "--strategy", "random", "--budget", "pyramid:=4"}, "name:field=value is needed"},
      {{"compare", at.dump, "--budget", "none"}, "--budget none: there is uniform"},
      {{"score", at.dump, "--strategy", "streaming_llm"}, "--out"},
      {{"compare", at.dump, "--strategies", "streaming_llm,nothing"}, "no strategy 'nothing'"},
      {{"compare", at.dump, "--strategies", "all,random"}, "'all' beside"},
      {{"compare", at.dump, "--strategies", "random,random"}, "random twice"},
      {{"compare", at.dump, "--keeps", "0.5,2"}, "keep is 2, outside [0, 1]"},
      {{"compare", at.dump, "--keeps", "0.5,,"}, "not a number"},
      {{"compare", at.dump, "--keeps", ""}, "empty"},
      {{"inspect"}, "required"},
  };
  for (auto const& [arguments, expected] : cases) {
    program const p{arguments};
    CAPTURE(arguments);
    CHECK(p.status == 2);
    CHECK_THAT(p.err, ContainsSubstring(expected));
    CHECK(p.out.empty());
  }
}

TEST_CASE("command line: what fails ends with status 1 and changes nothing", "[tools][command]") {
  with_dump const at;
  std::vector<std::pair<std::vector<std::string>, std::string>> const cases{
      {{"compress", at / "none", "--strategy", "random"}, "cannot open"},
      {{"compress", at.dump, "--strategy", "random", "--layers", "2"}, "layer 2 is asked for"},
      {{"compress", at.dump, "--strategy", "random", "--tokens", "33"}, "--tokens is 33, the dump holds 32"},
      {{"compress", at.dump, "--strategy", "random", "--keep", "0.5", "--plan", at / "no/plan.json"}, "cannot write"},
      {{"compress", at.dump, "--strategy", "random", "--keep", "0.5", "--report", at.folder.string()}, "cannot write"},
      {{"score", at.dump, "--strategy", "random", "--out", at / "no/s"}, "cannot write"},
      {{"compare", at.dump, "--strategies", "random", "--html", at / "no/r.html"}, "cannot write"},
      {{"compare", at / "none"}, "cannot open"},
      {{"inspect", at / "none"}, "cannot open"},
      {{"inspect", at.folder.string()}, "not a regular file"},
  };
  for (auto const& [arguments, expected] : cases) {
    program const p{arguments};
    CAPTURE(arguments);
    CHECK(p.status == 1);
    CHECK_THAT(p.err, ContainsSubstring(expected));
    CHECK(std::count(p.err.begin(), p.err.end(), '\n') == 1);
    CHECK(at.files() == 1);
  }
}

TEST_CASE("command line: help teaches by example", "[tools][command]") {
  program const top{{"--help"}};
  CHECK(top.status == 0);
  for (auto const* command : {"list", "compress", "score", "compare", "inspect"}) {
    CHECK_THAT(top.out, ContainsSubstring(command));
    program const one{{command, "--help"}};
    CHECK(one.status == 0);
    CHECK_THAT(one.out, ContainsSubstring("Example"));
    CHECK(one.err.empty());
  }
  CHECK_THAT(program{{"--version"}}.out, ContainsSubstring("kvsieve 0."));
}

TEST_CASE("list: every preset, as text and as JSON", "[tools][command]") {
  program const text{{"list"}}, machine{{"list", "--json"}};
  CHECK(text.status == 0);
  auto const all = json::parse(machine.out);
  REQUIRE(all["strategies"].size() == kvsieve::tool::strategies().size());
  for (auto const& s : all["strategies"]) CHECK_THAT(text.out, ContainsSubstring(s["name"].get<std::string>()));
  CHECK(text.out.find('\x1b') == std::string::npos);
}

TEST_CASE("compress: plan and report", "[tools][command]") {
  with_dump const at;
  program const p{{"compress", at.dump, "--strategy", "streaming_llm", "--keep", "0.5", "--plan", at / "plan.json",
                   "--report", at / "report.json"}};
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  CHECK_THAT(p.out, ContainsSubstring("16 of 32 tokens per head"));
  auto const plan = json::parse(read_bytes(at / "plan.json"));
  CHECK(plan["strategy"] == "streaming_llm");
  CHECK(plan["tokens"] == 32);
  REQUIRE(plan["layers"].size() == 2);
  CHECK(plan["layers"][1]["layer"] == 3);
  CHECK(plan["layers"][1]["heads"][1].size() == 16);
  CHECK(plan["params"].is_object());
  auto const report = json::parse(read_bytes(at / "report.json"));
  CHECK(report["error"]["samples"] == 2 * 4 * 16);
  CHECK(report["layers"][0]["kept"] == json({16, 16}));
  CHECK(at.files() == 3);

  auto const machine = program{{"compress", at.dump, "--strategy", "streaming_llm", "--keep", "0.5", "--json"}};
  CHECK(json::parse(machine.out)["error"] == report["error"]);
  program const part{{"compress", at.dump, "--strategy", "streaming_llm", "--keep", "0.5", "--layers", "3", "--json"}};
  CHECK(json::parse(part.out)["layers"].size() == 1);
}

TEST_CASE("score: a safetensors file that this program reads", "[tools][command]") {
  with_dump const at;
  program const p{{"score", at.dump, "--strategy", "streaming_llm", "--out", at / "s.safetensors"}};
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  auto const seen = json::parse(program{{"inspect", at / "s.safetensors", "--json"}}.out);
  CHECK(seen["kind"] == "scores");
  CHECK(seen["metadata"]["strategy"] == "streaming_llm");
  REQUIRE(seen["tensors"].size() == 2);
  CHECK(seen["tensors"][0]["name"] == "layers.1.score");
  CHECK(seen["tensors"][0]["shape"] == json({2, 32}));
}

TEST_CASE("compare: a row for each strategy and keep, in every form", "[tools][command]") {
  with_dump const at;
  std::vector<std::string> const base{"compare", at.dump,     "--strategies", "streaming_llm,random",
                                      "--keeps", "0.25,1,0.5"};
  auto files = base;
  files.insert(files.end(), {"--html", at / "r.html", "--csv", at / "r.csv"});
  program const text{files};
  CAPTURE(text.err);
  REQUIRE(text.status == 0);
  CHECK(text.out.find('\x1b') == std::string::npos);
  CHECK_THAT(text.out, ContainsSubstring("error mean") && ContainsSubstring("s / M tokens"));
  auto const csv = read_bytes(at / "r.csv");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 7);
  auto const html = read_bytes(at / "r.html");
  CHECK(html.starts_with("<!doctype html>"));
  for (auto const* outside : {"src=", "href=", "url(", "@import", "fetch("})
    CHECK(html.find(outside) == std::string::npos);

  auto machine = base;
  machine.push_back("--json");
  auto const all = json::parse(program{machine}.out);
  REQUIRE(all["rows"].size() == 6);
  CHECK(all["rows"][0]["keep"] == 1.0);
  CHECK(all["rows"][0]["error"]["max"] == 0.0);
  CHECK(all["rows"][1]["error"]["mean"] > 0.0);
}

TEST_CASE("html: text from a dump stays text", "[tools][html]") {
  kvsieve::tool::comparison all;
  all.model = "</script><script>alert(1)</script>\xff";
  all.tokens = 4;
  all.rows.push_back({"a", "A", 0.5, {}, "<b>no</b>", {}, {}});
  auto const page = kvsieve::tool::html_report(all);
  CHECK(page.find("<script>alert") == std::string::npos);
  CHECK(page.find("<b>no") == std::string::npos);
}

TEST_CASE("html: strips show the share kept in a column", "[tools][html]") {
  using kvsieve::tool::strip_text;
  CHECK(strip_text({0, 3}, 4) == "/AA/");
  CHECK(strip_text({}, 3) == "AAA");
  std::vector<int> even;
  for (int t = 0; t < 4096; t += 2) even.push_back(t);
  auto const text = strip_text(even, 4096);
  CHECK(text.size() == 1024);
  CHECK(text.find_first_not_of('g') == std::string::npos);
}

TEST_CASE("inspect: dumps, plans and what only looks like one", "[tools][command]") {
  with_dump const at;
  program const dump{{"inspect", at.dump}};
  CHECK(dump.status == 0);
  CHECK_THAT(dump.out,
             ContainsSubstring("cache dump") && ContainsSubstring("layers.3.q") && ContainsSubstring("[4, 16, 64]"));
  CHECK(json::parse(program{{"inspect", at.dump, "--json"}}.out)["tensors"].size() == 6);

  REQUIRE(program{{"compress", at.dump, "--strategy", "random", "--keep", "0.25", "--plan", at / "p"}}.status == 0);
  program const plan{{"inspect", at / "p"}};
  CHECK(plan.status == 0);
  CHECK_THAT(plan.out, ContainsSubstring("plan of random") && ContainsSubstring("8, 8"));
  CHECK(json::parse(program{{"inspect", at / "p", "--json"}}.out)["layers"][0]["kept"] == json({8, 8}));

  auto const [text, expected] = GENERATE(table<std::string, std::string>({
      {"{", "neither safetensors nor a JSON object"},
      {"{}", "strategy is missing"},
      {R"({"strategy":1,"uniformity":"U0","tokens":2,"layers":[]})", "strategy is not a string"},
      {R"({"strategy":"a","uniformity":"U0","tokens":-2,"layers":[]})", "tokens is not a count"},
      {R"({"strategy":"a","uniformity":"U0","tokens":2,"layers":[1]})", "without layer and heads"},
      {R"({"strategy":"a","uniformity":"U0","tokens":2,"layers":[{"layer":0,"heads":[[1,1]]}]})",
       "token 1 after 1, of 2"},
      {R"({"strategy":"a","uniformity":"U0","tokens":2,"layers":[{"layer":0,"heads":[[2]]}]})",
       "token 2 after -1, of 2"},
      {R"({"strategy":"a","uniformity":"U0","tokens":2,"layers":[{"layer":0,"heads":[["x"]]}]})", "not a token index"},
      {"hello", "not a safetensors file"},
      {"", "not a safetensors file"},
  }));
  write_bytes(at / "bad", text);
  program const bad{{"inspect", at / "bad"}};
  CHECK(bad.status == 1);
  CHECK_THAT(bad.err, ContainsSubstring(expected));
}

TEST_CASE("text: numbers, lists and tables", "[tools][text]") {
  using namespace kvsieve::tool;
  CHECK(format_bytes(999) == "999 B");
  CHECK(format_bytes(2949120) == "2.95 MB");
  CHECK(format_number(0.5) == "0.5000");
  CHECK(format_number(0.00001) == "1.0e-05");
  CHECK(format_exact(0.25) == "0.25");
  CHECK(split_list("a, b,,c") == std::vector<std::string>{"a", "b", "", "c"});
  CHECK(split_list("").empty());
  CHECK(!parse_int("12x"));
  CHECK(!parse_double(""));
  std::ostringstream out;
  text_table table{{{"name"}, {"n", true}, {"m", true}}};
  table.add({{"a"}, {"10"}, {"2"}});
  table.add({{"bb"}, {"a reason that runs on"}});
  table.print(out, false);
  CHECK(out.str() == "name   n  m\na     10  2\nbb    a reason that runs on\n");
}
