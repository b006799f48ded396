// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// kvsieve inside llama.cpp: a GGUF reads a text, its cache is compressed by any strategy and storage, and it goes on
// from what is left.
#include <llama.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "commands.hpp"

namespace {

/// llama.cpp's own messages: what is wrong, and no more.
void tell(ggml_log_level level, char const* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::cerr << text;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace kvsieve;
  bool const terminal = ::isatty(STDERR_FILENO) == 1;
  tool::console const to{std::cout, std::cerr, {.colour = false, .progress = terminal}};
  tool::action chosen;
  CLI::App app{
      "kvsieve inside llama.cpp: reads a text with a GGUF, compresses its cache, and goes on from what is left."};
  app.name("kvsieve_llama");
  app.require_subcommand(1);
  app.footer(
      "\nExample:\n"
      "  kvsieve_llama generate --model model.gguf --file book.txt --prompt 'Who wrote it?' --strategy snap_kv --keep "
      "0.25\n\n`kvsieve_llama COMMAND --help` explains a command.");
  llama_example::add_generate(app, to, chosen);
  llama_example::add_chat(app, to, chosen);
  llama_example::add_decode(app, to, chosen);
  llama_example::add_dump(app, to, chosen);
  llama_example::add_widen(app, to, chosen);
  std::string command = "kvsieve_llama";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  llama_example::add_eval(app, command, to, chosen);
  llama_log_set(tell, nullptr);
  llama_backend_init();
  try {
    app.parse(argc, argv);
    int const status = chosen();
    llama_backend_free();
    return status;
  } catch (CLI::ParseError const& e) {
    return app.exit(e) == 0 ? tool::done : tool::usage_wrong;
  } catch (std::bad_alloc const&) {
    return to.fail(tool::run_failed, "not enough memory");
  } catch (std::exception const& e) {
    return to.fail(tool::run_failed, e.what());
  }
}
