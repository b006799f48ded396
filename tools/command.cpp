// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <thread>

#include <kvsieve/evict/refit_values.hpp>

#include "fidelity.hpp"
#include "field_text.hpp"
#include "storage.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace {

constexpr int most_threads = 1024;

std::string all_names() {
  std::string out;
  for (auto const& s : strategies()) out += (out.empty() ? "" : ", ") + s.name;
  return out;
}

message split_assignment(std::string const& text, strategy const& of, run_options const& options,
                         std::pair<std::string, std::string>& out) {
  auto const equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    return "--set is '" + text + "', stage.field=value is needed";
  out = {text.substr(0, equals), text.substr(equals + 1)};
  std::vector<field> fields;
  for (auto const& f : of.fields)
    if (bool const behind = f.key.starts_with("budget.") || f.key.starts_with("select.");
        !(behind && options.other != nullptr) && !(options.evict != nullptr && f.key.starts_with("evict.")))
      fields.push_back(f);
  if (options.other != nullptr) fields.insert(fields.end(), options.other->fields.begin(), options.other->fields.end());
  if (options.evict != nullptr) fields.insert(fields.end(), options.evict->fields.begin(), options.evict->fields.end());
  std::string known;
  for (auto const& f : fields) {
    if (f.key == out.first) return {};
    known += (known.empty() ? "" : ", ") + f.key;
  }
  return "--set names '" + out.first + "', " + of.name + " has " + (known.empty() ? "nothing to set" : known);
}

/// Takes ":field=value" off a name, as often as it is there.
message split_fields(std::string const& stage, std::string& name, run_options& options) {
  auto const colon = name.find(':');
  if (colon == std::string::npos) return {};
  std::string rest = name.substr(colon);
  name.resize(colon);
  while (!rest.empty()) {
    auto const end = std::min(rest.find(':', 1), rest.size()), equals = rest.find('=');
    if (equals == std::string::npos || equals < 2 || equals + 1 >= end)
      return "--" + stage + " holds '" + rest.substr(1, end - 1) + "', name:field=value is needed";
    options.set.emplace_back(stage + "." + rest.substr(1, equals - 1), rest.substr(equals + 1, end - equals - 1));
    rest.erase(0, end);
  }
  return {};
}
message known_field(std::string const& key, std::vector<field> const& fields) {
  std::string known;
  for (auto const& f : fields) {
    if (f.key == key) return {};
    known += (known.empty() ? "" : ", ") + f.key;
  }
  return "no field '" + key + "', there is " + known;
}

}  // namespace

int console::fail(exit_status status, std::string_view text) const {
  progress({});
  err << "kvsieve: " << text << '\n';
  return status;
}

void console::progress(std::string_view text) const {
  if (where.progress) err << "\r\x1b[K" << text << std::flush;
}

void add_dump_options(CLI::App& command, dump_options& into) {
  command.add_option("DUMP", into.file, "a saved cache, kvsieve-dump-1 in a safetensors file")->required();
  command
      .add_option(
          "--weights", into.weights,
          "what somebody trained, layers.<i>.kv_zap.*, .gate.*, .less.* and .lean_k.mask, in place of the dump's own")
      ->type_name("FILE");
  command.add_option("--layers", into.layers, "only these layers of the model, e.g. 0,9 (default: all in the dump)")
      ->type_name("i,j,...");
  command.add_option("--threads", into.threads, "threads to work with (default: one for each processor)")
      ->type_name("n");
}

