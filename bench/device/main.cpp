// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// kvsieve_device_bench: every operation of the device checked against the host, then timed against the GPU's limits.
//   --json=FILE     writes the table as JSON too
//   --commit=TEXT   what was built
//   --date=TEXT     instead of today's
//   --only=NAME     one family: rows, queries, lists or attend
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>

#include "benches.hpp"
#include "limits.hpp"
#include "record.hpp"

int main(int argc, char** argv) {
  using namespace kvsieve::bench::gpu;
  std::string json, only;
  about a{"unknown", {}};
  for (int i = 1; i < argc; ++i) {
    std::string_view const word = argv[i];
    auto const take = [&](std::string_view flag, std::string& to) {
      if (!word.starts_with(flag)) return false;
      to = word.substr(flag.size());
      return true;
    };
    if (take("--json=", json) || take("--commit=", a.commit) || take("--date=", a.date) || take("--only=", only))
      continue;
    std::fprintf(stderr, "kvsieve_device_bench: unknown option %s\n", argv[i]);
    return 2;
  }
  if (!only.empty() && only != "rows" && only != "queries" && only != "lists" && only != "attend") {
    std::fprintf(stderr, "kvsieve_device_bench: --only=%s: not one of rows, queries, lists, attend\n", only.c_str());
    return 2;
  }
  if (a.date.empty()) {
    std::time_t const now = std::time(nullptr);
    char text[32] = "";
    std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
    a.date = text;
  }
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::puts("skipped: no GPU here");
    return 0;
  }
  (void)measured_limits();
  if (only.empty() || only == "rows") time_rows();
  if (only.empty() || only == "queries") time_queries();
  if (only.empty() || only == "lists") time_lists();
  if (only.empty() || only == "attend") time_attend();
  print_table(a);
  if (!json.empty() && !write_json(json.c_str(), a)) {
    std::fprintf(stderr, "kvsieve_device_bench: cannot write %s\n", json.c_str());
    return 1;
  }
  int wrong = 0;
  for (auto const& r : records()) wrong += r.wrong.empty() ? 0 : 1;
  if (wrong != 0) std::fprintf(stderr, "kvsieve_device_bench: %d operations differ from the host\n", wrong);
  return wrong == 0 ? 0 : 1;
}
