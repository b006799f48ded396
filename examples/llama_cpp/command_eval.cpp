// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>
#include <memory>

#include "commands.hpp"
#include "evaluation.hpp"
#include "file.hpp"
#include "plot.hpp"
#include "storage.hpp"
#include "text.hpp"

namespace kvsieve::llama_example {
namespace {

struct options {
  model_options from;
  std::string strategies = "streaming_llm,key_diff,lag_kv,snap_kv,ada_kv,kvzip,mixed_queries";
  std::string keeps = "0.5,0.25,0.1", bytes, stores, budget, select, evict, hold = "memory";
  std::optional<double> refit;
  double pass = 1;
  std::vector<std::string> texts, set;
  std::string offsets = "0", tasks, depths = "0.1,0.5,0.9";
  int tokens = 1024, scored = 128, items = 10, distractors = 0, queries = 64;
  long long seed = 42;
  std::string questions = "unknown", prose;
  std::string csv, json, svg;
};

/// Whether a strategy's own budget counts tokens alone, and none is put in its place.
bool counts_tokens(std::string const& name, std::string const& budget) {
  auto const* const of = tool::find_strategy(name);
  return of != nullptr && budget.empty() &&
         std::none_of(of->fields.begin(), of->fields.end(),
                      [](tool::field const& f) { return f.key == "budget.bytes"; });
}

/// Every strategy at every keep in every store.
message settings_of(options const& given, int threads, std::vector<setting>& out) {
  auto const names = tool::split_list(given.strategies);
  auto const goals = tool::split_list(given.bytes.empty() ? given.keeps : given.bytes);
  auto stores = tool::split_list(given.stores);
  if (names.empty()) return "--strategies is empty";
  if (goals.empty()) return std::string(given.bytes.empty() ? "--keeps" : "--bytes") + " is empty";
  if (stores.empty()) stores.emplace_back();
  for (auto const& name : names)
    for (auto const& store : stores)
      for (auto const& goal : goals) {
        setting s;
        compress_options how;
        auto const slash = std::min(name.find('/'), name.size());
        how.with.name = name.substr(0, slash);
        how.with.store = slash < name.size() ? name.substr(slash + 1) : store;
        how.with.budget = given.budget;
        how.with.select = given.select;
        how.with.evict = given.evict;
        how.with.refit = given.refit;
        how.with.set = given.set;
        how.hold = given.hold;
        how.queries = given.queries;
        how.pass = given.pass;
        double share = 0;
        if (given.bytes.empty()) {
          if (message m = tool::parse_keep(goal, share)) return "--keeps: " + *m;
          how.with.keep = share;
        } else {
          how.with.bytes = goal;
          // Of rows as they are, a share of the tokens is that share of the bytes.
          tool::byte_limit limit;
          if (counts_tokens(how.with.name, given.budget) && (how.with.store.empty() || how.with.store == "dense") &&
              !tool::parse_bytes(goal, limit) && limit.share >= 0) {
            how.with.keep = share = limit.share;
            how.with.bytes.clear();
          }
        }
        if (message m = check(how, threads, s.how)) return m;
        s.row.strategy = how.with.name;
        s.row.storage = s.how.run.store == nullptr ? store : s.how.store;
        s.row.keep = how.with.bytes.empty() ? share : s.how.bytes.share;
        out.push_back(std::move(s));
      }
  return {};
}

message numbers_of(std::string const& name, std::string const& list, double least, double most,
                   std::vector<double>& out) {
  for (auto const& text : tool::split_list(list)) {
    auto const x = tool::parse_double(text);
    if (!x || *x < least || *x > most)
      return name + " holds '" + text + "', not a number from " + tool::format_exact(least) + " to " +
             tool::format_exact(most);
    out.push_back(*x);
  }
  return out.empty() ? message(name + " is empty") : message{};
}

message plan_of(options const& given, evaluation_plan& out) {
  out.tokens = given.tokens;
  out.scored = given.scored;
  if (given.tokens < 16) return "--tokens is " + std::to_string(given.tokens) + ", must be at least 16";
  if (given.scored < 1) return "--score is " + std::to_string(given.scored) + ", must be above 0";
  if (given.items < 1) return "--items is " + std::to_string(given.items) + ", must be above 0";
  for (auto const& file : given.texts) {
    auto& t = out.texts.emplace_back();
    t.name = std::filesystem::path(file).stem().string();
    if (message m = read_text_file(file, t.text)) return m;
  }
  std::vector<double> offsets;
  if (message m = numbers_of("--offsets", given.offsets, 0, 1e9, offsets)) return m;
  for (double const x : offsets) out.offsets.push_back(static_cast<int>(x));
  out.tasks = tool::split_list(given.tasks);
  for (auto const& t : out.tasks)
    if (auto const known = task_names(); std::find(known.begin(), known.end(), t) == known.end()) {
      std::string all;
      for (auto const k : known) all += (all.empty() ? "" : ", ") + std::string(k);
      return "--tasks holds '" + t + "'; there are " + all;
    }
  if (message m = numbers_of("--depths", given.depths, 0, 1, out.depths)) return m;
  out.items = given.items;
  out.distractors = given.distractors;
  out.exact = given.hold == "memory";
  out.seed = static_cast<std::uint64_t>(given.seed);
  if (given.questions != "unknown" && given.questions != "known" && given.questions != "both")
    return "--questions is '" + given.questions + "', must be unknown, known or both";
  if (given.questions != "known") out.known.push_back(false);
  if (given.questions != "unknown") out.known.push_back(true);
  if (!given.prose.empty()) {
    std::string text;
    if (message m = read_text_file(given.prose, text)) return m;
    out.prose = sentences_of(text);
  }
  if (out.texts.empty() && out.tasks.empty()) return "there is nothing to evaluate: neither --text nor --tasks";
  return {};
}

int run(options const& given, std::string const& command, tool::console const& to) {
  auto const failed = [&](message const& m) { return to.fail(tool::run_failed, *m); };
  int const threads = threads_of(given.from.threads);
  std::vector<setting> settings;
  evaluation_plan plan;
  if (message m = settings_of(given, threads, settings)) return to.fail(tool::usage_wrong, *m);
  if (given.pass != 1 && std::none_of(settings.begin(), settings.end(), [](auto const& s) { return s.how.reads.pass; }))
    return to.fail(tool::usage_wrong, "--pass is " + tool::format_exact(given.pass) + ", and no strategy has a pass");
  if (message m = plan_of(given, plan)) return to.fail(tool::usage_wrong, *m);
  for (auto const& file : {given.csv, given.json, given.svg})
    if (!file.empty())
      if (message m = tool::check_writable(file)) return failed(m);
  model of;
  if (message m = of.load(given.from.model)) return failed(m);
  if (message m = without_windows(of.shape(), "eval reads on behind the cache and goes back")) return failed(m);
  report all{of.shape().name, command, given.tokens, plan.seed, {}};
  if (message m = evaluate(of, settings, plan, threads, [&](std::string const& what) { to.progress(what); }, all.rows))
    return failed(m);
  to.progress({});
  print_report(all, to.out, to.where.colour);
  if (!given.csv.empty())
    if (message m = tool::write_file(given.csv, report_csv(all))) return failed(m);
  if (!given.json.empty())
    if (message m = tool::write_file(given.json, report_json(all))) return failed(m);
  if (!given.svg.empty())
    if (message m = tool::write_file(given.svg, divergence_svg(all, plan.texts.empty() ? "" : plan.texts[0].name)))
      return failed(m);
  return tool::done;
}

}  // namespace

void add_eval(CLI::App& app, std::string const& command_line, tool::console const& to, tool::action& chosen) {
  auto const given = std::make_shared<options>();
  auto* const command =
      app.add_subcommand("eval", "How far answers from compressed caches are from those of the full one");
  add_model_options(*command, given->from);
  command
      ->add_option("--strategies", given->strategies,
                   "Presets, each with its store behind it where it has one of its own: kvzip/q8_0_q4_0")
      ->type_name("A,B,...");
  command->add_option("--keeps", given->keeps, "Shares of the tokens to keep")->type_name("F,...");
  command->add_option("--bytes", given->bytes, "Or shares of the bytes, for budgets that count them")
      ->type_name("F%,...");
  tool::add_store_option(*command, given->stores, true);
  tool::add_choice_options(*command, given->budget, given->select);
  tool::add_evict_option(*command, given->evict);
  tool::add_refit_option(*command, given->refit);
  command
      ->add_option(
          "--hold", given->hold,
          "Where what is kept lies: memory (kvsieve's, and a full cache in f32), or auto, cells as generate has them")
      ->type_name("WHERE");
  command->add_option("--set", given->set, "Change one parameter of every strategy; may be repeated")
      ->type_name("stage.field=value")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--queries", given->queries, "Queries of the last positions that are observed; -1: all")
      ->type_name("N");
  add_pass_option(*command, given->pass);
  command->add_option("--text", given->texts, "A text that is read on: divergence and perplexity; may be repeated")
      ->type_name("FILE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--tokens", given->tokens, "Tokens of a prompt")->type_name("N");
  command->add_option("--offsets", given->offsets, "Where in a text prompts begin, in tokens")->type_name("N,...");
  command->add_option("--score", given->scored, "Tokens behind a prompt that are judged")->type_name("N");
  command->add_option("--tasks", given->tasks, "Retrieval: needle, niah_single_1, ..., vt, cwe, fwe")
      ->type_name("A,B,...");
  command->add_option("--items", given->items, "Items of a task, for each depth of needle")->type_name("N");
  command->add_option("--depths", given->depths, "Where needles lie")->type_name("F,...");
  command->add_option("--distractors", given->distractors, "Needles of the same form with other names")->type_name("N");
  command->add_option("--prose", given->prose, "The text that haystacks are made of")->type_name("FILE");
  command->add_option("--questions", given->questions, "When the cache is compressed: unknown, known, both")
      ->type_name("WHEN");
  command->add_option("--seed", given->seed, "Of the items")->type_name("N");
  command->add_option("--csv", given->csv, "The table as CSV")->type_name("FILE");
  command->add_option("--json", given->json, "The table as JSON")->type_name("FILE");
  command->add_option("--svg", given->svg, "Divergence over bytes of the first text, as a picture")->type_name("FILE");
  command->callback([given, command_line, &to, &chosen] {
    chosen = [given, command_line, &to] { return run(*given, command_line, to); };
  });
}

}  // namespace kvsieve::llama_example