void add_strategy_options(CLI::App& command, strategy_options& into) {
  command.add_option("--strategy", into.name, "a preset; `kvsieve list` shows them")->required()->type_name("NAME");
  auto* const keep =
      command.add_option("--keep", into.keep, "share of the tokens to keep, 0 to 1 (default: the preset's own)");
  keep->type_name("F");
  auto* const tokens = command.add_option("--tokens", into.tokens, "or how many tokens to keep per head")
                           ->type_name("N")
                           ->excludes(keep);
  command
      .add_option("--bytes", into.bytes,
                  "or bytes that they take in their store, or a share of the cache's, with a budget that counts bytes")
      ->type_name("B|F%")
      ->excludes(keep)
      ->excludes(tokens);
  add_choice_options(command, into.budget, into.select);
  add_evict_option(command, into.evict);
  add_refit_option(command, into.refit);
  command.add_option("--set", into.set, "change one parameter of the preset; may be repeated")
      ->type_name("stage.field=value")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_choice_options(CLI::App& command, std::string& budget, std::string& select) {
  command.add_option("--budget", budget, "another budget behind the scores; `kvsieve list` shows them")
      ->type_name("NAME[:field=value]...");
  command.add_option("--select", select, "another selection behind the scores")->type_name("NAME[:field=value]...");
}

void add_store_option(CLI::App& command, std::string& into, bool several) {
  std::string names;
  for (auto const& s : storages()) names += (names.empty() ? "" : ", ") + s.name;
  if (several)
    command.add_option("--stores", into, "what kept rows are stored in, each for every strategy and keep: " + names)
        ->type_name("a,b,...");
  else
    command
        .add_option("--store", into, "what kept rows are stored in (default: the preset's own, else dense): " + names)
        ->type_name("NAME");
}

message find_choice(strategy const& of, std::string budget, std::string select, run_options& options) {
  options.other = nullptr;
  if (budget.empty() && select.empty()) return {};
  auto const first = options.set.size();
  if (auto wrong = split_fields("budget", budget, options)) return wrong;
  if (auto wrong = split_fields("select", select, options)) return wrong;
  auto const own = [&](std::string const& stage) {
    for (auto const& [name, policy] : of.stages)
      if (name == stage) return policy;
    return std::string();
  };
  if (own("select") == "block_wise") return of.name + " scores anew while it selects; its own cannot be replaced";
  if (auto wrong =
          find_choice(budget.empty() ? own("budget") : budget, select.empty() ? own("select") : select, options.other))
    return wrong;
  for (auto i = first; i < options.set.size(); ++i)
    if (auto wrong = known_field(options.set[i].first, options.other->fields)) return "--budget, --select: " + *wrong;
  return {};
}

void add_evict_option(CLI::App& command, std::string& evict) {
  command.add_option("--evict", evict, "what becomes of the tokens that do not stay, instead of the preset's own")
      ->type_name("NAME[:field=value]...");
}

message find_evict(std::string evict, run_options& options) {
  options.evict = nullptr;
  if (evict.empty()) return {};
  auto const first = options.set.size();
  if (auto wrong = split_fields("evict", evict, options)) return wrong;
  if (auto wrong = find_evict_choice(evict, options.evict)) return wrong;
  for (auto i = first; i < options.set.size(); ++i)
    if (auto wrong = known_field(options.set[i].first, options.evict->fields)) return "--evict: " + *wrong;
  return {};
}

void add_refit_option(CLI::App& command, std::optional<double>& ridge) {
  command
      .add_option("--refit", ridge,
                  "move kept values so that observed queries read what they read from the whole cache; the ridge that "
                  "holds them, e.g. 0.1, or 0 for none (default: the preset's own, else none)")
      ->type_name("F");
}

message check_refit(strategy const& of, std::optional<double> ridge, run_options& options) {
  options.refit_own = !ridge;
  if (!ridge)
    for (auto const& [stage, policy] : of.stages)
      if (stage == "refit") ridge = parse_double(policy);
  options.refit = ridge.value_or(0);
  if (options.refit == 0) return {};
  evict::refit_values::params params;
  params.ridge = options.refit;
  if (status const s = params.check(); !s) return "--refit is " + format_exact(params.ridge) + ", must be above 0";
  return {};
}

message find(std::string const& name, strategy const*& found) {
  found = find_strategy(name);
  if (found == nullptr) return "no strategy '" + name + "'; there are " + all_names();
  return {};
}

message parse_bytes(std::string const& text, byte_limit& out) {
  bool const of_cache = text.ends_with('%');
  auto const value =
      parse_double(of_cache ? std::string_view{text}.substr(0, text.size() - 1) : std::string_view{text});
  if (!value || *value != *value) return "'" + text + "', not a number of bytes or a share like 10%";
  if (*value < 0) return text + ", less than 0";
  if (of_cache && *value > 100) return text + ", more than 100%";
  if (!of_cache && (*value > 9007199254740992.0 || *value != std::floor(*value)))
    return text + ", not a whole number up to 9007199254740992";
  out = of_cache ? byte_limit{-1, *value / 100} : byte_limit{static_cast<long long>(*value), -1};
  return {};
}

bool merges_rows(strategy const& of, run_options const& options) {
  if (options.evict != nullptr) return static_cast<bool>(options.evict->run);
  return std::any_of(of.stages.begin(), of.stages.end(), [](auto const& stage) { return stage.first == "evict"; });
}

message parse_keep(std::string const& text, double& out) {
  auto const value = parse_double(text);
  if (!value) return "keep is '" + text + "', not a number";
  if (!(*value >= 0 && *value <= 1)) return "keep is " + text + ", outside [0, 1]";
  out = *value;
  return {};
}

message check(dump_options const& given, std::vector<int>& layers, int& threads) {
  for (auto const& item : split_list(given.layers)) {
    auto const layer = parse_int(item);
    if (!layer || *layer < 0) return "--layers holds '" + item + "', not a layer index";
    if (std::find(layers.begin(), layers.end(), *layer) != layers.end())
      return "--layers names layer " + item + " twice";
    layers.push_back(*layer);
  }
  if (given.threads < 0 || given.threads > most_threads)
    return "--threads is " + std::to_string(given.threads) + ", outside [0, " + std::to_string(most_threads) + "]";
  auto const processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  threads = given.threads == 0 ? std::min(processors, most_threads) : given.threads;
  return {};
}

message read(dump_options const& given, std::vector<int> const& layers, cache_dump& out) {
  cache_dump dump;
  if (auto failed = read_dump(given.file, layers, dump)) return failed;
  if (!given.weights.empty())
    if (auto failed = read_weights(given.weights, dump)) return failed;
  out = std::move(dump);
  return {};
}

message check(strategy_options const& given, strategy const*& found, run_options& out, byte_limit& bytes) {
  if (auto wrong = find(given.name, found)) return "--strategy: " + *wrong;
  // -1 is the default that marks "not given"; a person who types it means nothing valid either way.
  if (given.keep != -1 && !(given.keep >= 0 && given.keep <= 1))
    return "--keep is " + format_exact(given.keep) + ", outside [0, 1]";
  if (given.tokens < -1) return "--tokens is " + std::to_string(given.tokens) + ", less than 0";
  if (!given.bytes.empty())
    if (auto wrong = parse_bytes(given.bytes, bytes)) return "--bytes is " + *wrong;
  out.keep = given.keep;
  out.tokens = given.tokens;
  if (auto wrong = find_choice(*found, given.budget, given.select, out)) return wrong;
  if (given.store.empty())
    out.store = own_storage(*found);
  else if (auto wrong = find_storage(given.store, out.store))
    return "--store: " + *wrong;
  if (auto wrong = find_evict(given.evict, out)) return wrong;
  if (auto wrong = check_refit(*found, given.refit, out)) return wrong;
  auto const& fields = out.other != nullptr ? out.other->fields : found->fields;
  auto const counts_bytes = [](field const& f) { return f.key == "budget.bytes"; };
  if (bytes.given() && std::none_of(fields.begin(), fields.end(), counts_bytes)) return takes_no_bytes;
  for (auto const& text : given.set) {
    std::pair<std::string, std::string> assignment;
    if (auto wrong = split_assignment(text, *found, out, assignment)) return wrong;
    out.set.push_back(std::move(assignment));
  }
  return {};
}

int run_once(dump_options const& from, strategy_options const& with, console const& to, single_run& out) {
  strategy const* found = nullptr;
  run_options options;
  std::vector<int> layers;
  byte_limit bytes;
  if (auto wrong = check(with, found, options, bytes)) return to.fail(usage_wrong, *wrong);
  if (auto wrong = check(from, layers, options.threads)) return to.fail(usage_wrong, *wrong);
  out.threads = options.threads;

  to.progress("reading " + from.file);
  if (auto failed = read(from, layers, out.dump)) return to.fail(run_failed, *failed);
  if (options.tokens > out.dump.tokens)
    return to.fail(run_failed, "--tokens is " + std::to_string(options.tokens) + ", the dump holds " +
                                   std::to_string(out.dump.tokens));
  if (bytes.given()) options.bytes = bytes.of(out.dump.cache_bytes());
  options.merges = merges_rows(*found, options);
  to.progress(found->name + ": running");
  out.result.strategy = found->name;
  if (auto failed = found->run(out.dump, options, out.result)) return to.fail(run_failed, found->name + ": " + *failed);
  if (auto failed = check_outcome(out.dump, out.result)) return to.fail(run_failed, *failed);
  return done;
}

}  // namespace kvsieve::tool
