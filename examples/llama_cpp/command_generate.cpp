// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

#include "commands.hpp"
#include "prompt_parts.hpp"
#include "text.hpp"

namespace kvsieve::llama_example {
namespace {

struct options {
  model_options from;
  compress_options how;
  std::string file, prompt;
  bool known = false, raw = false, full = false;
  int predict = 128, context = 0;
};

std::string rate(std::size_t tokens, double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f tokens/s", static_cast<double>(tokens) / seconds);
  return tokens > 0 && seconds > 0 ? text : "-";
}
/// Tokens that were decoded one by one: the first came with the prompt.
std::string rate(generated const& made) { return rate(made.tokens.empty() ? 0 : made.tokens.size() - 1, made.seconds); }

int run(options const& given, tool::console const& to) {
  auto const failed = [&](message const& m) { return to.fail(tool::run_failed, *m); };
  int const threads = threads_of(given.from.threads);
  chosen_strategy with;
  if (message m = check(given.how, threads, with)) return to.fail(tool::usage_wrong, *m);
  if (given.predict < 1)
    return to.fail(tool::usage_wrong, "--predict is " + std::to_string(given.predict) + ", must be above 0");
  std::string text;
  if (message m = read_text_file(given.file, text)) return failed(m);
  model of;
  if (message m = of.load(given.from.model)) return failed(m);
  prompt_parts all;
  std::string const question = given.prompt.empty() ? "" : "\n\n" + given.prompt;
  if (message m = divide_prompt(of, text, question, "", given.known, given.raw, all)) return failed(m);

  int const context = static_cast<int>(all.context.size());
  int const more = static_cast<int>(all.behind.size()) + given.predict;
  // The pass behind the cache repeats a chunk of it.
  int const pass = pass_room(with.reads, context);
  int const cells = given.context > 0 ? given.context : context + std::max(more, pass);
  session reads;
  if (message m = reads.open(of, {cells, threads})) return failed(m);
  if (context + std::max(given.full ? more : 0, pass) > reads.options().tokens)
    return failed("the text has " + std::to_string(context) + " tokens, and --context is " +
                  std::to_string(reads.options().tokens) + " with what comes behind");
  reading prompt;
  to.progress("reading " + std::to_string(context) + " tokens");
  if (message m = read_prompt(reads, of, all.context, 0, with.reads, prompt)) return failed(m);
  to.progress({});

  generated of_full;
  if (given.full) {
    to.out << "full cache:\n";
    auto const decode = [&](std::span<llama_token const> tokens, int position) {
      return reads.decode(tokens, position);
    };
    if (message m = answer(
            of, reads, all, given.predict, decode, [&](std::string const& piece) { to.out << piece << std::flush; },
            of_full))
      return failed(m);
    to.out << "\n\n";
    reads.forget_from(context, context);
  }
  std::size_t const bytes_before = prompt.dump.cache_bytes(), resident_before = resident_bytes();
  double const prompt_seconds = prompt.seconds, pass_seconds = prompt.pass_seconds;
  compression small;
  if (message m = compress(of, reads, prompt.dump, with, more, threads, small)) return failed(m);
  std::size_t const bytes_after = small.cache.bytes();
  prompt = {};
  reads = {};
  generated of_kept;
  to.out << with.of->title << ", "
         << tool::format_percent(static_cast<double>(bytes_after) / static_cast<double>(bytes_before))
         << " of the bytes, in " << (small.cache.where() == holder::cells ? "llama.cpp's cells" : "kvsieve's memory")
         << ":\n";
  auto const decode = [&](std::span<llama_token const> tokens, int position) {
    return small.cache.decode(tokens, position);
  };
  if (message m = answer(
          of, small.cache.in(), all, given.predict, decode,
          [&](std::string const& piece) { to.out << piece << std::flush; }, of_kept))
    return failed(m);
  to.out << "\n\n";

  tool::text_table table({{"", false}, {"", false}});
  auto const add = [&](std::string name, std::string value) { table.add({{std::move(name)}, {std::move(value)}}); };
  add("prompt", std::to_string(context) + " tokens, " + rate(all.context.size(), prompt_seconds));
  if (pass_seconds > 0) add("pass behind it", tool::format_seconds(pass_seconds));
  add("compressed in", tool::format_seconds(small.seconds) + ", " +
                           tool::format_percent(small.seconds / prompt_seconds) + " of the prompt's time");
  add("keys and values", tool::format_bytes(bytes_before) + " before, " + tool::format_bytes(bytes_after) + " after");
  if (std::size_t const now = resident_bytes(); now > 0)
    add("resident memory", tool::format_bytes(resident_before) + " before, " + tool::format_bytes(now) + " after");
  if (given.full) add("decoding, full", rate(of_full));
  add("decoding, compressed", rate(of_kept));
  if (!small.kept.note.empty()) add("note", small.kept.note);
  table.print(to.out, to.where.colour);
  return tool::done;
}

}  // namespace

void add_generate(CLI::App& app, tool::console const& to, tool::action& chosen) {
  auto const given = std::make_shared<options>();
  auto* const command = app.add_subcommand("generate", "Answer from a compressed cache");
  add_model_options(*command, given->from);
  add_compress_options(*command, given->how);
  command->add_option("--file", given->file, "The text that is read and compressed; '-': standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--prompt", given->prompt, "What is asked about it, decoded behind the compressed cache");
  command->add_flag("--known", given->known, "Compress with the prompt in the cache");
  command->add_flag("--raw", given->raw, "No chat template");
  command->add_flag("--full", given->full, "Answer from the full cache as well");
  command->add_option("--context", given->context, "Cells of the cache that reads; 0: as many as needed")
      ->type_name("N");
  command->add_option("--predict", given->predict, "The most tokens of an answer")->type_name("N");
  command->callback([given, &to, &chosen] { chosen = [given, &to] { return run(*given, to); }; });
}

}  // namespace kvsieve::llama_example
