// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <kvsieve/version.hpp>
#include <nlohmann/json.hpp>

#include "text.hpp"

namespace kvsieve::llama_example {
namespace {

using json = nlohmann::ordered_json;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Three digits, since a divergence of 0.0005 and one of 0.00045 differ; two of an error.
std::string digits(double x, char const* form = "%.3g") {
  if (std::isnan(x)) return "-";
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), form, x);
  return buffer.data();
}

std::string with_error(estimate x) {
  return std::isnan(x.error) ? digits(x.value) : digits(x.value) + " ± " + digits(x.error, "%.2g");
}

std::string percent_with_error(estimate x) {
  auto const value = tool::format_percent(x.value);
  return std::isnan(x.error) ? value : value + " ± " + tool::format_percent(x.error);
}

/// A column of the table; empty text: nothing was measured.
struct table_column {
  std::string title;
  bool right;
  std::function<std::string(report_row const&)> text;
  bool asked = false;  ///< it says what was to run, which a failure has too
};

std::vector<table_column> table_columns() {
  auto const of_kl = [](auto pick) {
    return [pick](report_row const& r) { return r.kl ? pick(*r.kl) : std::string{}; };
  };
  auto const of_answers = [](auto pick) {
    return [pick](report_row const& r) { return r.answers ? pick(*r.answers) : std::string{}; };
  };
  return {
      {"strategy", false, [](report_row const& r) { return r.strategy; }, true},
      {"storage", false, [](report_row const& r) { return r.storage; }, true},
      {"keep", true, [](report_row const& r) { return tool::format_exact(r.keep); }, true},
      {"text or task", false, [](report_row const& r) { return r.source; }, true},
      {"question", false, [](report_row const& r) { return r.question_known ? "known" : "unknown"; }, true},
      {"before", true,
       [](report_row const& r) { return r.bytes_before == 0 ? "" : tool::format_bytes(r.bytes_before); }},
      {"after", true, [](report_row const& r) { return r.bytes_before == 0 ? "" : tool::format_bytes(r.bytes_after); }},
      {"left", true,
       [](report_row const& r) { return r.bytes_before == 0 ? "" : tool::format_percent(share_of_bytes(r)); }},
      {"KL mean", true, of_kl([](divergence const& d) { return with_error(d.kl); })},
      {"median", true, of_kl([](divergence const& d) { return digits(d.kl_median); })},
      {"99 %", true, of_kl([](divergence const& d) { return digits(d.kl_99); })},
      {"max", true, of_kl([](divergence const& d) { return digits(d.kl_max); })},
      {"same top", true, of_kl([](divergence const& d) { return percent_with_error(d.same_top); })},
      {"ln PPL ratio", true, of_kl([](divergence const& d) { return with_error(d.ln_ratio); })},
      {"score", true, of_answers([](retrieval const& a) { return percent_with_error(a.score); })},
      {"full cache", true, of_answers([](retrieval const& a) { return tool::format_percent(a.full_score.value); })},
      {"-ln P", true, of_answers([](retrieval const& a) { return with_error(a.loss); })},
      {"full -ln P", true, of_answers([](retrieval const& a) { return digits(a.full_loss.value); })},
      {"n", true,
       [](report_row const& r) {
         return r.kl ? std::to_string(r.kl->positions) : r.answers ? std::to_string(r.answers->items) : std::string{};
       }},
      {"compress", true,
       [](report_row const& r) { return std::isnan(r.seconds) ? std::string{} : tool::format_seconds(r.seconds); }},
  };
}

/// The figures of a row by name, for CSV and JSON.
struct figure {
  char const* name;
  double value;
};

std::vector<figure> figures_of(divergence const& d) {
  return {{"kl_mean", d.kl.value},
          {"kl_mean_error", d.kl.error},
          {"kl_min", d.kl_min},
          {"kl_median", d.kl_median},
          {"kl_p90", d.kl_90},
          {"kl_p95", d.kl_95},
          {"kl_p99", d.kl_99},
          {"kl_p99_9", d.kl_999},
          {"kl_max", d.kl_max},
          {"same_top", d.same_top.value},
          {"same_top_error", d.same_top.error},
          {"ppl_full", d.full_perplexity.value},
          {"ppl_full_error", d.full_perplexity.error},
          {"ppl", d.packed_perplexity.value},
          {"ppl_error", d.packed_perplexity.error},
          {"ln_ppl_ratio", d.ln_ratio.value},
          {"ln_ppl_ratio_error", d.ln_ratio.error},
          {"ln_ppl_correlation", d.correlation},
          {"mean_dp", d.probability_gain.value},
          {"mean_dp_error", d.probability_gain.error}};
}

