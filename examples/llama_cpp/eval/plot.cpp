// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "plot.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "html_page.hpp"
#include "text.hpp"

namespace kvsieve::llama_example {
namespace {

constexpr double width = 540, height = 380, left = 62, right = 20, top = 40, bottom = 62, key_width = 250;

/// To a tenth of a unit.
std::string number(double x) {
  std::array<char, 48> buffer{};
  auto const [stop, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), x, std::chars_format::fixed, 1);
  return {buffer.data(), stop};
}

/// A figure in words: three digits.
std::string words(double x) {
  std::array<char, 48> buffer{};
  auto const [stop, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), x, std::chars_format::general, 3);
  return {buffer.data(), stop};
}

/// Text as XML: valid UTF-8, no markup, no control characters.
std::string escaped(std::string_view text) {
  using json = nlohmann::json;
  auto const valid = json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace)).get<std::string>();
  std::string out;
  for (auto const c : valid) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  }
  return out;
}

std::string text_at(double x, double y, char const* anchor, std::string const& text, char const* kind = "") {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\" class=\"" + kind +
         "\">" + text + "</text>\n";
}

std::string line_between(double x0, double y0, double x1, double y1, std::string const& kind) {
  return "<line class=\"" + kind + "\" x1=\"" + number(x0) + "\" y1=\"" + number(y0) + "\" x2=\"" + number(x1) +
         "\" y2=\"" + number(y1) + "\"/>\n";
}

/// The signs of the comparison page: lines differ in their markers and dashes as well as in colour.
std::string marker(std::size_t series, double x, double y) {
  static constexpr std::array shapes{"M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "M-4,-4h8v8h-8z", "M0,-5L4.8,4H-4.8z",
                                     "M0,-5.6L5.6,0L0,5.6L-5.6,0z", "M0,5L4.8,-4H-4.8z"};
  return "<path class=\"marker\" d=\"" + std::string{shapes[series % shapes.size()]} + "\" transform=\"translate(" +
         number(x) + "," + number(y) + ")\" style=\"fill:var(--c" + std::to_string(series % 12) + ")\"/>\n";
}
std::string stroke(std::size_t series) {
  static constexpr std::array dashes{"none", "7 3", "2 3", "9 3 2 3"};
  return "stroke:var(--c" + std::to_string(series % 12) + ");stroke-dasharray:" + dashes[series / 5 % dashes.size()];
}

/// One row with a place in the picture.
struct point {
  report_row const* row;
  std::size_t series;
  cost at;
  double tail;  ///< the end of the whisker; the mean where it is unknown
};

/// Both scales: log2 of the share of bytes, log10 of KL.
struct scales {
  double x0 = 0, x1 = 0, y0 = 0, y1 = 0;

  explicit scales(std::vector<point> const& points) {
    x0 = y0 = 1e300;
    x1 = y1 = -1e300;
    for (auto const& p : points) {
      x0 = std::min(x0, std::log2(p.at.bytes) - 0.2);
      x1 = std::max(x1, std::log2(p.at.bytes) + 0.2);
      y0 = std::min(y0, std::log10(std::min(p.at.kl, p.tail)) - 0.1);
      y1 = std::max(y1, std::log10(std::max(p.at.kl, p.tail)) + 0.1);
    }
  }
  [[nodiscard]] double x(double bytes) const {
    return left + (std::log2(bytes) - x0) / (x1 - x0) * (width - left - right);
  }
  [[nodiscard]] double y(double kl) const {
    return height - bottom - (std::log10(kl) - y0) / (y1 - y0) * (height - top - bottom);
  }
};

