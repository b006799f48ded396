// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "html_report.hpp"

#include <algorithm>
#include <kvsieve/version.hpp>
#include <nlohmann/json.hpp>

#include "html_page.hpp"
#include "text.hpp"

namespace kvsieve::tool {
namespace {

using json = nlohmann::ordered_json;

/// JSON inside a script element: without '<' no text can end the element.
std::string embedded(json const& value) {
  std::string out;
  for (auto const c : to_text(value, -1)) out += c == '<' ? std::string{"\\u003c"} : std::string{c};
  return out;
}

std::string escaped(std::string const& text) {
  std::string out;
  for (auto const c : text) out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string{c};
  return out;
}

json row_json(comparison_row const& r, int tokens) {
  json row{{"strategy", series_name(r)}, {"title", r.title}, {"keep", r.keep}};
  if (!r.failure.empty()) {
    row["failure"] = r.failure;
    return row;
  }
  row.update(outcome_json(r.result, r.judged, tokens));
  row["strategy"] = series_name(r);
  for (std::size_t l = 0; l < r.result.layers.size(); ++l)
    for (auto const& head : r.result.layers[l].kept) row["layers"][l]["strip"].push_back(strip_text(head, tokens));
  return row;
}

}  // namespace

std::string strip_text(std::vector<int> const& kept, int tokens) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  auto const columns = static_cast<std::size_t>(std::min(tokens, strip_columns));
  std::vector<int> count(columns, 0), size(columns, 0);
  auto const column = [&](int token) {
    return static_cast<std::size_t>(token) * columns / static_cast<std::size_t>(tokens);
  };
  for (int t = 0; t < tokens; ++t) ++size[column(t)];
  for (auto const t : kept) ++count[column(t)];
  std::string out(columns, 'A');
  for (std::size_t c = 0; c < columns; ++c) {
    int const nearest = (count[c] * 63 + size[c] / 2) / size[c];
    // A column that keeps anything must not look empty, nor one that drops anything full.
    bool const mixed = count[c] > 0 && count[c] < size[c];
    out[c] = alphabet[static_cast<std::size_t>(mixed ? std::clamp(nearest, 1, 62) : nearest)];
  }
  return out;
}

std::string html_report(comparison const& all) {
  json rows = json::array();
  for (auto const& r : all.rows) rows.push_back(row_json(r, all.tokens));
  json const data{{"version", KVSIEVE_VERSION_STRING},
                  {"dump", dump_json(all)},
                  {"bytes", all.bytes},
                  {"by_bytes", all.by_bytes},
                  {"rows", std::move(rows)}};
  auto const name = all.model.empty() ? all.file : all.model;
  std::string page = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  page += "<meta name=\"generator\" content=\"kvsieve " KVSIEVE_VERSION_STRING "\">\n";
  page += "<title>kvsieve: " + escaped(name) + "</title>\n<style>\n" + page_palette + page_style +
          "</style>\n</head>\n<body>\n" + page_body;
  page += "<script type=\"application/json\" id=\"data\">" + embedded(data) + "</script>\n<script>\n" + page_charts;
  page += page_strips;
  return page + "</script>\n</body>\n</html>\n";
}

}  // namespace kvsieve::tool
