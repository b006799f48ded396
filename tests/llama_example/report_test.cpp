// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "report.hpp"

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "generators.hpp"
#include "plot.hpp"

using namespace kvsieve::llama_example;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Positions whose mean KL is `kl`.
divergence around(double kl) {
  std::vector<position> positions;
  for (int i = 0; i < 200; ++i) positions.push_back({kl * (i % 2 == 0 ? 0.5 : 1.5), 2.0, 2.0 + kl, i % 10 != 0});
  return summarise(positions);
}

report_row row_of(std::string const& strategy, double keep, double kl, bool known = false) {
  report_row r;
  r.strategy = strategy;
  r.keep = keep;
  r.bytes_before = 1000000;
  r.bytes_after = static_cast<std::size_t>(1000000 * keep);
  r.question_known = known;
  r.source = "prose";
  r.kl = around(kl);
  r.seconds = 0.25;
  return r;
}

report small_report() {
  report all;
  all.model = "a model";
  all.command = "kvsieve_llama eval";
  all.tokens = 1024;
  all.seed = 18446744073709551615u;
  all.rows = {row_of("snap_kv", 0.25, 0.068), row_of("snap_kv", 0.1, 0.148), row_of("kvzip", 0.1, 0.187)};
  all.rows[2].storage = "q8_0";
  report_row task;
  task.strategy = "kvzip";
  task.keep = 0.1;
  task.bytes_before = 1000000;
  task.bytes_after = 100000;
  task.question_known = true;
  task.source = "needle";
  task.answers = retrieval{20, {0.9, 0.07}, {1, 0}, {0.42, 0.03}, {0.3, 0.02}};
  all.rows.push_back(task);
  report_row failed;
  failed.strategy = "h2o, again";
  failed.keep = 0.1;
  failed.source = "prose";
  failed.failure = "strategy \"h2o\": not one that a cache holds";
  all.rows.push_back(failed);
  return all;
}

std::vector<std::string> lines_of(std::string const& text) {
  std::istringstream in{text};
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

/// Fields of a CSV line.
std::vector<std::string> fields_of(std::string const& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
      out.back() += line[i++];
    else if (line[i] == '"')
      quoted = !quoted;
    else if (line[i] == ',' && !quoted)
      out.emplace_back();
    else
      out.back() += line[i];
  }
  return out;
}

std::string table_of(report const& all) {
  std::ostringstream out;
  print_report(all, out, false);
  return out.str();
}

std::size_t occurrences(std::string_view text, std::string_view of) {
  std::size_t count = 0;
  for (auto at = text.find(of); at != std::string_view::npos; at = text.find(of, at + 1)) ++count;
  return count;
}

/// Every element that was opened is closed in turn, and text holds no markup.
void check_markup(std::string const& svg) {
  std::vector<std::string> open;
  for (std::size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    auto const end = svg.find('>', at);
    REQUIRE(end != std::string::npos);
    auto const tag = svg.substr(at + 1, end - at - 1);
    if (tag.ends_with('/')) continue;
    if (!tag.starts_with('/')) {
      open.push_back(tag.substr(0, tag.find(' ')));
      continue;
    }
    REQUIRE(!open.empty());
    CHECK(open.back() == tag.substr(1));
    open.pop_back();
  }
  CHECK(open.empty());
}

}  // namespace

TEST_CASE("report: the table leaves out what no row has", "[llama_example][report]") {
  auto const lines = lines_of(table_of(small_report()));
  REQUIRE(lines.size() == 6);
  for (auto const* const title :
       {"strategy", "storage", "KL mean", "99 %", "same top", "ln PPL ratio", "score", "compress"})
    CHECK_THAT(lines[0], ContainsSubstring(title));
  CHECK_THAT(lines[1], ContainsSubstring("25.0 %") && ContainsSubstring("0.068 ± 0.0024") &&
                           ContainsSubstring("250.00 ms") && ContainsSubstring(" 200 "));
  CHECK_THAT(lines[3], ContainsSubstring("q8_0"));
  CHECK_THAT(lines[4], ContainsSubstring("known") && ContainsSubstring("90.0 % ± 7.0 %") &&
                           ContainsSubstring("0.42 ± 0.03") && ContainsSubstring(" 20 "));
  CHECK(lines[5].ends_with("strategy \"h2o\": not one that a cache holds"));

  report only_kl;
  only_kl.rows = {row_of("snap_kv", 0.25, 0.068)};
  auto const narrow = table_of(only_kl);
  CHECK_THAT(narrow, !ContainsSubstring("score") && !ContainsSubstring("storage") && ContainsSubstring("KL mean"));
  CHECK(table_of({}) == "\n");

  report none_ran;
  none_ran.rows = {small_report().rows[4]};
  auto const reason = lines_of(table_of(none_ran));
  REQUIRE(reason.size() == 2);
  CHECK(reason[1].ends_with("strategy \"h2o\": not one that a cache holds"));
}

