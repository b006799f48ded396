// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Other budgets and selections behind the scores of a preset.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::program;
using kvsieve::test::read_bytes;
using kvsieve::test::with_dump;
using nlohmann::json;

TEST_CASE("compress: another budget and selection behind the same scores", "[tools][command]") {
  with_dump const at;
  auto const plan = [&](std::vector<std::string> const& more) {
    std::vector<std::string> arguments{"compress", at.dump, "--strategy", "key_norm",
                                       "--keep",   "0.5",   "--plan",     at / "p.json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    program const p{arguments};
    CHECK(p.status == 0);
    return json::parse(read_bytes(at / "p.json"));
  };
  auto const own = plan({}), same = plan({"--budget", "uniform", "--select", "top_k"});
  CHECK(own.at("layers") == same.at("layers"));
  CHECK(own.at("uniformity") == same.at("uniformity"));
  // Half of the budget for the newest tokens: 16 of 32, so the last 8.
  auto const halves = plan({"--select", "heavy_hitters", "--set", "select.recent_share=0.5"});
  CHECK(halves.at("layers") != own.at("layers"));
  for (auto const& layer : halves.at("layers"))
    for (auto const& head : layer.at("heads")) {
      auto const kept = head.get<std::vector<int>>();
      REQUIRE(kept.size() == 16);
      for (int t = 24; t < 32; ++t) CHECK(std::count(kept.begin(), kept.end(), t) == 1);
    }
  CHECK(halves.at("params").at("select.recent_share") == 0.5);
}

TEST_CASE("compress: a number of bytes, the same in every layer or wherever scores are best", "[tools][command]") {
  with_dump const at;
  auto const report = [&](std::string const& budget, std::string const& bytes) {
    program const p{{"compress", at.dump, "--strategy", "key_norm", "--budget", budget, "--bytes", bytes, "--json"}};
    CAPTURE(p.err);
    REQUIRE(p.status == 0);
    return json::parse(p.out);
  };
  // Two layers of two heads of 32 tokens, 512 bytes each: 65536. Heads in lists of their own have offsets as well.
  CHECK(report("bytes", "20000").at("layers")[0].at("kept") == json({10, 10}));
  CHECK(report("bytes", "20000").at("layers")[1].at("kept") == json({9, 9}));
  int rows = 0;
  auto const best = report("over_all", "20000");
  for (auto const& layer : best.at("layers"))
    for (auto const& head : layer.at("kept")) rows += head.get<int>();
  CHECK(rows == 39);
  program const unmeasured{{"compress", at.dump, "--strategy", "key_norm", "--budget", "entropy_variance"}};
  CHECK(unmeasured.status == 1);
  CHECK_THAT(unmeasured.err, ContainsSubstring("scores.statistics is 0"));
}

TEST_CASE("compress: every selection behind every kind of budget, its numbers beside its name", "[tools][command]") {
  with_dump const at;
  auto const plan = [&](std::string const& budget, std::string const& select) {
    program const p{{"compress", at.dump, "--strategy", "key_norm", "--keep", "0.5", "--budget", budget, "--select",
                     select, "--plan", at / "p.json"}};
    CAPTURE(budget, select, p.err);
    REQUIRE(p.status == 0);
    return json::parse(read_bytes(at / "p.json"));
  };
  auto const each_list = [](json const& j, auto const& f) {
    for (auto const& layer : j.at("layers"))
      for (auto const& head : layer.at("heads")) f(head.get<std::vector<int>>());
  };
  // 32 tokens, of which half may stay.
  for (std::string const budget : {"uniform", "arithmetic", "over_heads"}) {
    bool const uniform = budget != "over_heads";
    auto const chunks = plan(budget, "chunks:length=8");
    CHECK(chunks.at("uniformity") == "U3");
    CHECK(chunks.at("params").at("select.length") == 8);
    each_list(chunks, [&](std::vector<int> const& kept) {
      if (uniform) CHECK(kept.size() == 16);
      for (std::size_t i = 0; i < kept.size(); ++i) CHECK(kept[i] % 8 == static_cast<int>(i) % 8);
    });
    each_list(plan(budget, "pages:page=8:sink=0"), [&](std::vector<int> const& kept) {
      CHECK((!uniform || kept.size() == 16));
      CHECK(kept.back() == 31);
    });
    each_list(plan(budget, "windows:length=4:group=1"),
              [&](std::vector<int> const& kept) { CHECK((!uniform || kept.size() == 16)); });
    each_list(plan(budget, "top_k_in_chunks:length=16"), [&](std::vector<int> const& kept) {
      if (!uniform) return;
      REQUIRE(kept.size() == 16);
      CHECK(std::count_if(kept.begin(), kept.end(), [](int t) { return t < 16; }) == 8);
    });
    each_list(plan(budget, "top_k_in_spans:spans=0,8,8,32:quota=2,6"), [&](std::vector<int> const& kept) {
      REQUIRE(kept.size() == 8);
      CHECK(std::count_if(kept.begin(), kept.end(), [](int t) { return t < 8; }) == 2);
    });
    auto const all = plan(budget, "threshold:threshold=-1e30:recent=0");
    CHECK(all.at("uniformity") == "F");
    each_list(all, [](std::vector<int> const& kept) { CHECK(kept.size() == 32); });
    CHECK(plan(budget, "gumbel:seed=1").at("layers") != plan(budget, "gumbel:seed=2").at("layers"));
    CHECK(plan(budget, "gumbel:drawn=0").at("layers") == plan(budget, "top_k").at("layers"));
  }
  program const two{{"compress", at.dump, "--strategy", "key_norm", "--select", "two_stage", "--plan", at / "q.json"}};
  CHECK(two.status == 1);
  CHECK(two.err.find("scores.weighed") != std::string::npos);
}

TEST_CASE("compress: what a budget itself keeps stays behind any selection", "[tools][command]") {
  with_dump const at;
  for (std::string const select : {"top_k", "heavy_hitters:recent_share=0", "gumbel:drawn=0"}) {
    program const p{{"compress", at.dump, "--strategy", "random", "--budget", "lazy_layers:sink=2:recent=6", "--select",
                     select, "--plan", at / "p.json"}};
    CAPTURE(select, p.err);
    REQUIRE(p.status == 0);
    auto const plan = json::parse(read_bytes(at / "p.json"));
    for (auto const& layer : plan.at("layers"))
      for (auto const& head : layer.at("heads"))
        CHECK(head.get<std::vector<int>>() == std::vector<int>{0, 1, 26, 27, 28, 29, 30, 31});
  }
}
