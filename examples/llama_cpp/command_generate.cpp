// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <memory>

#include "bounded.hpp"
#include "pass.hpp"
#include "text.hpp"
#include "told.hpp"

namespace kvsieve::llama_example {
namespace {

struct options {
  model_options from;
  compress_options how;
  std::string file, prompt;
  bool known = false, raw = false, full = false;
  int predict = 128, context = 0, cells = 0;
};

/// Reads the text through a cache of --cells, which is compressed where it lies whenever it is full, and answers from
/// what is in it.
message answer_bounded(options const& given, chosen_strategy const& with, model const& of, prompt_parts const& all,
                       int threads, tool::console const& to) {
  bounded cache;
  if (message m = cache.open(of, given.cells, with, threads)) return m;
  generated of_full, of_kept;
  if (given.full) {
    session whole;
    int const tokens = static_cast<int>(all.context.size() + all.behind.size()) + given.predict;
    if (message m = whole.open(of, {tokens, threads})) return m;
    to.progress("reading with a full cache");
    if (message m = whole.decode(all.context, 0)) return m;
    to.progress({});
    if (message m = answer_full(of, whole, all, given.predict, to, of_full)) return m;
  }
  std::size_t const resident_before = resident_bytes();
  int const cells = cache.in().options().tokens;
  to.progress("reading through " + std::to_string(cells) + " cells");
  auto const start = std::chrono::steady_clock::now();
  if (message m = cache.read(all.context, 1)) return m;
  double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  double const compressing = cache.seconds_compressing();
  int const compressions = cache.compressions();
  to.progress({});
  to.out << with.of->title << ", in " << cells << " cells:\n";
  auto const decode = [&](std::span<llama_token const> tokens, int) { return cache.read(tokens, 1); };
  if (message m = answer(of, cache.in(), all, given.predict, decode, tell(to), of_kept)) return m;
  to.out << "\n\n";

  facts table;
  table.add("prompt", std::to_string(all.context.size()) + " tokens, " + rate(all.context.size(), seconds));
  table.add("compressed", std::to_string(compressions) + (compressions == 1 ? " time" : " times") +
                              " while reading, in " + tool::format_seconds(compressing) + ", " +
                              tool::format_percent(compressing / seconds) + " of the prompt's time");
  table.add("cells",
            std::to_string(cells) + ", of which " + std::to_string(cells - cache.in().room()) + " are used in the end");
  std::size_t const bytes = cache.in().cache_bytes();
  table.add_bytes(all.context.size() * (bytes / static_cast<std::size_t>(cells)), bytes);
  table.add_resident(resident_before);
  if (given.full) table.add("decoding, full", rate(of_full));
  table.add("decoding, compressed", rate(of_kept));
  table.print(to);
  return {};
}

/// Reads the text at once, compresses its cache and answers from what was kept.
message answer_once(options const& given, chosen_strategy const& with, model const& of, prompt_parts const& all,
                    int threads, tool::console const& to) {
  int const context = static_cast<int>(all.context.size());
  int const more = static_cast<int>(all.behind.size()) + given.predict;
  // The pass behind the cache repeats a chunk of it.
  int const behind = std::max(given.full ? more : 0, pass_room(with.reads, context));
  int const cells = given.context > 0 ? given.context : context + behind;
  if (context + behind > cells)
    return context_too_small(cells, context, behind) + "; --cells reads through a smaller cache";
  session reads;
  if (message m = reads.open(of, {cells, threads})) return m;
  reading prompt;
  to.progress("reading " + std::to_string(context) + " tokens");
  if (message m = read_prompt(reads, of, all.context, 0, with.reads, prompt)) return m;
  to.progress({});

  std::size_t const bytes_before = prompt.dump.cache_bytes(), resident_before = resident_bytes();
  double const prompt_seconds = prompt.seconds, pass_seconds = prompt.pass_seconds;
  compression small;
  if (message m = compress(of, reads, prompt.dump, with, more, threads, small)) return m;
  std::size_t const bytes_after = small.cache.bytes();
  generated of_full, of_kept;
  if (given.full)
    if (message m = answer_full(of, reads, all, given.predict, to, of_full)) return m;
  prompt = {};
  reads = {};
  to.out << with.of->title << ", "
         << tool::format_percent(static_cast<double>(bytes_after) / static_cast<double>(bytes_before))
         << " of the bytes, in " << (small.cache.where() == holder::cells ? "llama.cpp's cells" : "kvsieve's memory")
         << ":\n";
  auto const decode = [&](std::span<llama_token const> tokens, int position) {
    return small.cache.decode(tokens, position);
  };
  if (message m = answer(of, small.cache.in(), all, given.predict, decode, tell(to), of_kept)) return m;
  to.out << "\n\n";

  facts table;
  table.add("prompt", std::to_string(context) + " tokens, " + rate(all.context.size(), prompt_seconds));
  if (pass_seconds > 0) table.add("pass behind it", tool::format_seconds(pass_seconds));
  table.add("compressed in", tool::format_seconds(small.seconds) + ", " +
                                 tool::format_percent(small.seconds / prompt_seconds) + " of the prompt's time");
  table.add_bytes(bytes_before, bytes_after);
  table.add_resident(resident_before);
  if (given.full) table.add("decoding, full", rate(of_full));
  table.add("decoding, compressed", rate(of_kept));
  if (!small.kept.note.empty()) table.add("note", small.kept.note);
  table.print(to);
  return {};
}

int run(options const& given, tool::console const& to) {
  auto const failed = [&](message const& m) { return to.fail(tool::run_failed, *m); };
  int const threads = threads_of(given.from.threads);
  chosen_strategy with;
  if (message m = check(given.how, threads, with)) return to.fail(tool::usage_wrong, *m);
  if (given.how.pass != 1 && !with.reads.pass)
    return to.fail(tool::usage_wrong,
                   "--pass is " + tool::format_exact(given.how.pass) + ", and " + with.of->name + " has no pass");
  if (given.predict < 1)
    return to.fail(tool::usage_wrong, "--predict is " + std::to_string(given.predict) + ", must be above 0");
  for (auto const& [name, value] : {std::pair{"--cells", given.cells}, {"--context", given.context}})
    if (value < 0)
      return to.fail(tool::usage_wrong, std::string(name) + " is " + std::to_string(value) + ", less than 0");
  std::string text;
  if (message m = read_text_file(given.file, text)) return failed(m);
  model of;
  if (message m = of.load(given.from.model, given.from.servers)) return failed(m);
  prompt_parts all;
  std::string const question = given.prompt.empty() ? "" : "\n\n" + given.prompt;
  if (message m = divide_prompt(of, text, question, "", given.known, given.raw, all)) return failed(m);
  message const m = given.cells > 0 ? answer_bounded(given, with, of, all, threads, to)
                                    : answer_once(given, with, of, all, threads, to);
  to.progress({});
  return m ? failed(m) : tool::done;
}

}  // namespace

void add_generate(CLI::App& app, tool::console const& to, tool::action& chosen) {
  auto const given = std::make_shared<options>();
  auto* const command = app.add_subcommand("generate", "Answer from a compressed cache");
  add_model_options(*command, given->from);
  add_rpc_options(*command, given->from.servers);
  add_compress_options(*command, given->how);
  add_pass_option(*command, given->how.pass);
  command->add_option("--file", given->file, "The text that is read and compressed; '-': standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--prompt", given->prompt, "What is asked about it, decoded behind the compressed cache");
  command->add_flag("--known", given->known, "Compress with the prompt in the cache");
  command->add_flag("--raw", given->raw, "No chat template");
  command->add_flag("--full", given->full, "Answer from the full cache as well");
  auto* const context =
      command->add_option("--context", given->context, "Cells of the cache that reads; 0: as many as needed");
  context->type_name("N");
  command
      ->add_option("--cells", given->cells,
                   "Read through a cache of so many cells, compressed where it lies whenever it is full; 0: at once")
      ->type_name("N")
      ->excludes(context);
  command->add_option("--predict", given->predict, "The most tokens of an answer")->type_name("N");
  command->callback([given, &to, &chosen] { chosen = [given, &to] { return run(*given, to); }; });
}

}  // namespace kvsieve::llama_example
