// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <kvsieve/version.hpp>
#include <new>

#include "command.hpp"

namespace kvsieve::tool {

int run(int argc, char const* const* argv, std::ostream& out, std::ostream& err, terminal where) {
  console const to{out, err, where};
  action chosen;
  CLI::App app{"kvsieve compresses the key/value cache of a transformer, saved to disk, with published strategies."};
  app.name("kvsieve");
  app.set_version_flag("--version", std::string{"kvsieve "} + KVSIEVE_VERSION_STRING);
  app.require_subcommand(1);
  app.footer(
      "\nExample:\n"
      "  kvsieve list\n"
      "  kvsieve compare cache.safetensors --strategies all --keeps 0.5,0.25 --html report.html\n"
      "  kvsieve compress cache.safetensors --strategy snap_kv --keep 0.25 --plan plan.json\n\n"
      "`kvsieve COMMAND --help` explains a command. Exit status: 0 done, 1 the run failed, 2 the command line is "
      "wrong.");
  add_list(app, to, chosen);
  add_compress(app, to, chosen);
  add_score(app, to, chosen);
  add_compare(app, to, chosen);
  add_inspect(app, to, chosen);
  add_expand(app, to, chosen);

  if (argc > 1 && argv[1][0] != '-') {
    bool known = false;
    std::string names;
    for (auto const* const s : app.get_subcommands({})) {
      known = known || s->get_name() == argv[1];
      names += (names.empty() ? "" : ", ") + s->get_name();
    }
    if (!known) return to.fail(usage_wrong, "no command '" + std::string{argv[1]} + "'; there are " + names);
  }
  try {
    app.parse(argc, const_cast<char**>(argv));
    int const status = chosen();
    out.flush();
    if (!out) return to.fail(run_failed, "cannot write the output");
    return status;
  } catch (CLI::ParseError const& e) {
    return app.exit(e, out, err) == 0 ? done : usage_wrong;
  } catch (std::bad_alloc const&) {
    return to.fail(run_failed, "not enough memory");
  } catch (std::exception const& e) {
    return to.fail(run_failed, e.what());
  }
}

}  // namespace kvsieve::tool
