// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "record.hpp"

#include <cstdio>
#include <memory>

#include "environment.hpp"
#include "limits.hpp"
#include "pool.hpp"
#include "shapes.hpp"
#include "team.hpp"

namespace kvsieve::bench {
namespace {
/// Seconds to compile the umbrella, asked for once.
umbrella_seconds compile_seconds(std::string& why) {
  static std::string reason;
  static umbrella_seconds const seconds = compile_umbrella(reason);
  why = reason;
  return seconds;
}

std::string quoted(std::string const& text) {
  std::string out = "\"";
  for (char const c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

void write(FILE* f, char const* name, spread const& s) {
  std::fprintf(f, "\"%s\": {\"q1\": %.6g, \"median\": %.6g, \"q3\": %.6g}, ", name, s.low, s.median, s.high);
}
}  // namespace

std::vector<record>& records() {
  static std::vector<record> all;
  return all;
}

void print_table() {
  auto const& l = measured_limits();
  std::printf(
      "\nlimits, %d threads: read %.1f GB/s, streaming copy %.1f GB/s, plain copy %.1f GB/s (read and written), "
      "f32 multiply-add %.0f GF/s\n\n",
      workers().workers(), l.read, l.copy, l.plain_copy, l.flops);
  std::printf("%-24s %-5s %6s | %9s %9s | %7s %15s | %7s %15s | %5s | %6s | %s\n", "operation", "dtype", "tokens", "ms",
              "CPU ms", "wall %", "quartiles", "CPU %", "quartiles", "goal", "allocs", "of");
  long allocated = 0;
  for (auto const& r : records()) {
    char goal[16] = "";
    if (r.goal > 0) std::snprintf(goal, sizeof goal, "%.0f", 100 * r.goal);
    if (r.goal < 0) std::snprintf(goal, sizeof goal, "< %.0f", -100 * r.goal);
    std::printf("%-24s %-5s %6d | %9.3f %9.3f | %7.1f %7.1f-%7.1f | %7.1f %7.1f-%7.1f | %5s | %6ld | %s\n",
                r.name.c_str(), r.dtype.c_str(), r.tokens, r.milliseconds.median, r.cpu_milliseconds,
                100 * r.ratio.median, 100 * r.ratio.low, 100 * r.ratio.high, 100 * r.cpu_ratio.median,
                100 * r.cpu_ratio.low, 100 * r.cpu_ratio.high, goal, r.allocations, r.limit.c_str());
    allocated += r.allocations;
  }
  std::printf("\nallocations in score, plan, apply and attend: %ld\n", allocated);
  std::string why;
  umbrella_seconds const seconds = compile_seconds(why);
  if (seconds.found >= 0)
    std::printf("a file that includes kvsieve/kvsieve.hpp: %.2f s with g++ -O2, %.2f s with CCCL's headers alone\n",
                seconds.found, seconds.cccl_alone);
  else
    std::printf("compile time of kvsieve/kvsieve.hpp: skipped, %s\n", why.c_str());
}

bool write_json(char const* path) {
  std::unique_ptr<FILE, int (*)(FILE*)> const file(std::fopen(path, "w"), std::fclose);
  FILE* const f = file.get();
  if (f == nullptr) return false;
  auto const& e = here();
  auto const& l = measured_limits();
  std::string why;
  umbrella_seconds const seconds = compile_seconds(why);
  std::fprintf(
      f,
      "{\n  \"date\": %s,\n  \"cpu\": %s,\n  \"threads\": %d,\n  \"last_level_cache\": %zu,\n  \"compiler\": %s,\n"
      "  \"flags\": %s,\n  \"commit\": %s,\n",
      quoted(e.date).c_str(), quoted(e.cpu).c_str(), workers().workers(), last_level_cache(),
      quoted(e.compiler).c_str(), quoted(e.flags).c_str(), quoted(e.commit).c_str());
  std::fprintf(f, "  \"shape\": {\"kv_heads\": %d, \"query_heads\": %d, \"head_dim\": %d, \"window\": %d},\n", kv_heads,
               query_heads, head_dim, window);
  std::fprintf(f,
               "  \"limits\": {\"read_gb_s\": %.4g, \"streaming_copy_gb_s\": %.4g, \"plain_copy_gb_s\": %.4g, "
               "\"multiply_add_gf_s\": %.4g},\n",
               l.read, l.copy, l.plain_copy, l.flops);
  if (seconds.found >= 0)
    std::fprintf(f, "  \"umbrella_compile_seconds\": %.3g,\n  \"umbrella_compile_seconds_cccl_alone\": %.3g,\n",
                 seconds.found, seconds.cccl_alone);
  std::fprintf(f, "  \"results\": [");
  for (std::size_t i = 0; i < records().size(); ++i) {
    auto const& r = records()[i];
    std::fprintf(f, "%s\n    {\"name\": %s, \"dtype\": %s, \"tokens\": %d, \"of\": %s, ", i == 0 ? "" : ",",
                 quoted(r.name).c_str(), quoted(r.dtype).c_str(), r.tokens, quoted(r.limit).c_str());
    write(f, "ms", r.milliseconds);
    std::fprintf(f, "\"best_ms\": %.6g, \"cpu_ms\": %.6g, ", r.best_milliseconds, r.cpu_milliseconds);
    write(f, "ratio", r.ratio);
    write(f, "cpu_ratio", r.cpu_ratio);
    std::fprintf(f, "\"allocations\": %ld, \"goal\": %.3g}", r.allocations, r.goal);
  }
  std::fprintf(f, "\n  ]\n}\n");
  return std::ferror(f) == 0;
}
}  // namespace kvsieve::bench
