// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "record.hpp"

#include <cstdio>
#include <memory>

#include "limits.hpp"

namespace kvsieve::bench::gpu {
namespace {
std::string output_of(char const* command) {
  std::string out;
  if (FILE* const pipe = popen(command, "r")) {
    char part[256];
    while (std::fgets(part, sizeof part, pipe) != nullptr) out += part;
    pclose(pipe);
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

struct environment {
  std::string gpu, driver, clocks;
  int processors = 0, runtime = 0, clock_khz = 0;
};
environment const& here() {
  static environment const once = [] {
    environment e;
    cudaDeviceProp p{};
    must(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
    e.gpu = p.name;
    e.processors = p.multiProcessorCount;
    must(cudaRuntimeGetVersion(&e.runtime), "cudaRuntimeGetVersion");
    must(cudaDeviceGetAttribute(&e.clock_khz, cudaDevAttrClockRate, 0), "cudaDeviceGetAttribute");
    e.driver = output_of("nvidia-smi --id=0 --query-gpu=driver_version --format=csv,noheader 2>/dev/null");
    e.clocks =
        output_of("nvidia-smi --id=0 --query-gpu=clocks.sm,clocks.mem,power.draw --format=csv,noheader 2>/dev/null");
    return e;
  }();
  return once;
}

std::string quoted(std::string const& text) {
  std::string out = "\"";
  for (char const c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}
}  // namespace

std::vector<record>& records() {
  static std::vector<record> all;
  return all;
}

share share_of_limit(record const& r) {
  auto const& l = measured_limits();
  // What is written costs as much as in a copy; the rest is read.
  double const copied = 2 * std::min(r.least.read, r.least.written);
  double const moved = copied / l.copy + (r.least.read + r.least.written - copied) / l.read;
  double const computed = r.least.flops / l.ffma;
  if (r.seconds.median <= 0) return {};
  if (computed > moved) return {computed / r.seconds.median, "FFMA"};
  return {moved / r.seconds.median, r.least.written > 0.5 * r.least.read ? "copy" : "read"};
}

void print_table(about const& a) {
  auto const& l = measured_limits();
  auto const& e = here();
  std::printf(
      "%s, %d SMs, driver %s, CUDA %d, at most %d MHz (SM clock, memory clock, power after the run: %s), %s %s\n",
      e.gpu.c_str(), e.processors, e.driver.c_str(), e.runtime, e.clock_khz / 1000, e.clocks.c_str(), a.date.c_str(),
      a.commit.c_str());
  std::printf(
      "limits: read %.0f GB/s, copy %.0f GB/s (read and written), FFMA %.1f TF/s, mma.sync bf16 %.0f TF/s, "
      "an empty launch %.2f us\n\n",
      1e-9 * l.read, 1e-9 * l.copy, 1e-12 * l.ffma, 1e-12 * l.tensor, 1e6 * l.launch);
  std::printf("%-26s %-5s %6s %6s | %10s %21s | %8s %8s | %6s %-5s | %8s\n", "operation", "dtype", "tokens", "layers",
              "us", "quartiles", "GB/s", "TF/s", "%", "of", "tensor %");
  for (auto const& r : records()) {
    if (!r.wrong.empty()) {
      std::printf("%-26s %-5s %6d %6d | WRONG: %s\n", r.name.c_str(), r.dtype.c_str(), r.tokens, r.layers,
                  r.wrong.c_str());
      continue;
    }
    double const s = r.seconds.median;
    share const part = share_of_limit(r);
    std::printf("%-26s %-5s %6d %6d | %10.2f %10.2f-%10.2f | %8.0f %8.2f | %6.1f %-5s | ", r.name.c_str(),
                r.dtype.c_str(), r.tokens, r.layers, 1e6 * s, 1e6 * r.seconds.low, 1e6 * r.seconds.high,
                1e-9 * (r.least.read + r.least.written) / s, 1e-12 * r.least.flops / s, 100 * part.fraction, part.of);
    if (r.least.flops > 0) std::printf("%8.2f", 100 * r.least.flops / l.tensor / s);
    std::printf("\n");
  }
}

bool write_json(char const* path, about const& a) {
  std::unique_ptr<FILE, int (*)(FILE*)> const file(std::fopen(path, "w"), std::fclose);
  FILE* const f = file.get();
  if (f == nullptr) return false;
  auto const& l = measured_limits();
  auto const& e = here();
  std::fprintf(f,
               "{\n  \"date\": %s,\n  \"commit\": %s,\n  \"gpu\": %s,\n  \"processors\": %d,\n  \"driver\": %s,\n"
               "  \"cuda\": %d,\n  \"most_clock_mhz\": %d,\n  \"clocks_after\": %s,\n",
               quoted(a.date).c_str(), quoted(a.commit).c_str(), quoted(e.gpu).c_str(), e.processors,
               quoted(e.driver).c_str(), e.runtime, e.clock_khz / 1000, quoted(e.clocks).c_str());
  std::fprintf(f, "  \"shape\": {\"kv_heads\": 8, \"query_heads\": 32, \"head_dim\": 128, \"window\": 64},\n");
  std::fprintf(f,
               "  \"limits\": {\"read_gb_s\": %.5g, \"copy_gb_s\": %.5g, \"ffma_tf_s\": %.4g, \"mma_bf16_tf_s\": %.4g, "
               "\"launch_us\": %.3g},\n  \"results\": [",
               1e-9 * l.read, 1e-9 * l.copy, 1e-12 * l.ffma, 1e-12 * l.tensor, 1e6 * l.launch);
  for (std::size_t i = 0; i < records().size(); ++i) {
    auto const& r = records()[i];
    std::fprintf(f, "%s\n    {\"name\": %s, \"dtype\": %s, \"tokens\": %d, \"layers\": %d, ", i == 0 ? "" : ",",
                 quoted(r.name).c_str(), quoted(r.dtype).c_str(), r.tokens, r.layers);
    if (!r.wrong.empty()) {
      std::fprintf(f, "\"wrong\": %s}", quoted(r.wrong).c_str());
      continue;
    }
    share const part = share_of_limit(r);
    double const s = r.seconds.median;
    std::fprintf(f,
                 "\"us\": {\"q1\": %.6g, \"median\": %.6g, \"q3\": %.6g}, \"bytes\": %.10g, \"flops\": %.10g, "
                 "\"gb_s\": %.5g, \"gf_s\": %.5g, \"fraction\": %.4g, \"of\": \"%s\", \"tensor_fraction\": %.4g}",
                 1e6 * r.seconds.low, 1e6 * s, 1e6 * r.seconds.high, r.least.read + r.least.written, r.least.flops,
                 1e-9 * (r.least.read + r.least.written) / s, 1e-9 * r.least.flops / s, part.fraction, part.of,
                 r.least.flops / l.tensor / s);
  }
  std::fprintf(f, "\n  ]\n}\n");
  return std::ferror(f) == 0;
}
}  // namespace kvsieve::bench::gpu
