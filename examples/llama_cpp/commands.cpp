// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "commands.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "fidelity.hpp"
#include "pass.hpp"
#include "storage.hpp"
#include "texts.hpp"

namespace kvsieve::llama_example {
namespace {
using clock = std::chrono::steady_clock;
double since(clock::time_point start) { return std::chrono::duration<double>(clock::now() - start).count(); }
}  // namespace

void add_model_options(CLI::App& command, model_options& into) {
  command.add_option("--model", into.model, "A GGUF")->required()->type_name("FILE");
  command.add_option("--threads", into.threads, "Threads; 0: one for each processor")->type_name("N");
}

void add_rpc_options(CLI::App& command, rpc_servers& into) {
  command.add_option("--rpc", into.endpoints, "llama.cpp's RPC servers, which hold the layers")
      ->type_name("HOST:PORT,...");
  command.add_option("--rpc-split", into.split, "Shares of the layers, one for each (default: by their free memory)")
      ->type_name("F,...");
}

void add_compress_options(CLI::App& command, compress_options& into) {
  tool::add_strategy_options(command, into.with);
  tool::add_store_option(command, into.with.store, false);
  command.add_option("--hold", into.hold, "Where what is kept lies: auto, cells (llama.cpp's), memory (kvsieve's)")
      ->type_name("WHERE");
  command.add_option("--queries", into.queries, "Queries of the last positions that strategies observe; -1: all")
      ->type_name("N");
}

void add_pass_option(CLI::App& command, double& into) {
  command
      .add_option(
          "--pass", into,
          "The share of the text that strategies with a pass behind the cache let it repeat, 0 to 1; below 1 the "
          "text's own queries, moved behind it, stand in for the rest")
      ->type_name("F");
}

message check(compress_options const& given, int threads, chosen_strategy& out) {
  chosen_strategy fresh;
  if (message m = tool::check(given.with, fresh.of, fresh.run, fresh.bytes)) return m;
  if (message m = parse_holder(given.hold, fresh.where)) return m;
  if (given.queries < -1 || given.queries == 0)
    return "--queries is " + std::to_string(given.queries) + ", must be above 0, or -1 for all";
  if (message m = check_pass(given.pass)) return m;
  fresh.run.threads = threads;
  if (fresh.run.store != nullptr) fresh.store = fresh.run.store->name;
  if (fresh.run.evict != nullptr)
    fresh.merges = static_cast<bool>(fresh.run.evict->run);
  else
    for (auto const& [stage, policy] : fresh.of->stages) fresh.merges = fresh.merges || stage == "evict";
  fresh.merges = fresh.merges || fresh.run.refit > 0;
  fresh.run.merges = tool::merges_rows(*fresh.of, fresh.run);
  fresh.reads = wanted_by(*fresh.of, given.queries, given.pass);
  out = std::move(fresh);
  return {};
}

message run_strategy(chosen_strategy const& with, tool::cache_dump const& dump, tool::outcome& out) {
  auto run = with.run;
  if (with.bytes.given()) run.bytes = with.bytes.of(dump.cache_bytes());
  if (message m = with.of->run(dump, run, out)) return m;
  return tool::check_outcome(dump, out);
}

message compress(model const& of, session const& read_in, tool::cache_dump const& dump, chosen_strategy const& with,
                 int room, int threads, compression& out) {
  auto const start = clock::now();
  if (message m = run_strategy(with, dump, out.kept)) return m;
  if (message m = out.cache.make(of, read_in, dump, out.kept, with.store, with.merges, with.where, room, threads))
    return m;
  out.seconds = since(start);
  return {};
}

message generate(model const& of, session& in, int next, int most, decode_function const& decode,
                 std::function<void(std::string const&)> const& told, generated& out, bool past_end) {
  auto const start = clock::now();
  for (int i = 0; i < most; ++i) {
    llama_token const token = in.likeliest();
    if (of.ends(token) && !past_end) break;
    out.tokens.push_back(token);
    told(of.text(token));
    if (i + 1 == most) break;
    if (message m = decode({&token, 1}, next + i)) return m;
  }
  out.seconds = since(start);
  return {};
}

message answer(model const& of, session& in, prompt_parts const& parts, int most, decode_function const& decode,
               std::function<void(std::string const&)> const& told, generated& out, bool past_end) {
  int const behind = static_cast<int>(parts.context.size());
  if (message m = decode(parts.behind, behind)) return m;
  return generate(of, in, behind + static_cast<int>(parts.behind.size()), most, decode, told, out, past_end);
}

message read_text_file(std::string const& name, std::string& out) {
  if (name != "-") return read_text(name, out);
  std::ostringstream all;
  all << std::cin.rdbuf();
  out = std::move(all).str();
  return out.empty() ? message("the standard input is empty") : message{};
}

std::string rate(std::size_t tokens, double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f tokens/s", static_cast<double>(tokens) / seconds);
  return tokens > 0 && seconds > 0 ? text : "-";
}

std::string rate(generated const& made) { return rate(made.tokens.empty() ? 0 : made.tokens.size() - 1, made.seconds); }

int threads_of(int given) {
  return given > 0 ? given : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/status");
  std::string word;
  for (std::size_t kilobytes = 0; file >> word;)
    if (word == "VmRSS:" && file >> kilobytes) return kilobytes * 1024;
  return 0;
}

}  // namespace kvsieve::llama_example
