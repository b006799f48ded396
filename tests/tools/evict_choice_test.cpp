// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What becomes of the tokens that do not stay, chosen on the command line.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "evict_choice.hpp"
#include "fidelity.hpp"
#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::compress_report;
using kvsieve::test::mean_error;
using kvsieve::test::program;
using kvsieve::test::with_dump;
using nlohmann::json;

namespace {
json report(with_dump const& at, std::vector<std::string> const& more) {
  return compress_report(at, {"--keep", "0.25"}, more);
}
}  // namespace

TEST_CASE("compress: another policy of the stage evict behind the same plan", "[tools][command]") {
  with_dump const at;
  auto const own = report(at, {"--strategy", "random"});
  auto const same = report(at, {"--strategy", "random", "--evict", "compact"});
  CHECK(own.at("error") == same.at("error"));
  CHECK(own.at("bytes_after") == same.at("bytes_after"));
  for (auto const& c : kvsieve::tool::evict_choices()) {
    if (!c.run || c.name == "low_rank_state") continue;  // that reads networks, which this dump has not
    CAPTURE(c.name);
    auto const merged = report(at, {"--strategy", "random", "--evict", c.name});
    CHECK(merged.at("layers")[0].at("kept") == own.at("layers")[0].at("kept"));
    CHECK(merged.at("mass") == own.at("mass"));
    auto const bytes = merged.at("bytes_after").get<int>(), before = own.at("bytes_after").get<int>();
    if (c.name == "merge_nearest")
      CHECK(bytes == before + 2 * 2 * 8);  // a bias for each of 8 rows
    else if (c.name == "zero_merge")
      CHECK(bytes == before / 8 * 9 + 2 * 2 * 9);  // and a slot beside the 8
    else
      CHECK(bytes == before);
  }
}

TEST_CASE("compress: a merging preset's own policy can be replaced and set", "[tools][command]") {
  with_dump const at;
  auto const dropped = report(at, {"--strategy", "merge_on_evict", "--evict", "compact"});
  CHECK(dropped.at("error") == report(at, {"--strategy", "key_diff"}).at("error"));
  CHECK(report(at, {"--strategy", "merge_on_evict"}).at("error") != dropped.at("error"));
  // No similarity is above 2.
  CHECK(mean_error(report(at, {"--strategy", "merge_on_evict", "--set", "evict.threshold=2"})) ==
        Catch::Approx(mean_error(dropped)));
  auto const set = report(at, {"--strategy", "random", "--evict", "merge_on_evict:threshold=2"});
  CHECK(mean_error(set) == Catch::Approx(mean_error(report(at, {"--strategy", "random"}))));
  CHECK(set.at("params").at("evict.threshold") == 2);
}

TEST_CASE("compress: a policy or field that is not there is refused by name", "[tools][command]") {
  with_dump const at;
  for (auto const& [evict, expected] : {std::pair{"none", "--evict none: there is compact, merge_nearest"},
                                        std::pair{"cam:size=4", "no field 'evict.size', there is evict.candidates"},
                                        std::pair{"cam:followers", "name:field=value is needed"}}) {
    program const p{{"compress", at.dump, "--strategy", "random", "--evict", evict}};
    CHECK(p.status == 2);
    CHECK_THAT(p.err, ContainsSubstring(expected));
  }
}

TEST_CASE("merged rows are judged with their bias, and what lies ahead is not seen", "[tools]") {
  using kvsieve::tool::attention::output;
  // Logits 1 / sqrt(1) * k + bias: weights 1, 3 and, of a row that stands for many, 4.
  float const query[] = {1};
  kvsieve::tool::stored_head rows;
  rows.token = {5, 9, -1};
  rows.keys = {0, 0, std::log(2.0f)};
  rows.values = {8, 16, 32};
  rows.bias = {0, std::log(3.0f), std::log(2.0f)};
  CHECK(output(query, rows, 10)[0] == Catch::Approx((8 + 3 * 16 + 4 * 32) / 8.0));
  CHECK(output(query, rows, 9)[0] == Catch::Approx((8 + 4 * 32) / 5.0));
  CHECK(output(query, {}, 9)[0] == 0);
}
