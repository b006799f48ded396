// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>

#include "command.hpp"
#include "container.hpp"

namespace kvsieve::tool {
namespace {

int expand(std::string const& name, std::string const& out, console const& to) {
  if (auto failed = check_writable(out)) return to.fail(run_failed, *failed);
  mapped_file file;
  io::container all;
  if (auto failed = read_container(name, file, all)) return to.fail(run_failed, *failed);
  if (auto failed = expand_container(all, out)) return to.fail(run_failed, *failed);
  to.out << "wrote " << out << '\n';
  return done;
}

}  // namespace

void add_expand(CLI::App& app, console const& to, action& chosen) {
  auto* const command = app.add_subcommand("expand", "decode a compressed cache into a safetensors file");
  command->footer(
      "\nExample:\n"
      "  kvsieve compress cache.safetensors --strategy snap_kv --keep 0.25 --out cache.kvs\n"
      "  kvsieve expand cache.kvs --out kept.safetensors\n\n"
      "layers.<i>.k and .v are [Hkv, n, D], layers.<i>.positions [Hkv, n]; where heads keep different numbers of "
      "tokens,\nlayers.<i>.heads.<h>.k and .v are [n, D], layers.<i>.heads.<h>.positions [n].");
  auto const file = std::make_shared<std::string>(), out = std::make_shared<std::string>();
  command->add_option("FILE", *file, "a compressed cache, written by `kvsieve compress --out`")->required();
  command->add_option("--out", *out, "write the safetensors file here")->required()->type_name("FILE");
  command->callback([=, &to, &chosen] { chosen = [=, &to] { return expand(*file, *out, to); }; });
}

}  // namespace kvsieve::tool
