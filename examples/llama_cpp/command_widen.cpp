// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// With quantised weights llama.cpp rounds what enters every product to 8 bits, and a difference of 1e-7 in the
// attention becomes a divergence of 0.002 nats. Small divergences are measured with the same weights in f32.
#include <llama.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "commands.hpp"
#include "file.hpp"

namespace kvsieve::llama_example {
namespace {

struct options {
  model_options from;
  std::string out;
};

int run(options const& given, tool::console const& to) {
  auto const failed = [&](message const& m) { return to.fail(tool::run_failed, *m); };
  if (message m = tool::check_writable(given.out)) return failed(m);
  {
    model of;  // refuses what is no GGUF in a line
    if (message m = of.load(given.from.model)) return failed(m);
  }
  auto how = llama_model_quantize_default_params();
  how.ftype = LLAMA_FTYPE_ALL_F32;
  how.allow_requantize = true;
  how.nthread = threads_of(given.from.threads);
  if (llama_model_quantize(given.from.model.c_str(), given.out.c_str(), &how) != 0)
    return failed("llama.cpp did not write '" + given.out + "'");
  to.out << "wrote " << given.out << '\n';
  return tool::done;
}

}  // namespace

void add_widen(CLI::App& app, tool::console const& to, tool::action& chosen) {
  auto const given = std::make_shared<options>();
  auto* const command =
      app.add_subcommand("widen", "Write a GGUF's weights in f32, for divergences that rounding hides");
  add_model_options(*command, given->from);
  command->add_option("--out", given->out, "The GGUF in f32")->required()->type_name("FILE");
  command->callback([given, &to, &chosen] { chosen = [given, &to] { return run(*given, to); }; });
}

}  // namespace kvsieve::llama_example
