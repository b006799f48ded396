// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "command.hpp"
#include "comparison.hpp"
#include "fidelity.hpp"
#include "file.hpp"
#include "html_report.hpp"
#include "storage.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace {

struct options {
  dump_options from;
  std::string strategies = "all", keeps = "0.5,0.25,0.125", bytes;
  std::string budget, select, evict, stores;
  std::optional<double> refit;
  std::string html, csv;
  bool json = false;
};

/// How much may stay: a share of the tokens, or bytes.
struct goal {
  double keep = -1;
  byte_limit bytes;
};

/// Every number of a list once, of --bytes where that is given, else of --keeps.
message parse_goals(options const& given, std::vector<goal>& goals) {
  std::string const name = given.bytes.empty() ? "--keeps" : "--bytes";
  auto const texts = split_list(given.bytes.empty() ? given.keeps : given.bytes);
  if (texts.empty()) return name + " is empty";
  for (auto const& text : texts) {
    goal one;
    auto const wrong = given.bytes.empty() ? parse_keep(text, one.keep) : parse_bytes(text, one.bytes);
    if (wrong) return name + (given.bytes.empty() ? ": " : " holds ") + *wrong;
    if (std::any_of(goals.begin(), goals.end(), [&](goal const& g) {
          return g.keep == one.keep && g.bytes.bytes == one.bytes.bytes && g.bytes.share == one.bytes.share;
        }))
      return name + " names " + text + " twice";
    goals.push_back(one);
  }
  return {};
}

message parse(options const& given, std::vector<strategy const*>& chosen, std::vector<goal>& goals,
              std::vector<storage const*>& stores) {
  auto const names = split_list(given.strategies);
  if (names.empty()) return "--strategies is empty";
  for (auto const& name : names) {
    if (name == "all") {
      if (names.size() > 1) return "--strategies holds 'all' beside other names";
      for (auto const& s : strategies()) chosen.push_back(&s);
      continue;
    }
    strategy const* found = nullptr;
    if (auto wrong = find(name, found)) return "--strategies: " + *wrong;
    if (std::find(chosen.begin(), chosen.end(), found) != chosen.end()) return "--strategies names " + name + " twice";
    chosen.push_back(found);
  }
  if (auto wrong = parse_goals(given, goals)) return wrong;
  for (auto const& name : split_list(given.stores)) {
    storage const* found = nullptr;
    if (auto wrong = find_storage(name, found)) return "--stores: " + *wrong;
    if (std::find(stores.begin(), stores.end(), found) != stores.end()) return "--stores names " + name + " twice";
    stores.push_back(found);
  }
  if (stores.empty()) stores.push_back(nullptr);  // each strategy's own
  // Whether there are such a budget and selection; some strategies may refuse them, and their rows say so.
  strategy any;
  any.stages = {{"budget", "uniform"}, {"select", "top_k"}};
  run_options known;
  if (auto wrong = find_evict(given.evict, known)) return wrong;
  if (auto wrong = check_refit(any, given.refit, known)) return wrong;
  return find_choice(any, given.budget, given.select, known);
}

