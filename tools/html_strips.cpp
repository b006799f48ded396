// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "html_page.hpp"

namespace kvsieve::tool {

char const page_strips[] = R"js(// Kept tokens. A strip is a character per column, 64 levels.
const levels =
    new Map([..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].map((c, i) => [c, i / 63]));
let shown = ran.find(r => r.keep === keeps[Math.min(1, keeps.length - 1)]) ?? ran[0];
function rgb(variable) {
  const probe = make("span", {style: `color:var(${variable})`});
  document.body.append(probe);
  const parts = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  probe.remove();
  return parts;
}
function strip(values, kind, title) {
  const canvas = make("canvas", {height: 1, class: kind, role: "img", "aria-label": title});
  canvas.values = values;
  canvas.addEventListener("pointermove", e => {
    const box = canvas.getBoundingClientRect(),
          column =
              Math.max(0, Math.min(values.length - 1, Math.floor((e.clientX - box.left) / box.width * values.length)));
    const first = Math.ceil(column * dump.tokens / values.length),
          last = Math.ceil((column + 1) * dump.tokens / values.length) - 1;
    const what = kind === "all" ? `kept by ${percent(values[column])} of the heads` :
        first === last ? (values[column] ? "kept" : "dropped") :
                         `${percent(values[column])} kept`;
    show_tip(e, title, [first === last ? `token ${first}: ${what}` : `tokens ${first} to ${last}: ${what}`]);
  });
  canvas.addEventListener("pointerleave", hide_tip);
  return canvas;
}
// Every pixel of the screen takes the mean of what lies under it, so no token is lost where a strip is narrow.
function paint_strips() {
  const on = rgb("--kept"), off = rgb("--dropped");
  for (const canvas of by("strips").querySelectorAll("canvas")) {
    const values = canvas.values, n = values.length, w = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    canvas.width = w;
    const context = canvas.getContext("2d"), image = context.createImageData(w, 1), before = [0];
    for (const v of values) before.push(before.at(-1) + v);
    const sum_to = p => before[Math.floor(p)] + (p % 1) * (values[Math.floor(p)] ?? 0);
    for (let x = 0; x < w; ++x) {
      const v = (sum_to((x + 1) * n / w) - sum_to(x * n / w)) * w / n;
      for (let c = 0; c < 3; ++c) image.data[4 * x + c] = off[c] + (on[c] - off[c]) * v;
      image.data[4 * x + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }
}
function draw_strips() {
  const to = by("strips"), parts = [];
  if (!shown) {
    to.replaceChildren(make("p", {class: "note"}, "No strategy ran."));
    return;
  }
  const rows =
      shown.layers.flatMap(l => l.strip.map((s, h) => ({layer: l, head: h, values: [...s].map(c => levels.get(c))})));
  const mean = rows[0].values.map((_, i) => rows.reduce((sum, r) => sum + r.values[i], 0) / rows.length);
  to.classList.toggle("dense", rows.length > 24);
  parts.push(
      make("span", {class: "head"}, ""), make("span", {class: "head"}, ""),
      make("span", {class: "head figure"}, judged ? "kept · error · mass" : "kept"));
  parts.push(
      make("span", {class: "name"}, "all heads"), strip(mean, "all", "All heads"),
      make(
          "span", {class: "figure"},
          judged ? `${percent(share(shown))} · ${shown.error.mean?.toFixed(3)} · ${shown.mass.mean?.toFixed(3)}` :
                   percent(share(shown))),
      make("span", {class: "gap"}));
  rows.forEach((r, i) => {
    if (i > 0 && r.head === 0) parts.push(make("span", {class: "gap"}));
    const kept = r.layer.kept[r.head];
    parts.push(
        make("span", {class: "name"}, `layer ${r.layer.layer}, head ${r.head}`),
        strip(r.values, "", `Layer ${r.layer.layer}, head ${r.head}`),
        make(
            "span", {class: "figure"},
            judged ? `${kept} · ${r.layer.head_error[r.head]?.toFixed(3)} · ${r.layer.head_mass[r.head]?.toFixed(3)}` :
                     `${kept}`));
  });
  const ruler = make("div", {id: "ruler"}), raw = dump.tokens / 8, unit = 10 ** Math.floor(Math.log10(raw)),
        step = Math.max(1, [1, 2, 5, 10].find(s => s * unit >= raw) * unit);
  for (let t = 0; t < dump.tokens; t += step)
    ruler.append(
        make("i", {style: `left:${(t + 0.5) / dump.tokens * 100}%`}),
        make("span", {style: `left:${(t + 0.5) / dump.tokens * 100}%`}, String(t)));
  parts.push(make("span", {class: "name"}, "position"), ruler, make("span"));
  to.replaceChildren(...parts);
  paint_strips();
}
function draw_keeps() {
  by("keeps").replaceChildren(...keeps.map(keep => {
    const row = ran.find(r => r.strategy === by("pick").value && r.keep === keep);
    const button = make(
        "button", {
          type: "button",
          "aria-pressed": shown?.keep === keep,
          onclick: () => {
            shown = row;
            draw_keeps();
            draw_strips();
          }
        },
        asked(keep));
    button.disabled = !row;
    return button;
  }));
}
by("pick").append(...names.filter(n => ran.some(r => r.strategy === n)).map(n => make("option", {}, n)));
if (shown) by("pick").value = shown.strategy;
by("pick").addEventListener("change", e => {
  const own = ran.filter(r => r.strategy === e.target.value);
  shown = own.find(r => r.keep === shown.keep) ?? own[0];
  draw_keeps();
  draw_strips();
});

const columns = [
  ["strategy", "", r => r.strategy], [data.by_bytes ? "asked for" : "keep", "", r => r.keep], ["before", "bytes", r => r.bytes_before],
  ["after", "bytes", r => r.bytes_after], ["error", "mean", r => r.error?.mean], ["error", "99 %", r => r.error?.p99],
  ["mass", "mean", r => r.mass?.mean], ["time", "s per M tokens", r => r.seconds_per_million_tokens]
];
let order = null;
function fill_table() {
  const rows = [...data.rows],
        best = (pick, sign) => new Set(keeps.map(
            k => ran.filter(r => r.keep === k && pick(r) != null)
                     .reduce((a, b) => a && sign * pick(a) <= sign * pick(b) ? a : b, null)));
  const low = best(r => r.error?.mean, 1), high = best(r => r.mass?.mean, -1);
  if (order)
    rows.sort((a, b) => {
      const [u, v] = [columns[order.column][2](a), columns[order.column][2](b)];
      return u == null ? 1 : v == null ? -1 : (u < v ? -1 : u > v ? 1 : 0) * order.sign;
    });
  const titles = columns.map(
      ([title, unit], i) => make(
          "th",
          {scope: "col", ...(order?.column === i ? {"aria-sort": order.sign > 0 ? "ascending" : "descending"} : {})},
          make(
              "button", {
                type: "button",
                onclick: () => {
                  order = {column: i, sign: order?.column === i ? -order.sign : 1};
                  fill_table();
                }
              },
              title),
          make("small", {}, unit || "\u00a0")));
  const strong = (text, yes) => yes ? make("b", {}, text) : text;
  by("table").replaceChildren(
      make("thead", {}, make("tr", {}, ...titles)),
      make(
          "tbody", {},
          ...rows.map(
              r => make(
                  "tr", {},
                  make(
                      "td", {}, make("span", {class: "swatch", style: `background:${colour(r.strategy)}`}), r.strategy),
                  make("td", {}, asked(r.keep)),
                  ...(r.failure ? [make("td", {class: "why", colspan: 6}, r.failure)] : [
                    make("td", {}, bytes(r.bytes_before)), make("td", {}, bytes(r.bytes_after)),
                    make("td", {}, strong(number(r.error?.mean), low.has(r))), make("td", {}, number(r.error?.p99)),
                    make("td", {}, strong(number(r.mass?.mean), high.has(r))),
                    make("td", {}, number(r.seconds_per_million_tokens))
                  ])))));
}

if (data.by_bytes) by("keeps").previousSibling.textContent = "Bytes";
by("title").textContent = dump.model || dump.file;
by("lead").textContent = `${names.length} ${names.length === 1 ? "strategy" : "strategies"} at ${
    goal(keeps.map(asked).join(", "))}, judged on the attention of the last ${dump.queries_judged} positions.`;
if (!judged) by("lead").textContent = "The dump holds no queries: error and mass are unknown.";
by("facts").append(...[["dump", dump.file.split("/").pop()],
                       [
                         "layers",
                         dump.layers.length > 8 ? `${dump.layers.length} of ${dump.num_layers}` :
                                                  `${dump.layers.join(", ")} (of ${dump.num_layers})`
                       ],
                       ["tokens", dump.tokens],
                       ["heads", `${dump.num_kv_heads} KV, ${dump.num_query_heads} query, ${dump.head_dim} wide`],
                       ["elements", dump.type], ["cache", bytes(data.bytes)], ["library", `kvsieve ${data.version}`]]
                       .map(([k, v]) => make("div", {}, make("dt", {}, k), make("dd", {}, String(v)))));
by("how").textContent =
    "Error: ‖y′ − y‖ / ‖y‖, where y is a query head’s attention output over the full cache and y′ over " +
    "the tokens kept; a query sees only tokens up to its own position. " +
    "Mass: the share of the full softmax on the tokens kept. Both are computed in double " +
    "precision. Time: seconds for a million tokens of one layer, all its heads.";
by("notes").textContent =
    [...new Set(ran.filter(r => r.note).map(r => `${r.strategy} at ${goal(asked(r.keep))}: ${r.note}`))].join(". ");
fill_legend();
draw_charts();
draw_keeps();
draw_strips();
fill_table();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint_strips);
addEventListener("resize", paint_strips);
)js";

}  // namespace kvsieve::tool
