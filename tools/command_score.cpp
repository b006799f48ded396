// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "comparison.hpp"
#include "file.hpp"
#include "safetensors.hpp"

namespace kvsieve::tool {
namespace {

struct options {
  dump_options from;
  strategy_options with;
  std::string out;
};

int score(options const& given, console const& to) {
  if (auto failed = check_writable(given.out)) return to.fail(run_failed, *failed);
  single_run ran;
  if (int const status = run_once(given.from, given.with, to, ran); status != done) return status;
  to.progress({});

  std::vector<safetensors::item> items;
  std::string layers;
  auto const heads = static_cast<std::size_t>(ran.dump.kv_heads), tokens = static_cast<std::size_t>(ran.dump.tokens);
  for (auto const& l : ran.result.layers) {
    auto const index = std::to_string(l.layer);
    if (l.score.size() != heads * tokens)
      return to.fail(run_failed, ran.result.strategy + ": layer " + index + " has " + std::to_string(l.score.size()) +
                                     " scores, " + std::to_string(heads * tokens) + " are needed");
    items.push_back(
        {"layers." + index + ".score", "F32", {ran.dump.kv_heads, ran.dump.tokens}, std::as_bytes(std::span{l.score})});
    layers += (layers.empty() ? "" : ",") + index;
  }
  std::map<std::string, std::string> const metadata{{"format", "kvsieve-scores-1"},
                                                    {"strategy", ran.result.strategy},
                                                    {"params", to_text(params_json(ran.result), -1)},
                                                    {"uniformity", ran.result.uniformity},
                                                    {"model", ran.dump.model},
                                                    {"tokens", std::to_string(ran.dump.tokens)},
                                                    {"num_kv_heads", std::to_string(ran.dump.kv_heads)},
                                                    {"layers", layers}};
  if (auto failed = safetensors::write(given.out, items, metadata)) return to.fail(run_failed, *failed);
  to.out << "wrote " << given.out << ": " << items.size() << (items.size() == 1 ? " layer" : " layers") << " of ["
         << ran.dump.kv_heads << ", " << ran.dump.tokens << "] scores; +inf marks a forced token\n";
  return done;
}

}  // namespace

void add_score(CLI::App& app, console const& to, action& chosen) {
  auto* const command = app.add_subcommand("score", "write every token's score, exactly what selection sees");
  command->footer(
      "\nExample:\n"
      "  kvsieve score cache.safetensors --strategy key_diff --out scores.safetensors\n\n"
      "scores.safetensors holds layers.<i>.score, F32 [KV heads, tokens]; a forced token's score is +inf.");
  auto const given = std::make_shared<options>();
  add_dump_options(*command, given->from);
  add_strategy_options(*command, given->with);
  command->add_option("--out", given->out, "the safetensors file to write")->required()->type_name("FILE");
  command->callback([=, &to, &chosen] { chosen = [=, &to] { return score(*given, to); }; });
}

}  // namespace kvsieve::tool
