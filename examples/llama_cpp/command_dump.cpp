// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>
#include <optional>

#include "commands.hpp"
#include "file.hpp"
#include "pass.hpp"
#include "text.hpp"

namespace kvsieve::llama_example {
namespace {

struct options {
  model_options from;
  std::string file, out;
  int queries = 64, context = 0;
  std::optional<double> pass;
  bool hidden = false, output = false;
};

int run(options const& given, tool::console const& to) {
  auto const failed = [&](message const& m) { return to.fail(tool::run_failed, *m); };
  if (given.queries < -1 || given.queries == 0)
    return to.fail(tool::usage_wrong,
                   "--queries is " + std::to_string(given.queries) + ", must be above 0, or -1 for all");
  if (given.pass)
    if (message m = check_pass(*given.pass)) return to.fail(tool::usage_wrong, *m);
  if (message m = tool::check_writable(given.out)) return failed(m);
  std::string text;
  if (message m = read_text_file(given.file, text)) return failed(m);
  model of;
  if (message m = of.load(given.from.model, given.from.servers)) return failed(m);
  auto const tokens = of.tokens(text, true, false);
  wanted const what{given.queries, given.pass.has_value(), given.pass.value_or(1), given.hidden, given.output};
  int const count = static_cast<int>(tokens.size()), pass = pass_room(what, count);
  session reads;
  int const cells = given.context > 0 ? given.context : count + pass;
  if (message m = reads.open(of, {cells, threads_of(given.from.threads)})) return failed(m);
  to.progress("reading " + std::to_string(count) + " tokens");
  reading prompt;
  if (message m = read_prompt(reads, of, tokens, 0, what, prompt)) return failed(m);
  to.progress({});
  if (message m = write_dump(prompt.dump, given.out)) return failed(m);
  to.out << "wrote " << given.out << ": " << prompt.dump.layers.size() << " layers of " << count << " tokens, "
         << tool::format_bytes(prompt.dump.cache_bytes()) << " of keys and values\n";
  return tool::done;
}

}  // namespace

void add_dump(CLI::App& app, tool::console const& to, tool::action& chosen) {
  auto const given = std::make_shared<options>();
  auto* const command =
      app.add_subcommand("dump", "Write the cache of a text as kvsieve-dump-1, for the program kvsieve");
  add_model_options(*command, given->from);
  add_rpc_options(*command, given->from.servers);
  command->add_option("--file", given->file, "The text; '-': standard input")->required()->type_name("FILE");
  command->add_option("--out", given->out, "The dump, a safetensors file")->required()->type_name("FILE");
  command->add_option("--queries", given->queries, "Queries of the last positions; -1: all")->type_name("N");
  command->add_option("--context", given->context, "Cells of the cache that reads; 0: as many as needed")
      ->type_name("N");
  command
      ->add_option(
          "--pass", given->pass,
          "With a pass behind the cache that repeats the text, or this share of it, 0 to 1; below 1 the text's "
          "own queries, moved behind it, stand in for the rest")
      ->type_name("F")
      ->expected(0, 1)
      ->default_str("1");
  command->add_flag("--hidden", given->hidden, "With what enters the attention of every layer");
  command->add_flag("--output-projection", given->output, "With the output projections");
  command->callback([given, &to, &chosen] { chosen = [given, &to] { return run(*given, to); }; });
}

}  // namespace kvsieve::llama_example
