// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "comparison.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace {

std::string list_json() {
  using json = nlohmann::ordered_json;
  json all = json::array();
  for (auto const& s : strategies()) {
    json stages = json::object(), fields = json::array();
    for (auto const& [stage, policy] : s.stages) stages[stage] = policy;
    for (auto const& f : s.fields)
      fields.push_back({{"key", f.key}, {"default", f.value}, {"unit", f.unit}, {"meaning", f.meaning}});
    all.push_back({{"name", s.name},
                   {"title", s.title},
                   {"paper", s.paper},
                   {"stages", std::move(stages)},
                   {"reads", s.reads},
                   {"uniformity", s.uniformity},
                   {"source", s.source},
                   {"params", std::move(fields)}});
  }
  json behind = json::array();
  for (auto const& c : choices()) {
    json fields = json::array();
    for (auto const& f : c.fields)
      fields.push_back({{"key", f.key}, {"default", f.value}, {"unit", f.unit}, {"meaning", f.meaning}});
    behind.push_back(
        {{"budget", c.budget}, {"select", c.select}, {"uniformity", c.uniformity}, {"params", std::move(fields)}});
  }
  json evicts = json::array();
  for (auto const& c : evict_choices()) {
    json fields = json::array();
    for (auto const& f : c.fields)
      fields.push_back({{"key", f.key}, {"default", f.value}, {"unit", f.unit}, {"meaning", f.meaning}});
    evicts.push_back({{"evict", c.name}, {"params", std::move(fields)}});
  }
  return to_text({{"strategies", std::move(all)}, {"choices", std::move(behind)}, {"evicts", std::move(evicts)}}) +
         "\n";
}

void print_list(console const& to) {
  bool const colour = to.where.colour;
  for (auto const& s : strategies()) {
    to.out << styled(s.name, look::bold, colour) << "  " << s.title << (s.paper.empty() ? "" : ", ") << s.paper << '\n';
    std::string stages;
    for (auto const& [stage, policy] : s.stages) stages += (stages.empty() ? "" : ", ") + stage + " " + policy;
    to.out << "    stages   " << stages << '\n';
    to.out << "    reads    " << s.reads << "; plan class " << s.uniformity << '\n';
    if (!s.source.empty()) to.out << "    checked  " << s.source << '\n';
    for (auto const& f : s.fields)
      to.out << "    --set " << styled(f.key + "=" + f.value, look::good, colour) << (f.unit.empty() ? "" : " ")
             << f.unit << (f.meaning.empty() ? "" : ": ") << f.meaning << '\n';
    to.out << '\n';
  }
  // The fields of each budget with the first selection, then those of each selection with the first budget.
  to.out << styled("Behind any scores", look::bold, colour) << "  by --budget and --select\n";
  auto const print = [&](std::string const& option, choice const& c, std::string const& prefix) {
    to.out << "    " << option << (option == "--budget " ? c.budget + "; plan class " + c.uniformity : c.select)
           << '\n';
    for (auto const& f : c.fields)
      if (f.key.starts_with(prefix))
        to.out << "      --set " << styled(f.key + "=" + f.value, look::good, colour) << (f.unit.empty() ? "" : " ")
               << f.unit << (f.meaning.empty() ? "" : ": ") << f.meaning << '\n';
  };
  for (auto const& c : choices())
    if (c.select == choices().front().select) print("--budget ", c, "budget.");
  for (auto const& c : choices())
    if (c.budget == choices().front().budget) print("--select ", c, "select.");
  to.out << '\n' << styled("Behind any plan", look::bold, colour) << "  by --evict\n";
  for (auto const& c : evict_choices()) {
    to.out << "    --evict " << c.name << '\n';
    for (auto const& f : c.fields)
      to.out << "      --set " << styled(f.key + "=" + f.value, look::good, colour) << (f.unit.empty() ? "" : " ")
             << f.unit << (f.meaning.empty() ? "" : ": ") << f.meaning << '\n';
  }
  to.out << '\n';
  to.out << styled(
                "Plan classes: U0 one list for all, U1 one count everywhere, U2 a count per layer, U3 a count per "
                "head, F one "
                "that only the scores tell.",
                look::dim, colour)
         << '\n';
}

}  // namespace

void add_list(CLI::App& app, console const& to, action& chosen) {
  auto* const command = app.add_subcommand("list", "the presets: their stages, what they read, their parameters");
  command->footer(
      "\nExample:\n"
      "  kvsieve list\n"
      "  kvsieve list --json | jq -r '.strategies[].name'");
  auto const as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "print JSON instead of text");
  command->callback([=, &to, &chosen] {
    chosen = [=, &to] {
      if (*as_json)
        to.out << list_json();
      else
        print_list(to);
      return done;
    };
  });
}

}  // namespace kvsieve::tool