std::vector<figure> figures_of(retrieval const& a) {
  return {{"score", a.score.value},
          {"score_error", a.score.error},
          {"score_full", a.full_score.value},
          {"score_full_error", a.full_score.error},
          {"loss", a.loss.value},
          {"loss_error", a.loss.error},
          {"loss_full", a.full_loss.value},
          {"loss_full_error", a.full_loss.error}};
}

}  // namespace

double share_of_bytes(report_row const& row) {
  return row.bytes_before == 0 ? nan : static_cast<double>(row.bytes_after) / static_cast<double>(row.bytes_before);
}

std::string series_of(report_row const& row) {
  return row.storage.empty() ? row.strategy : row.strategy + " / " + row.storage;
}

void print_report(report const& all, std::ostream& out, bool colour) {
  std::vector<table_column> shown;
  for (auto& c : table_columns())
    if (std::any_of(all.rows.begin(), all.rows.end(),
                    [&](report_row const& r) { return (c.asked || r.failure.empty()) && !c.text(r).empty(); }))
      shown.push_back(std::move(c));
  std::vector<tool::text_table::column> titles;
  for (auto const& c : shown) titles.push_back({c.title, c.right});
  // Where nothing ran, reasons have a column of their own.
  if (!all.rows.empty() && std::all_of(shown.begin(), shown.end(), [](table_column const& c) { return c.asked; }))
    titles.push_back({""});
  tool::text_table table{titles};
  for (auto const& r : all.rows) {
    std::vector<tool::text_table::cell> cells;
    for (auto const& c : shown) {
      if (!r.failure.empty() && !c.asked) break;
      auto text = c.text(r);
      cells.push_back({text.empty() ? "-" : std::move(text)});
    }
    if (!r.failure.empty()) cells.push_back({r.failure, tool::look::bad});
    table.add(std::move(cells));
  }
  table.print(out, colour);
}

std::string report_csv(report const& all) {
  std::string out = "strategy,storage,keep,source,question,bytes_before,bytes_after,bytes_share,positions";
  for (auto const& f : figures_of(divergence{})) out += std::string{","} + f.name;
  out += ",items";
  for (auto const& f : figures_of(retrieval{})) out += std::string{","} + f.name;
  out += ",seconds,failure\n";
  auto const number = [](double x) { return std::isnan(x) ? std::string{} : tool::format_exact(x); };
  auto const list = [&](std::vector<figure> const& figures, bool measured) {
    for (auto const& f : figures) out += "," + (measured ? number(f.value) : std::string{});
  };
  for (auto const& r : all.rows) {
    bool const ran = r.failure.empty();
    out += tool::csv_field(r.strategy) + "," + tool::csv_field(r.storage) + "," + tool::format_exact(r.keep) + "," +
           tool::csv_field(r.source) + "," + (r.question_known ? "known" : "unknown") + ",";
    out += ran ? std::to_string(r.bytes_before) + "," + std::to_string(r.bytes_after) + "," + number(share_of_bytes(r))
               : std::string{",,"};
    bool const kl = ran && r.kl, answers = ran && r.answers;
    out += "," + (kl ? std::to_string(r.kl->positions) : std::string{});
    list(figures_of(r.kl.value_or(divergence{})), kl);
    out += "," + (answers ? std::to_string(r.answers->items) : std::string{});
    list(figures_of(r.answers.value_or(retrieval{})), answers);
    out += "," + (ran ? number(r.seconds) : std::string{}) + "," + tool::csv_field(r.failure) + "\n";
  }
  return out;
}

std::string report_json(report const& all) {
  json rows = json::array();
  for (auto const& r : all.rows) {
    json row{{"strategy", r.strategy}};
    if (!r.storage.empty()) row["storage"] = r.storage;
    row["keep"] = r.keep;
    row["source"] = r.source;
    row["question"] = r.question_known ? "known" : "unknown";
    if (!r.failure.empty()) {
      row["failure"] = r.failure;
      rows.push_back(std::move(row));
      continue;
    }
    row["bytes_before"] = r.bytes_before;
    row["bytes_after"] = r.bytes_after;
    row["bytes_share"] = share_of_bytes(r);
    if (r.kl) {
      row["positions"] = r.kl->positions;
      for (auto const& f : figures_of(*r.kl)) row[f.name] = f.value;
    }
    if (r.answers) {
      row["items"] = r.answers->items;
      for (auto const& f : figures_of(*r.answers)) row[f.name] = f.value;
    }
    row["seconds"] = r.seconds;
    rows.push_back(std::move(row));
  }
  json const data{{"version", KVSIEVE_VERSION_STRING},
                  {"model", all.model},
                  {"command", all.command},
                  {"tokens", all.tokens},
                  {"seed", all.seed},
                  {"rows", std::move(rows)}};
  return data.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace kvsieve::llama_example
