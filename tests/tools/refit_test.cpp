// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Values refitted before they are stored, asked for on the command line.
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::compress_report;
using kvsieve::test::mean_error;
using kvsieve::test::program;
using kvsieve::test::with_dump;
using nlohmann::json;

namespace {
json report(with_dump const& at, std::vector<std::string> const& more) {
  return compress_report(at, {"--strategy", "random", "--keep", "0.5"}, more);
}
}  // namespace

TEST_CASE("compress: refitted values bring the outputs of the queries they are fitted to closer", "[tools][refit]") {
  with_dump const at;
  for (auto const& with : {std::vector<std::string>{},
                           {"--store", "levels"},
                           {"--store", "kivi4"},
                           {"--evict", "merge_nearest"},
                           {"--evict", "merge_nearest", "--store", "levels"}}) {
    auto more = with;
    auto const plain = report(at, more);
    more.insert(more.end(), {"--refit", "0.1"});
    auto const refitted = report(at, more);
    CAPTURE(with);
    CHECK(mean_error(refitted) < mean_error(plain));
    CHECK(refitted.at("bytes_after") == plain.at("bytes_after"));
    CHECK(refitted.at("layers")[0].at("kept") == plain.at("layers")[0].at("kept"));
    // A ridge so large moves nothing.
    more.back() = "1e12";
    CHECK(mean_error(report(at, more)) == Catch::Approx(mean_error(plain)).epsilon(1e-4));
  }
}

TEST_CASE("compress: what cannot be refitted is refused in one line", "[tools][refit]") {
  with_dump const at;
  for (std::string const ridge : {"-1", "nan"}) {
    program const p{{"compress", at.dump, "--strategy", "random", "--refit", ridge}};
    CHECK(p.status == 2);
    CHECK_THAT(p.err, ContainsSubstring("--refit is " + ridge + ", must be above 0"));
  }
  kvsieve::test::small_dump made;
  std::erase_if(made.parts, [](auto const& p) { return p.name.ends_with(".q"); });
  kvsieve::test::scratch const other;
  made.write(other / "d");
  program const p{{"compress", other / "d", "--strategy", "random", "--refit", "0.1"}};
  CHECK(p.status == 1);
  CHECK_THAT(p.err, ContainsSubstring("layers.1.q is missing, and --refit reads it"));
  CHECK(std::count(p.err.begin(), p.err.end(), '\n') == 1);
}
