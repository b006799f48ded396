// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "command.hpp"
#include "comparison.hpp"
#include "container.hpp"
#include "file.hpp"
#include "safetensors.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace {

using json = nlohmann::ordered_json;

/// The longest JSON file that is read, in bytes.
constexpr std::size_t json_limit = std::size_t{256} << 20;

std::string kind_of(std::map<std::string, std::string> const& metadata) {
  auto const format = metadata.find("format");
  if (format == metadata.end()) return "tensors";
  if (format->second == "kvsieve-dump-1") return "cache dump";
  return format->second == "kvsieve-scores-1" ? "scores" : "tensors";
}

/// Metadata is shown on one line each: what would break the line or the terminal is replaced.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

void print_contents(std::string const& name, safetensors::contents const& all, console const& to) {
  bool const colour = to.where.colour;
  to.out << styled(name, look::bold, colour) << ": " << kind_of(all.metadata) << ", " << all.entries.size()
         << " tensors, " << format_bytes(all.data_bytes) << "\n\n";
  for (auto const& [key, value] : all.metadata) to.out << "  " << one_line(key) << ": " << one_line(value) << '\n';
  if (!all.metadata.empty()) to.out << '\n';
  text_table table{{{"tensor"}, {"type"}, {"shape"}, {"bytes", true}}};
  for (auto const& e : all.entries)
    table.add({{e.name}, {std::string{e.type.name}}, {safetensors::to_text(e.shape)}, {format_bytes(e.size_bytes())}});
  table.print(to.out, colour);
}

json contents_json(safetensors::contents const& all) {
  json tensors = json::array();
  for (auto const& e : all.entries)
    tensors.push_back({{"name", e.name}, {"type", e.type.name}, {"shape", e.shape}, {"bytes", e.size_bytes()}});
  return {{"kind", kind_of(all.metadata)}, {"metadata", all.metadata}, {"tensors", std::move(tensors)}};
}

int inspect_tensors(input_file const& file, bool as_json, console const& to) {
  safetensors::contents all;
  if (auto failed = safetensors::read_contents(file, all)) return to.fail(run_failed, *failed);
  if (as_json)
    to.out << to_text(contents_json(all)) << '\n';
  else
    print_contents(file.name(), all, to);
  if (kind_of(all.metadata) != "cache dump") return done;
  // A dump promises more than tensors: whether it keeps that promise belongs to what the file holds.
  cache_dump dump;
  if (auto failed = read_dump(file.name(), {}, dump)) return to.fail(run_failed, *failed);
  if (!as_json) to.out << "\na complete dump: every layer fits the metadata\n";
  return done;
}

/// One head's list: ascending token indices below `tokens`.
message check_head(json const& head, std::int64_t tokens, std::string const& where) {
  if (!head.is_array()) return where + "a JSON " + head.type_name() + " where a list of tokens is needed";
  std::int64_t before = -1;
  for (auto const& token : head) {
    if (!token.is_number_integer()) return where + "holds " + token.dump().substr(0, 40) + ", not a token index";
    auto const index = token.get<std::int64_t>();
    if (index <= before || index >= tokens)
      return where + "token " + std::to_string(index) + " after " + std::to_string(before) + ", of " +
             std::to_string(tokens);
    before = index;
  }
  return {};
}

/// Checks a plan and gathers how many tokens each layer and head keeps.
message check_plan(json const& plan, json& counts) {
  for (auto const* key : {"strategy", "uniformity", "tokens", "layers"})
    if (!plan.contains(key)) return std::string{"not a plan: "} + key + " is missing";
  if (!plan["strategy"].is_string()) return "strategy is not a string";
  if (!plan["uniformity"].is_string()) return "uniformity is not a string";
  if (!plan["tokens"].is_number_unsigned()) return "tokens is not a count";
  if (!plan["layers"].is_array()) return "layers is not a list";
  auto const tokens = plan["tokens"].get<std::int64_t>();
  for (auto const& layer : plan["layers"]) {
    if (!layer.is_object() || !layer.contains("layer") || !layer["layer"].is_number_integer() ||
        !layer.contains("heads") || !layer["heads"].is_array())
      return "layers holds an entry without layer and heads";
    json kept = json::array();
    for (auto const& head : layer["heads"]) {
      auto const where = "layer " + layer["layer"].dump() + ", head " + std::to_string(kept.size()) + ": ";
      if (auto failed = check_head(head, tokens, where)) return failed;
      kept.push_back(head.size());
    }
    counts.push_back({{"layer", layer["layer"]}, {"kept", std::move(kept)}});
  }
  return {};
}

