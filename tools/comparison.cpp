// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "comparison.hpp"

#include <kvsieve/version.hpp>
#include <nlohmann/json.hpp>

#include "text.hpp"

namespace kvsieve::tool {
namespace {

using json = nlohmann::ordered_json;

json spread_json(spread const& s, char const* tail, char const* worst) {
  return {{"mean", s.mean}, {tail, s.tail}, {worst, s.worst}, {"samples", s.samples}};
}

json fidelity_json(spread const& error, spread const& mass) {
  return {{"error", spread_json(error, "p99", "max")}, {"mass", spread_json(mass, "p1", "min")}};
}

json layers_json(outcome const& result, fidelity const& judged) {
  json layers = json::array();
  for (std::size_t l = 0; l < result.layers.size(); ++l) {
    json one{{"layer", result.layers[l].layer}};
    for (auto const& head : result.layers[l].kept) one["kept"].push_back(head.size());
    if (l < judged.layers.size()) {
      one.update(fidelity_json(judged.layers[l].error, judged.layers[l].mass));
      one["head_error"] = judged.layers[l].head_error;
      one["head_mass"] = judged.layers[l].head_mass;
    }
    layers.push_back(std::move(one));
  }
  return layers;
}

}  // namespace

comparison describe(std::string const& file, cache_dump const& dump) {
  comparison all;
  all.file = file;
  all.model = dump.model;
  all.num_layers = dump.num_layers;
  all.tokens = dump.tokens;
  all.query_heads = dump.query_heads;
  all.kv_heads = dump.kv_heads;
  all.head_dim = dump.head_dim;
  all.queries = queries_judged(dump);
  for (auto const& l : dump.layers) all.layers.push_back(l.layer);
  all.type = name_of(dump.type);
  all.bytes = dump.cache_bytes();
  return all;
}

double bytes_kept(outcome const& result) {
  return static_cast<double>(result.bytes_after) / static_cast<double>(result.bytes_before);
}

double seconds_per_million(outcome const& result, int tokens) {
  return result.seconds / (static_cast<double>(tokens) * static_cast<double>(result.layers.size())) * 1e6;
}

json params_json(outcome const& result) {
  json out = json::object();
  for (auto const& [key, value] : result.params) {
    auto const parsed = json::parse(value, nullptr, false);
    out[key] = parsed.is_number() || parsed.is_boolean() ? parsed : json(value);
  }
  return out;
}

json plan_json(outcome const& result, int tokens) {
  json layers = json::array();
  for (auto const& l : result.layers) layers.push_back({{"layer", l.layer}, {"heads", l.kept}});
  return {{"strategy", result.strategy},
          {"uniformity", result.uniformity},
          {"tokens", tokens},
          {"params", params_json(result)},
          {"layers", std::move(layers)}};
}

json outcome_json(outcome const& result, fidelity const& judged, int tokens) {
  json out{{"strategy", result.strategy},
           {"uniformity", result.uniformity},
           {"params", params_json(result)},
           {"bytes_before", result.bytes_before},
           {"bytes_after", result.bytes_after},
           {"seconds", result.seconds},
           {"seconds_per_million_tokens", seconds_per_million(result, tokens)}};
  if (!result.note.empty()) out["note"] = result.note;
  if (!judged.layers.empty()) out.update(fidelity_json(judged.error, judged.mass));
  out["layers"] = layers_json(result, judged);
  return out;
}

json dump_json(comparison const& all) {
  return {{"file", all.file},
          {"model", all.model},
          {"num_layers", all.num_layers},
          {"layers", all.layers},
          {"tokens", all.tokens},
          {"num_query_heads", all.query_heads},
          {"num_kv_heads", all.kv_heads},
          {"head_dim", all.head_dim},
          {"type", all.type},
          {"queries_judged", all.queries}};
}

std::string to_text(json const& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

std::string series_name(comparison_row const& row) {
  return row.store.empty() || row.store == "dense" ? row.strategy : row.strategy + " / " + row.store;
}

std::string goal_text(comparison const& all, comparison_row const& row) {
  return all.by_bytes ? format_percent(row.keep) + " of the bytes" : "keep " + format_exact(row.keep);
}

std::string comparison_json(comparison const& all) {
  json rows = json::array();
  for (auto const& r : all.rows) {
    json row{{"strategy", r.strategy}, {all.by_bytes ? "bytes_share" : "keep", r.keep}};
    if (!r.store.empty()) row["store"] = r.store;
    if (r.failure.empty())
      row.update(outcome_json(r.result, r.judged, all.tokens));
    else
      row["failure"] = r.failure;
    rows.push_back(std::move(row));
  }
  return to_text({{"version", KVSIEVE_VERSION_STRING}, {"dump", dump_json(all)}, {"rows", std::move(rows)}}) + "\n";
}

std::string comparison_csv(comparison const& all) {
  std::string out = all.by_bytes ? "strategy,bytes_share," : "strategy,keep,";
  out +=
      "bytes_before,bytes_after,error_mean,error_p99,error_max,mass_mean,mass_p1,mass_min,"
      "seconds,seconds_per_million_tokens,failure,store\n";
  auto const number = [](double x) { return x == x ? format_exact(x) : std::string{}; };
  for (auto const& r : all.rows) {
    out += csv_field(r.strategy) + "," + format_exact(r.keep) + ",";
    if (r.failure.empty()) {
      out += std::to_string(r.result.bytes_before) + "," + std::to_string(r.result.bytes_after);
      for (auto const& s : {r.judged.error, r.judged.mass})
        out += "," + number(s.mean) + "," + number(s.tail) + "," + number(s.worst);
      out += "," + number(r.result.seconds) + "," + number(seconds_per_million(r.result, all.tokens)) + ",";
    } else {
      out += ",,,,,,,,,," + csv_field(r.failure);
    }
    out += "," + csv_field(r.store) + "\n";
  }
  return out;
}

}  // namespace kvsieve::tool
