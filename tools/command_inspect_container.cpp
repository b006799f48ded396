// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <algorithm>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "comparison.hpp"
#include "container.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace {

using json = nlohmann::ordered_json;

json part_json(io::stored_part const& p) {
  auto rows = json::array();
  for (std::uint64_t h = 0; h < static_cast<std::uint64_t>(p.heads); ++h) rows.push_back(p.rows(h));
  auto const format = [](io::row_format const& f) {
    return json{{"name", f.name}, {"tile_tokens", f.tile_tokens}, {"tile_bytes", f.tile_bytes}};
  };
  return {{"part", p.name},
          {"keys", format(p.key_format)},
          {"values", format(p.value_format)},
          {"rows", std::move(rows)},
          {"bytes",
           {{"rows", p.row_counts.size()},
            {"positions", p.lists.size()},
            {"keys", p.key_bytes.size()},
            {"values", p.value_bytes.size()},
            {"bias", p.biases.size()},
            {"scores", p.score_bytes.size()},
            {"channels", p.masks.size()}}}};
}

json container_json(io::container const& c) {
  json metadata = json::object(), layers = json::array();
  for (int i = 0; i < c.pairs; ++i) metadata[std::string{c.key(i)}] = c.value(i);
  for (int l = 0; l < c.layers; ++l) {
    json parts = json::array();
    for (int k = 0; k < c.parts(l); ++k) parts.push_back(part_json(c.part(l, k)));
    layers.push_back({{"layer", c.layer(l)}, {"parts", std::move(parts)}});
  }
  return {{"kind", "compressed cache"},
          {"version", c.version},
          {"bytes", c.bytes.size()},
          {"model", c.model},
          {"dtype", c.dtype},
          {"num_layers", c.num_layers},
          {"num_query_heads", c.query_heads},
          {"num_kv_heads", c.kv_heads},
          {"head_dim", c.head_dim},
          {"rope_theta", c.rope_theta},
          {"rope_style", c.rope_style},
          {"tokens", c.tokens},
          {"first_position", c.first_position},
          {"next_position", c.next_position()},
          {"uniformity", c.uniformity},
          {"metadata", std::move(metadata)},
          {"layers", std::move(layers)}};
}

/// Text on one line: what would break it or the terminal is replaced.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}
std::string shown(json const& value) { return one_line(value.is_string() ? value.get<std::string>() : value.dump()); }

std::string rows_text(json const& rows) {
  std::string out;
  for (auto const& n : rows) out += (out.empty() ? "" : ", ") + n.dump();
  return out;
}

void print(std::string const& name, json const& all, console const& to) {
  bool const colour = to.where.colour;
  to.out << styled(name, look::bold, colour) << ": compressed cache, version " << all["version"].dump() << ", "
         << format_bytes(all["bytes"].get<std::size_t>()) << "\n\n";
  for (auto const& [key, value] : all.items())
    if (key != "kind" && key != "version" && key != "bytes" && key != "metadata" && key != "layers")
      to.out << "  " << key << ": " << shown(value) << '\n';
  for (auto const& [key, value] : all["metadata"].items())
    to.out << "  " << one_line(key) << ": " << shown(value) << '\n';
  to.out << '\n';
  text_table table{{{"layer", true},
                    {"part"},
                    {"keys"},
                    {"values"},
                    {"rows per head"},
                    {"positions", true},
                    {"key bytes", true},
                    {"value bytes", true},
                    {"bias", true},
                    {"scores", true},
                    {"channels", true}}};
  for (auto const& layer : all["layers"])
    for (auto const& p : layer["parts"]) {
      std::vector<text_table::cell> row{{layer["layer"].dump()},
                                        {shown(p["part"])},
                                        {shown(p["keys"]["name"])},
                                        {shown(p["values"]["name"])},
                                        {rows_text(p["rows"])}};
      for (auto const* key : {"positions", "keys", "values", "bias", "scores", "channels"})
        row.push_back({format_bytes(p["bytes"][key].get<std::size_t>())});
      table.add(std::move(row));
    }
  table.print(to.out, colour);
}

}  // namespace

int inspect_container(std::string const& name, bool as_json, console const& to) {
  mapped_file file;
  io::container all;
  if (auto failed = read_container(name, file, all)) return to.fail(run_failed, *failed);
  // Texts of a file may be no UTF-8: they go through JSON's own replacement before they are shown.
  auto const text = to_text(container_json(all));
  if (as_json)
    to.out << text << '\n';
  else
    print(name, json::parse(text), to);
  return done;
}

}  // namespace kvsieve::tool
