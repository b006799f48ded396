// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "command.hpp"
#include "comparison.hpp"
#include "container.hpp"
#include "fidelity.hpp"
#include "file.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace {

struct options {
  dump_options from;
  strategy_options with;
  std::string out, plan, report;
  bool scores = false, json = false;
};

/// Tokens kept per head, "192" or "10 to 310".
std::string kept_text(std::span<layer_outcome const> layers) {
  std::size_t least = SIZE_MAX, most = 0;
  for (auto const& l : layers)
    for (auto const& head : l.kept) {
      least = std::min(least, head.size());
      most = std::max(most, head.size());
    }
  return least >= most ? std::to_string(most) : std::to_string(least) + " to " + std::to_string(most);
}

void print_layers(outcome const& result, fidelity const& judged, console const& to) {
  text_table table{
      {{"layer", true}, {"kept per head", true}, {"error mean", true}, {"error 99 %", true}, {"mass mean", true}}};
  for (std::size_t l = 0; l < result.layers.size(); ++l) {
    std::vector<text_table::cell> row{{std::to_string(result.layers[l].layer)}, {kept_text({&result.layers[l], 1})}};
    if (l < judged.layers.size()) {
      auto const& f = judged.layers[l];
      for (auto const x : {f.error.mean, f.error.tail, f.mass.mean}) row.push_back({format_number(x)});
    } else {
      row.insert(row.end(), 3, {"-"});
    }
    table.add(std::move(row));
  }
  table.print(to.out, to.where.colour);
}

void print_summary(comparison const& facts, outcome const& result, fidelity const& judged, console const& to) {
  auto& out = to.out;
  out << styled(result.strategy, look::bold, to.where.colour) << " on " << facts.file << '\n';
  if (!facts.model.empty()) out << "  model  " << facts.model << '\n';
  out << "  kept   " << kept_text(result.layers) << " of " << facts.tokens << " tokens per head, plan class "
      << result.uniformity << '\n';
  out << "  bytes  " << format_bytes(result.bytes_before) << " before, " << format_bytes(result.bytes_after)
      << " after (" << format_percent(bytes_kept(result)) << ")\n";
  out << "  time   " << format_seconds(result.seconds) << ", "
      << format_number(seconds_per_million(result, facts.tokens)) << " s per million tokens of a layer\n";
  if (judged.layers.empty()) {
    out << "  error  unknown: the dump holds no queries\n";
  } else {
    out << "  error  mean " << format_number(judged.error.mean) << ", 99 % " << format_number(judged.error.tail)
        << ", max " << format_number(judged.error.worst) << "  (attention output, relative, last " << facts.queries
        << " positions)\n";
    out << "  mass   mean " << format_number(judged.mass.mean) << ", 1 % " << format_number(judged.mass.tail)
        << ", min " << format_number(judged.mass.worst) << "  (attention captured by the kept tokens)\n";
  }
  if (!result.note.empty()) out << "  note   " << result.note << '\n';
  out << '\n';
  print_layers(result, judged, to);
}

int compress(options const& given, console const& to) {
  for (auto const& file : {given.out, given.plan, given.report})
    if (!file.empty())
      if (auto failed = check_writable(file)) return to.fail(run_failed, *failed);
  single_run ran;
  if (int const status = run_once(given.from, given.with, to, ran); status != done) return status;
  std::vector<layer_outcome> const* const kept = &ran.result.layers;
  auto const judged = judge(ran.dump, std::span{&kept, 1}, ran.threads, [&](double share) {
    to.progress(ran.result.strategy + ": judging, " + format_percent(share));
  })[0];
  to.progress({});

  auto const facts = describe(given.from.file, ran.dump);
  auto report = outcome_json(ran.result, judged, facts.tokens);
  report["dump"] = dump_json(facts);
  if (!given.out.empty())
    if (auto failed = write_kept(given.out, ran.dump, ran.result, given.scores)) return to.fail(run_failed, *failed);
  if (!given.plan.empty())
    if (auto failed = write_file(given.plan, to_text(plan_json(ran.result, facts.tokens), -1) + "\n"))
      return to.fail(run_failed, *failed);
  if (!given.report.empty())
    if (auto failed = write_file(given.report, to_text(report) + "\n")) return to.fail(run_failed, *failed);
  if (given.json) {
    to.out << to_text(report) << '\n';
    return done;
  }
  print_summary(facts, ran.result, judged, to);
  for (auto const& file : {given.out, given.plan, given.report})
    if (!file.empty()) to.out << "wrote " << file << '\n';
  return done;
}

}  // namespace

void add_compress(CLI::App& app, console const& to, action& chosen) {
  auto* const command = app.add_subcommand("compress", "run one strategy: which tokens it keeps, and what that costs");
  command->footer(
      "\nExample: keep a quarter of the tokens as SnapKV would, with a wider pooling, and store which they are\n"
      "  kvsieve compress cache.safetensors --strategy snap_kv --keep 0.25 --set smooth.kernel=7 --plan plan.json\n\n"
      "plan.json: {\"strategy\", \"uniformity\", \"tokens\", \"params\", \"layers\": [{\"layer\", \"heads\": [[kept "
      "tokens]]}]}");
  auto const given = std::make_shared<options>();
  add_dump_options(*command, given->from);
  add_strategy_options(*command, given->with);
  add_store_option(*command, given->with.store, false);
  auto* const out =
      command->add_option("--out", given->out, "write the kept keys and values here; `expand` reads them");
  out->type_name("FILE");
  command->add_flag("--scores", given->scores, "write the scores of the kept tokens there as well")->needs(out);
  command->add_option("--plan", given->plan, "write the kept token indices here, as JSON")->type_name("FILE");
  command->add_option("--report", given->report, "write bytes, time and fidelity per layer here, as JSON")
      ->type_name("FILE");
  command->add_flag("--json", given->json, "print that report instead of text");
  command->callback([=, &to, &chosen] { chosen = [=, &to] { return compress(*given, to); }; });
}

}  // namespace kvsieve::tool