void print_plan(std::string const& name, json const& plan, json const& counts, console const& to) {
  to.out << styled(name, look::bold, to.where.colour) << ": plan of " << one_line(plan["strategy"].get<std::string>())
         << ", class " << one_line(plan["uniformity"].get<std::string>()) << ", " << plan["tokens"].dump()
         << " tokens\n\n";
  if (auto const params = plan.find("params"); params != plan.end() && params->is_object()) {
    for (auto const& [key, value] : params->items())
      to.out << "  " << one_line(key) << ": " << to_text(value, -1) << '\n';
    to.out << '\n';
  }
  text_table table{{{"layer", true}, {"kept per head"}}};
  for (auto const& layer : counts) {
    std::string kept;
    for (auto const& n : layer["kept"]) kept += (kept.empty() ? "" : ", ") + n.dump();
    table.add({{layer["layer"].dump()}, {kept}});
  }
  table.print(to.out, to.where.colour);
}

int inspect_plan(input_file const& file, bool as_json, console const& to) {
  auto const where = "'" + file.name() + "': ";
  if (file.size() > json_limit)
    return to.fail(run_failed, where + std::to_string(file.size()) + " bytes of JSON, more than the limit of " +
                                   std::to_string(json_limit));
  std::string text(file.size(), '\0');
  if (auto failed = file.read(0, std::as_writable_bytes(std::span{text}))) return to.fail(run_failed, *failed);
  auto const plan = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (plan.is_discarded() || !plan.is_object())
    return to.fail(run_failed, where + "neither safetensors nor a JSON object");
  auto counts = json::array();
  if (auto failed = check_plan(plan, counts)) return to.fail(run_failed, where + *failed);
  if (as_json) {
    json out{{"kind", "plan"}};
    for (auto const* key : {"strategy", "uniformity", "tokens", "params"})
      if (plan.contains(key)) out[key] = plan[key];
    out["layers"] = std::move(counts);
    to.out << to_text(out) << '\n';
  } else {
    print_plan(file.name(), plan, counts, to);
  }
  return done;
}

/// JSON begins with a brace; so may the length of a safetensors header, but then a brace follows it.
bool looks_like_json(input_file const& file) {
  std::array<char, 9> head{};
  auto const size = std::min(file.size(), head.size());
  if (file.read(0, std::as_writable_bytes(std::span{head}.first(size)))) return false;
  auto const first =
      std::find_if_not(head.begin(), head.end(), [](char c) { return std::strchr(" \t\r\n", c) && c != '\0'; });
  return first != head.end() && *first == '{' && !(head[8] == '{' && head[7] == '\0');
}

int inspect(std::string const& name, bool as_json, console const& to) {
  input_file file;
  if (auto failed = file.open(name)) return to.fail(run_failed, *failed);
  if (is_container(file)) return inspect_container(name, as_json, to);
  return looks_like_json(file) ? inspect_plan(file, as_json, to) : inspect_tensors(file, as_json, to);
}

}  // namespace

void add_inspect(CLI::App& app, console const& to, action& chosen) {
  auto* const command =
      app.add_subcommand("inspect", "what a cache dump, a compressed cache, a safetensors file or a plan holds");
  command->footer(
      "\nExample:\n"
      "  kvsieve inspect cache.safetensors\n"
      "  kvsieve inspect cache.kvs\n"
      "  kvsieve inspect plan.json --json");
  auto const file = std::make_shared<std::string>();
  auto const as_json = std::make_shared<bool>(false);
  command->add_option("FILE", *file, "a compressed cache, a safetensors file or a plan.json")->required();
  command->add_flag("--json", *as_json, "print JSON instead of text");
  command->callback([=, &to, &chosen] { chosen = [=, &to] { return inspect(*file, *as_json, to); }; });
}

}  // namespace kvsieve::tool
