// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "environment.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

namespace kvsieve::bench {
namespace {
namespace fs = std::filesystem;

std::string output_of(std::string const& command) {
  std::string out;
  if (FILE* const pipe = popen((command + " 2>/dev/null").c_str(), "r")) {
    char part[256];
    while (std::fgets(part, sizeof part, pipe) != nullptr) out += part;
    pclose(pipe);
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return {};
}

std::string today() {
  std::time_t const now = std::time(nullptr);
  char text[32] = "";
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

/// The folder with the sources of the project.
fs::path source_root() { return KVSIEVE_SOURCE_DIR; }

/// How the build compiled this program, from the compile commands beside it.
std::string own_command() {
  std::error_code error;
  fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (; !folder.empty() && folder != folder.root_path(); folder = folder.parent_path())
    if (std::ifstream in(folder / "compile_commands.json"); in) {
      for (std::string line; std::getline(in, line);)
        if (line.find("\"command\"") != std::string::npos && line.find("bench/main.cpp") != std::string::npos)
          return line;
      return {};
    }
  return {};
}
}  // namespace

environment const& here() {
  static environment const all = [] {
    environment e;
    e.date = today();
    e.cpu = cpu_model();
#if defined(__clang__)
    e.compiler = "clang " __clang_version__;
#else
    e.compiler = "g++ " __VERSION__;
#endif
    std::istringstream words(own_command());
    bool takes_value = false;
    for (std::string word; words >> word;) {
      if (takes_value || word.starts_with("-I") || word == "-isystem") {
        e.includes += (e.includes.empty() ? "" : " ") + word;
        takes_value = word == "-isystem";
      } else if (word.starts_with("-O") || word.starts_with("-m") || word.starts_with("-std") || word == "-DNDEBUG") {
        e.flags += (e.flags.empty() ? "" : " ") + word;
      }
    }
    e.commit = output_of("git -C '" + source_root().string() + "' rev-parse --short HEAD");
    return e;
  }();
  return all;
}

umbrella_seconds compile_umbrella(std::string& why) {
  if (output_of("command -v g++").empty()) return why = "no g++ here", umbrella_seconds{};
  if (here().includes.empty()) return why = "no compile_commands.json in the build folder", umbrella_seconds{};
  char folder[] = "/tmp/kvsieve_bench_XXXXXX";
  if (mkdtemp(folder) == nullptr) return why = "no temporary folder", umbrella_seconds{};
  std::string const source = std::string(folder) + "/umbrella.cpp", object = std::string(folder) + "/umbrella.o";
  std::ofstream(source) << "#include <kvsieve/kvsieve.hpp>\n";
  auto const best_of_three = [&](std::string const& definitions) {
    std::string const command = "g++ -std=c++20 -O2 " + definitions + here().includes + " -I'" +
                                (source_root() / "include").string() + "' -c " + source + " -o " + object +
                                " >/dev/null 2>&1";
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      auto const start = std::chrono::steady_clock::now();
      if (std::system(command.c_str()) != 0) return why = "g++ did not compile it", -1.0;
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
  };
  std::string switches;
  for (char const* type : {"FP16", "BF16", "NVFP8", "NVFP6", "NVFP4"})
    switches += "-DCCCL_DISABLE_" + std::string(type) + "_SUPPORT ";
  umbrella_seconds const seconds{.found = best_of_three(""), .cccl_alone = best_of_three(switches)};
  std::error_code error;
  fs::remove_all(folder, error);
  return seconds;
}
}  // namespace kvsieve::bench
