// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the tests of the program share: the program run in process, and a folder with a dump for it.
#pragma once
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "files.hpp"

namespace kvsieve::test {

/// Normally distributed numbers times `scale`.
inline std::vector<float> draw(std::size_t size, float scale, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> all(size);
  for (float& x : all) x = scale * normal(random);
  return all;
}

/// A folder with a small dump in it.
struct with_dump : scratch {
  std::string dump = *this / "d.safetensors";
  with_dump() { small_dump{}.write(dump); }
};

/// The program, run in process.
struct program {
  std::string out, err;
  int status = 0;

  explicit program(std::vector<std::string> const& arguments) {
    std::vector<char const*> argv{"kvsieve"};
    for (auto const& a : arguments) argv.push_back(a.c_str());
    argv.push_back(nullptr);
    std::ostringstream to_out, to_err;
    status = tool::run(static_cast<int>(argv.size()) - 1, argv.data(), to_out, to_err);
    out = to_out.str();
    err = to_err.str();
  }
};

/// What `compress --json` reports of the dump with these options, and with `more` behind them.
inline nlohmann::json compress_report(with_dump const& at, std::vector<std::string> const& options,
                                      std::vector<std::string> const& more) {
  std::vector<std::string> arguments{"compress", at.dump, "--json"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  program const p{arguments};
  CAPTURE(p.err);
  REQUIRE(p.status == 0);
  return nlohmann::json::parse(p.out);
}
/// Mean relative error of the outputs in such a report.
inline double mean_error(nlohmann::json const& of) { return of.at("error").at("mean").get<double>(); }

}  // namespace kvsieve::test