TEST_CASE("report: as CSV every line has every field", "[llama_example][report]") {
  auto const lines = lines_of(report_csv(small_report()));
  REQUIRE(lines.size() == 6);
  auto const titles = fields_of(lines[0]);
  auto const field = [&](std::size_t line, std::string const& title) {
    auto const at = std::find(titles.begin(), titles.end(), title);
    REQUIRE(at != titles.end());
    return fields_of(lines[line])[static_cast<std::size_t>(at - titles.begin())];
  };
  for (auto const& line : lines) CHECK(fields_of(line).size() == titles.size());
  CHECK(field(1, "bytes_share") == "0.25");
  CHECK(field(1, "positions") == "200");
  CHECK(std::stod(field(1, "kl_mean")) == small_report().rows[0].kl->kl.value);
  CHECK(field(1, "score").empty());
  CHECK(field(3, "storage") == "q8_0");
  CHECK(field(4, "kl_mean").empty());
  CHECK(field(4, "question") == "known");
  CHECK(field(4, "score") == "0.9");
  CHECK(field(4, "loss") == "0.42");
  CHECK(field(4, "loss_error") == "0.03");
  CHECK(field(4, "loss_full") == "0.3");
  CHECK(field(4, "items") == "20");
  CHECK(field(4, "seconds").empty());
  CHECK(field(5, "strategy") == "h2o, again");
  CHECK(field(5, "failure") == "strategy \"h2o\": not one that a cache holds");
  CHECK(field(5, "bytes_before").empty());
}

TEST_CASE("report: as JSON, null for what was not measured", "[llama_example][report]") {
  auto all = small_report();
  all.model = "a\xff model";
  auto const data = nlohmann::json::parse(report_json(all));
  CHECK(data["model"] == "a\xef\xbf\xbd model");
  CHECK(data["seed"] == 18446744073709551615u);
  CHECK(data["rows"].size() == 5);
  CHECK(data["rows"][0]["kl_mean"] == all.rows[0].kl->kl.value);
  CHECK(data["rows"][0]["ln_ppl_correlation"].is_null());
  CHECK(!data["rows"][0].contains("storage"));
  CHECK(data["rows"][3]["score"] == 0.9);
  CHECK(data["rows"][3]["loss_full"] == 0.3);
  CHECK(data["rows"][3]["seconds"].is_null());
  CHECK(!data["rows"][3].contains("kl_mean"));
  CHECK(data["rows"][4]["failure"] == all.rows[4].failure);
}

TEST_CASE("report: a share of no bytes is not a number", "[llama_example][report]") {
  CHECK(std::isnan(share_of_bytes({})));
  CHECK(series_of(small_report().rows[0]) == "snap_kv");
  CHECK(series_of(small_report().rows[2]) == "kvzip / q8_0");
}

TEST_CASE("plot: the frontier holds what no other beats", "[llama_example][report]") {
  std::vector<cost> const points{{0.5, 0.03}, {0.25, 0.06}, {0.25, 0.05}, {0.5, 0.2},
                                 {0.1, 0.2},  {0.3, 0.05},  {0.25, 0.05}};
  CHECK(frontier(points) == std::vector<std::size_t>{4, 2, 0});
  CHECK(frontier({}).empty());
  CHECK(support::holds("frontier: no point is below another", 100, [] {
    auto const drawn = *rc::gen::container<std::vector<std::pair<int, int>>>(
        rc::gen::pair(rc::gen::inRange(1, 9), rc::gen::inRange(1, 9)));
    std::vector<cost> some;
    for (auto const& [bytes, kl] : drawn) some.push_back({static_cast<double>(bytes), static_cast<double>(kl)});
    auto const chosen = frontier(some);
    for (std::size_t i = 0; i < some.size(); ++i) {
      bool beaten = false;
      for (std::size_t j = 0; j < some.size(); ++j) {
        auto const &a = some[j], &b = some[i];
        beaten = beaten || (a.bytes <= b.bytes && a.kl < b.kl) || (a.bytes < b.bytes && a.kl <= b.kl) ||
                 (j < i && a.bytes == b.bytes && a.kl == b.kl);
      }
      RC_ASSERT(beaten == (std::find(chosen.begin(), chosen.end(), i) == chosen.end()));
    }
  }));
}

TEST_CASE("plot: a line for each series, a marker for each row", "[llama_example][report]") {
  auto all = small_report();
  auto const one = divergence_svg(all, "prose");
  check_markup(one);
  // Three rows and two names in the key; two series.
  CHECK(occurrences(one, "class=\"marker\"") == 5);
  CHECK(occurrences(one, "class=\"line\"") == 4);
  CHECK(occurrences(one, "class=\"frontier\"") == 1);
  CHECK(occurrences(one, "class=\"whisker\"") == 6);
  CHECK_THAT(one, ContainsSubstring(">kvzip / q8_0<") && ContainsSubstring("compressed without the question") &&
                      !ContainsSubstring("compressed with the question") && !ContainsSubstring("h2o"));

  all.rows.push_back(row_of("snap_kv", 0.25, 0.05, true));
  all.rows.push_back(row_of("none", 1, 0));
  auto const two = divergence_svg(all, "prose");
  check_markup(two);
  CHECK_THAT(two, ContainsSubstring("compressed with the question") &&
                      ContainsSubstring("Without divergence: none at 100.0 %."));
  CHECK(occurrences(two, "class=\"marker\"") == 6);
  CHECK(divergence_svg(all, "prose") == two);

  auto const none = divergence_svg(all, "needle");
  check_markup(none);
  CHECK_THAT(none, ContainsSubstring("Nothing to show."));
}

TEST_CASE("plot: names are data, never markup", "[llama_example][report]") {
  auto all = small_report();
  all.model = "<script>alert(1)</script> & \"more\"\xff\x01";
  all.rows[0].strategy = "</svg><g onclick=\"x\">";
  auto const svg = divergence_svg(all, "prose");
  check_markup(svg);
  CHECK_THAT(svg, !ContainsSubstring("<script") && !ContainsSubstring("onclick=\"") && !ContainsSubstring("\x01") &&
                      !ContainsSubstring("\xff") && ContainsSubstring("&lt;script&gt;"));
}