/// Every strategy at every goal, the largest first, in every form. A refusal is a result too: its row says why.
void run_all(cache_dump const& dump, std::vector<strategy const*> const& chosen, std::vector<goal> goals,
             std::vector<storage const*> const& stores, int threads, options const& given, console const& to,
             comparison& all) {
  auto const cache = static_cast<double>(all.bytes);
  for (goal& g : goals)
    if (g.bytes.given())
      g = {g.bytes.share >= 0 ? g.bytes.share : static_cast<double>(g.bytes.bytes) / cache,
           {g.bytes.of(all.bytes), -1}};
  std::sort(goals.begin(), goals.end(), [](goal const& a, goal const& b) { return a.keep > b.keep; });
  auto const total = chosen.size() * goals.size() * stores.size();
  for (std::size_t i = 0; i < total; ++i) {
    auto const* const s = chosen[i / (goals.size() * stores.size())];
    auto const* const asked = stores[i / goals.size() % stores.size()];
    auto const* const store = asked != nullptr ? asked : own_storage(*s);
    goal const& g = goals[i % goals.size()];
    comparison_row row{s->name, s->title, g.keep, store == nullptr ? "" : store->name, {}, {}, {}};
    to.progress("[" + std::to_string(all.rows.size() + 1) + "/" + std::to_string(total) + "] " + s->name + " at " +
                goal_text(all, row));
    row.result.strategy = s->name;
    run_options run;
    if (all.by_bytes)
      run.bytes = g.bytes.bytes;
    else
      run.keep = g.keep;
    run.store = store;
    run.threads = threads;
    auto failed = find_choice(*s, given.budget, given.select, run);
    if (!failed) failed = find_evict(given.evict, run);
    if (!failed) failed = check_refit(*s, given.refit, run);
    run.merges = merges_rows(*s, run);
    if (!failed) failed = s->run(dump, run, row.result);
    if (!failed) failed = check_outcome(dump, row.result);
    row.failure = failed.value_or("");
    for (auto& l : row.result.layers) l.score = {};  // not shown, and as large as the kept sets are small
    all.rows.push_back(std::move(row));
  }
  std::vector<std::vector<layer_outcome> const*> kept;
  for (auto const& r : all.rows)
    if (r.failure.empty()) kept.push_back(&r.result.layers);
  auto judged = judge(dump, kept, threads, [&](double share) { to.progress("judging, " + format_percent(share)); });
  std::size_t next = 0;
  for (auto& r : all.rows) {
    if (r.failure.empty()) r.judged = std::move(judged[next++]);
    for (auto& l : r.result.layers) l.stored = {};
  }
  to.progress({});
}

/// The lowest mean error among the rows of one goal.
bool best_of_keep(comparison const& all, comparison_row const& row) {
  return std::none_of(all.rows.begin(), all.rows.end(), [&](comparison_row const& other) {
    return other.failure.empty() && other.keep == row.keep && other.judged.error.mean < row.judged.error.mean;
  });
}

void print_table(comparison const& all, console const& to) {
  to.out << all.file << (all.model.empty() ? "" : ": ") << all.model << ", " << all.layers.size() << " of "
         << all.num_layers << " layers, " << all.tokens << " tokens, " << all.kv_heads << " KV heads of "
         << all.head_dim << ", " << all.type << "\n\n";
  text_table table{{{"strategy"},
                    {all.by_bytes ? "asked for" : "keep", true},
                    {"bytes before", true},
                    {"bytes after", true},
                    {"error mean", true},
                    {"error 99 %", true},
                    {"mass mean", true},
                    {"s / M tokens", true}}};
  for (auto const& r : all.rows) {
    std::vector<text_table::cell> row{{series_name(r)}, {all.by_bytes ? format_percent(r.keep) : format_exact(r.keep)}};
    if (!r.failure.empty()) {
      row.push_back({r.failure, look::bad});
    } else {
      auto const tone = all.queries > 0 && best_of_keep(all, r) ? look::good : look::plain;
      row.push_back({format_bytes(r.result.bytes_before)});
      row.push_back({format_bytes(r.result.bytes_after)});
      row.push_back({format_number(r.judged.layers.empty() ? NAN : r.judged.error.mean), tone});
      row.push_back({format_number(r.judged.layers.empty() ? NAN : r.judged.error.tail)});
      row.push_back({format_number(r.judged.layers.empty() ? NAN : r.judged.mass.mean)});
      row.push_back({format_number(seconds_per_million(r.result, all.tokens))});
    }
    table.add(std::move(row));
  }
  table.print(to.out, to.where.colour);
  auto const note = "\nerror: of the attention output, relative to the full cache, over all query heads of the last " +
                    std::to_string(all.queries) +
                    " positions;\nmass: attention captured by the kept tokens; "
                    "s / M tokens: seconds per million tokens of one layer, all heads.\n";
  to.out << styled(all.queries > 0 ? note : "\nThe dump holds no queries: error and mass are unknown.\n", look::dim,
                   to.where.colour);
  for (auto const& r : all.rows)
    if (!r.result.note.empty())
      to.out << series_name(r) << " at " << goal_text(all, r) << ": " << r.result.note << '\n';
}