std::string grid(scales const& s) {
  std::string out;
  for (int e = static_cast<int>(std::ceil(s.x0)); e <= s.x1; ++e) {
    double const bytes = std::exp2(e);
    out += line_between(s.x(bytes), top, s.x(bytes), height - bottom, "grid");
    out += text_at(s.x(bytes), height - bottom + 18, "middle", words(100 * bytes) + " %");
  }
  std::vector<double> const steps = s.y1 - s.y0 > 2.2 ? std::vector<double>{1} : std::vector<double>{1, 2, 5};
  for (int e = static_cast<int>(std::floor(s.y0)); e <= s.y1; ++e)
    for (auto const step : steps) {
      double const kl = step * std::pow(10, e);
      if (std::log10(kl) < s.y0 || std::log10(kl) > s.y1) continue;
      out += line_between(left, s.y(kl), width - right, s.y(kl), "grid");
      out += text_at(left - 8, s.y(kl) + 4, "end", words(kl));
    }
  out += line_between(left, height - bottom, width - right, height - bottom, "axis");
  return out + text_at((left + width - right) / 2, height - bottom + 38, "middle", "share of the cache's bytes left");
}

std::string path(std::vector<point> const& points, std::vector<std::size_t> const& order, scales const& s) {
  std::string out;
  for (auto const i : order)
    out += (out.empty() ? "M" : "L") + number(s.x(points[i].at.bytes)) + "," + number(s.y(points[i].at.kl));
  return out;
}

std::string tip(point const& p) {
  auto const& d = *p.row->kl;
  auto out = series_of(*p.row) + ", keep " + tool::format_exact(p.row->keep) + ": " + tool::format_percent(p.at.bytes) +
             " of the bytes, KL " + words(d.kl.value);
  if (!std::isnan(d.kl_99)) out += ", 99 % " + words(d.kl_99);
  return out + ", same top " + tool::format_percent(d.same_top.value);
}

/// The points of one panel, under its title.
std::string panel(std::vector<point> const& points, std::size_t series, scales const& s, std::string const& title) {
  auto out = text_at(left, top - 16, "start", title, "panel") + grid(s);
  std::vector<cost> costs;
  for (auto const& p : points) costs.push_back(p.at);
  out += "<path class=\"frontier\" d=\"" + path(points, frontier(costs), s) + "\"/>\n";
  for (std::size_t n = 0; n < series; ++n) {
    std::vector<std::size_t> own;
    for (std::size_t i = 0; i < points.size(); ++i)
      if (points[i].series == n) own.push_back(i);
    std::stable_sort(own.begin(), own.end(),
                     [&](std::size_t a, std::size_t b) { return points[a].at.bytes < points[b].at.bytes; });
    if (own.empty()) continue;
    out += "<g>\n<path class=\"line\" d=\"" + path(points, own, s) + "\" style=\"" + stroke(n) + "\"/>\n";
    for (auto const i : own) {
      double const x = s.x(points[i].at.bytes), y = s.y(points[i].at.kl), end = s.y(points[i].tail);
      // Beside each other, so that whiskers of equal shares can be told apart.
      double const beside = x + 2.5 * (static_cast<double>(n) - static_cast<double>(series - 1) / 2);
      out += "<g style=\"stroke:var(--c" + std::to_string(n % 12) + ")\"><title>" + escaped(tip(points[i])) +
             "</title>\n" + line_between(beside, y, beside, end, "whisker") +
             line_between(beside - 3, end, beside + 3, end, "whisker") + marker(n, x, y) + "</g>\n";
    }
    out += "</g>\n";
  }
  return out;
}

constexpr char style[] = R"css(
text { font: 12px "Inter", "Source Sans 3", system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
  fill: var(--soft); }
text.title { font-size: 15px; font-weight: 650; fill: var(--ink); }
text.panel, text.key { fill: var(--ink); }
.paper { fill: var(--paper); }
.grid { stroke: var(--grid); }
.axis { stroke: var(--soft); }
.line { fill: none; stroke-width: 1.9; stroke-linejoin: round; }
.marker { stroke: var(--paper); stroke-width: 1; }
.whisker { stroke-width: 1.2; opacity: .5; }
.frontier { fill: none; stroke: var(--soft); stroke-width: 7; stroke-linejoin: round; stroke-linecap: round;
  opacity: .25; }
)css";

}  // namespace

