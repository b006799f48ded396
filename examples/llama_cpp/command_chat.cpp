// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <memory>

#include "bounded.hpp"
#include "text.hpp"

namespace kvsieve::llama_example {
namespace {

struct options {
  model_options from;
  compress_options how;
  int cells = 1024, predict = 256;
};

/// One answer; its tokens are behind the cache afterwards.
message answer(model const& of, bounded& cache, int most, tool::console const& to, std::string& text) {
  generated made;
  auto const decode = [&](std::span<llama_token const> tokens, int) { return cache.read(tokens, 1); };
  if (message m = generate(
          of, cache.in(), cache.position(), most, decode,
          [&](std::string const& piece) {
            text += piece;
            to.out << piece << std::flush;
          },
          made))
    return m;
  // One that reached the limit was told and not decoded.
  if (made.tokens.size() < static_cast<std::size_t>(most)) return {};
  return decode({&made.tokens.back(), 1}, 0);
}

int run(options const& given, tool::console const& to) {
  auto const failed = [&](message const& m) { return to.fail(tool::run_failed, *m); };
  int const threads = threads_of(given.from.threads);
  chosen_strategy with;
  if (message m = check(given.how, threads, with)) return to.fail(tool::usage_wrong, *m);
  if (given.predict < 1 || given.cells <= given.predict)
    return to.fail(tool::usage_wrong, "--predict is " + std::to_string(given.predict) +
                                          ", must be above 0 and less than --cells, " + std::to_string(given.cells));
  model of;
  if (message m = of.load(given.from.model, given.from.servers)) return failed(m);
  if (of.chat({{"user", "a"}}, true).empty())
    return failed("this model has no chat template that llama.cpp knows; generate --raw goes without one");
  bounded cache;
  if (message m = cache.open(of, given.cells, with, threads)) return failed(m);
  std::vector<std::pair<std::string, std::string>> turns;
  std::string before, line;
  while (to.out << "> " << std::flush, std::getline(std::cin, line)) {
    if (line.empty()) continue;
    turns.emplace_back("user", line);
    std::string const now = of.chat(turns, true);
    if (!now.starts_with(before)) return failed("the chat template of this model changes earlier turns");
    int const compressions = cache.compressions();
    auto const tokens = of.tokens(std::string_view(now).substr(before.size()), before.empty(), true);
    if (message m = cache.read(tokens, 1)) return failed(m);
    std::string text;
    if (message m = answer(of, cache, given.predict, to, text)) return failed(m);
    turns.emplace_back("assistant", text);
    before = now + text;  // what the cache holds: the turn's end comes with the next one
    to.out << "\n[" << cache.position() << " tokens so far, " << cache.in().options().tokens - cache.in().room()
           << " of " << cache.in().options().tokens << " cells";
    if (int const more = cache.compressions() - compressions; more > 0)
      to.out << ", compressed " << more << (more == 1 ? " time" : " times");
    to.out << "]\n";
  }
  to.out << '\n';
  return tool::done;
}

}  // namespace

void add_chat(CLI::App& app, tool::console const& to, tool::action& chosen) {
  auto const given = std::make_shared<options>();
  given->how.with.name = "streaming_llm";
  auto* const command = app.add_subcommand("chat", "Talk, with a cache that is compressed whenever it is full");
  add_model_options(*command, given->from);
  add_rpc_options(*command, given->from.servers);
  add_compress_options(*command, given->how);
  command->get_option("--strategy")->required(false);  // streaming_llm serves any talk
  command->add_option("--cells", given->cells, "Cells of the cache")->type_name("N");
  command->add_option("--predict", given->predict, "The most tokens of an answer")->type_name("N");
  command->callback([given, &to, &chosen] { chosen = [given, &to] { return run(*given, to); }; });
}

}  // namespace kvsieve::llama_example