int compare(options const& given, console const& to) {
  std::vector<strategy const*> chosen;
  std::vector<goal> goals;
  std::vector<storage const*> stores;
  std::vector<int> layers;
  int threads = 1;
  if (auto wrong = parse(given, chosen, goals, stores)) return to.fail(usage_wrong, *wrong);
  if (auto wrong = check(given.from, layers, threads)) return to.fail(usage_wrong, *wrong);
  for (auto const& file : {given.html, given.csv})
    if (!file.empty())
      if (auto failed = check_writable(file)) return to.fail(run_failed, *failed);

  cache_dump dump;
  to.progress("reading " + given.from.file);
  if (auto failed = read(given.from, layers, dump)) return to.fail(run_failed, *failed);
  auto all = describe(given.from.file, dump);
  all.by_bytes = !given.bytes.empty();
  run_all(dump, chosen, goals, stores, threads, given, to, all);

  if (given.json)
    to.out << comparison_json(all);
  else
    print_table(all, to);
  if (!given.html.empty())
    if (auto failed = write_file(given.html, html_report(all))) return to.fail(run_failed, *failed);
  if (!given.csv.empty())
    if (auto failed = write_file(given.csv, comparison_csv(all))) return to.fail(run_failed, *failed);
  if (!given.json)
    for (auto const& file : {given.html, given.csv})
      if (!file.empty()) to.out << "wrote " << file << '\n';
  if (std::all_of(all.rows.begin(), all.rows.end(), [](comparison_row const& r) { return !r.failure.empty(); }))
    return to.fail(run_failed, "no strategy ran on '" + given.from.file + "'");
  return done;
}

}  // namespace

void add_compare(CLI::App& app, console const& to, action& chosen) {
  auto* const command = app.add_subcommand("compare", "several strategies side by side: bytes, fidelity, time");
  command->footer(
      "\nExample: three strategies at two budgets, as a table here and as a page with curves\n"
      "  kvsieve compare cache.safetensors --strategies snap_kv,key_diff,streaming_llm --keeps 0.5,0.25 \\\n"
      "      --html report.html\n\n"
      "The same from a tenth and a twentieth of the cache's bytes, in two forms that fill them\n"
      "  kvsieve compare cache.safetensors --strategies snap_kv --budget over_all --bytes 10%,5% \\\n"
      "      --stores q8_0,levels\n\n"
      "A strategy that cannot run at a keep has a row that says why.");
  auto const given = std::make_shared<options>();
  add_dump_options(*command, given->from);
  add_choice_options(*command, given->budget, given->select);
  add_store_option(*command, given->stores, true);
  add_evict_option(*command, given->evict);
  add_refit_option(*command, given->refit);
  command->add_option("--strategies", given->strategies, "presets, or `all`")
      ->type_name("a,b,...")
      ->capture_default_str();
  auto* const keeps = command->add_option("--keeps", given->keeps, "shares of the tokens to keep, 0 to 1");
  keeps->type_name("F,F,...")->capture_default_str();
  command
      ->add_option("--bytes", given->bytes,
                   "or bytes that they take in their store, or shares of the cache's, with a budget that counts bytes")
      ->type_name("B|F%,...")
      ->excludes(keeps);
  command->add_option("--html", given->html, "write a self-contained page with curves and kept tokens here")
      ->type_name("FILE");
  command->add_option("--csv", given->csv, "write the rows here, comma-separated")->type_name("FILE");
  command->add_flag("--json", given->json, "print JSON, with figures per layer and head, instead of the table");
  command->callback([=, &to, &chosen] { chosen = [=, &to] { return compare(*given, to); }; });
}

}  // namespace kvsieve::tool