std::vector<std::size_t> frontier(std::span<cost const> points) {
  std::vector<std::size_t> order(points.size()), out;
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return points[a].bytes != points[b].bytes ? points[a].bytes < points[b].bytes : points[a].kl < points[b].kl;
  });
  for (auto const i : order)
    if (out.empty() || points[i].kl < points[out.back()].kl) out.push_back(i);
  return out;
}

std::string divergence_svg(report const& all, std::string_view source) {
  std::vector<std::string> names, zeros;
  std::vector<point> points;
  for (auto const& r : all.rows) {
    if (!r.failure.empty() || !r.kl || r.source != source || !(share_of_bytes(r) > 0)) continue;
    auto const name = series_of(r);
    if (!(r.kl->kl.value > 0)) {
      if (r.kl->kl.value == 0) zeros.push_back(name + " at " + tool::format_percent(share_of_bytes(r)));
      continue;
    }
    auto const known = std::find(names.begin(), names.end(), name);
    auto const series = static_cast<std::size_t>(known - names.begin());
    if (known == names.end()) names.push_back(name);
    double const mean = r.kl->kl.value, tail = r.kl->kl_99 > 0 ? r.kl->kl_99 : mean;
    points.push_back({&r, series, {share_of_bytes(r), mean}, tail});
  }
  std::vector<std::vector<point>> panels;
  std::vector<std::string> titles;
  for (bool const known : {false, true}) {
    std::vector<point> some;
    for (auto const& p : points)
      if (p.row->question_known == known) some.push_back(p);
    if (some.empty()) continue;
    titles.emplace_back(known ? "compressed with the question" : "compressed without the question");
    panels.push_back(std::move(some));
  }

  double const plots = width * static_cast<double>(std::max<std::size_t>(panels.size(), 1));
  double const whole = std::max(height, 68 + 18 * static_cast<double>(names.size())) + 30;
  auto const size = [](double x) { return std::to_string(static_cast<int>(x)); };
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + size(plots + key_width) + " " +
                    size(whole) + "\" width=\"" + size(plots + key_width) + "\" height=\"" + size(whole) +
                    "\" role=\"img\">\n<title>" + escaped(all.model) + ": KL divergence over bytes, " +
                    escaped(source) + "</title>\n<style>" + tool::page_palette + style +
                    "</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n";
  out += text_at(left, 26, "start",
                 escaped(all.model) + ", " + escaped(source) + ": KL divergence of the next token from the full cache",
                 "title");
  out += "<g transform=\"translate(0,30)\">\n";
  if (points.empty()) out += text_at(left, top + 20, "start", "Nothing to show.");
  if (!points.empty()) {
    scales const s{points};
    for (std::size_t i = 0; i < panels.size(); ++i)
      out += "<g transform=\"translate(" + number(width * static_cast<double>(i)) + ",0)\">\n" +
             panel(panels[i], names.size(), s, titles[i]) + "</g>\n";
    out += text_at(left - 50, top - 16, "start", "nats");
  }
  for (std::size_t n = 0; n < names.size(); ++n) {
    double const y = top + 18 * static_cast<double>(n);
    out += "<line x1=\"" + number(plots) + "\" x2=\"" + number(plots + 26) + "\" y1=\"" + number(y) + "\" y2=\"" +
           number(y) + "\" class=\"line\" style=\"" + stroke(n) + "\"/>\n" + marker(n, plots + 13, y) +
           text_at(plots + 34, y + 4, "start", escaped(names[n]), "key");
  }
  std::string note =
      "Points: mean; whiskers: up to the 99 % point; broad line: none has fewer bytes and diverges less.";
  if (!zeros.empty()) {
    note += " Without divergence:";
    for (std::size_t i = 0; i < zeros.size(); ++i) note += (i == 0 ? " " : ", ") + zeros[i];
    note += ".";
  }
  out += text_at(left, height - 8, "start", escaped(note));
  return out + "</g>\n</svg>\n";
}

}  // namespace kvsieve::llama_example
