// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "html_page.hpp"

namespace kvsieve::tool {

char const page_charts[] = R"js("use strict";
const data = JSON.parse(document.getElementById("data").textContent), dump = data.dump;
const by = id => document.getElementById(id), ran = data.rows.filter(r => !r.failure);
const names = [...new Set(data.rows.map(r => r.strategy))], keeps = [...new Set(data.rows.map(r => r.keep))];
const hidden = new Set(), judged = dump.queries_judged > 0;
const colour = name => `var(--c${names.indexOf(name) % 12})`;
const share = r => r.bytes_after / r.bytes_before;

// An element with attributes and children; text never becomes markup.
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "text", "circle"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    key.startsWith("on") ? node.addEventListener(key.slice(2), value) : node.setAttribute(key, value);
  node.append(...children);
  return node;
}
const number = x => x == null ? "–" : x !== 0 && Math.abs(x) < 1e-4 ? x.toExponential(1) : x.toFixed(4);
const percent = x => +(100 * x).toPrecision(3) + " %";
// What a run was asked for, as a number and in words.
const asked = keep => data.by_bytes ? percent(keep) : String(keep);
const goal = keep => data.by_bytes ? `${keep} of the bytes` : `keep ${keep}`;
function bytes(x) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; x >= 1000 && i < 4; ++i) x /= 1000;
  return (i === 0 ? x : x.toPrecision(3)) + " " + units[i];
}

const tip = by("tip");
function show_tip(event, title, lines) {
  tip.replaceChildren(make("strong", {}, title), "\n" + lines.join("\n"));
  tip.style.visibility = "visible";
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(event.clientX + 16, innerWidth - box.width - 8)) + "px";
  tip.style.top =
      (event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 14 : event.clientY + 18) + "px";
}
const hide_tip = () => tip.style.visibility = "hidden";

// Markers differ in shape as well as in colour.
const shapes = [
  r => `M${- r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${- 2 * r},0`,
  r => `M${- r},${- r}h${2 * r}v${2 * r}h${- 2 * r}z`, r => `M0,${- 1.25 * r}L${1.2 * r},${r}H${- 1.2 * r}z`,
  r => `M0,${- 1.4 * r}L${1.4 * r},0L0,${1.4 * r}L${- 1.4 * r},0z`,
  r => `M0,${1.25 * r}L${1.2 * r},${- r}H${- 1.2 * r}z`
];
const dashes = ["", "7 3", "2 3", "9 3 2 3"];
const marker = (name, r) => shapes[names.indexOf(name) % shapes.length](r);
const dash = name => dashes[Math.floor(names.indexOf(name) / 5) % dashes.length];

function raise(name) {
  for (const g of document.querySelectorAll(".series")) {
    g.classList.toggle("faded", name !== null && g.dataset.name !== name);
    g.classList.toggle("raised", g.dataset.name === name);
  }
}
const lines_of = r =>
    [`${goal(asked(r.keep))}${data.by_bytes ? " asked for" : ""}, ${percent(share(r))} of the bytes`,
        `error  mean ${number(r.error?.mean)}, 99 % ${number(r.error?.p99)}`,
        `mass  mean ${number(r.mass?.mean)}, 1 % ${number(r.mass?.p1)}`];

function draw(where, pick, tail, log, label) {
  const W = 540, H = 350, left = 54, right = 22, top = 14, bottom = 46;
  const rows = ran.filter(r => !hidden.has(r.strategy) && share(r) > 0 && r[label] && (!log || pick(r) > 0));
  const svg = make(
      "svg",
      {class: "plot", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${label} over the share of bytes kept`});
  if (!rows.length) {
    by(where).replaceChildren(make("p", {class: "note"}, "Nothing to show."));
    return;
  }
  const xs = rows.map(r => Math.log2(share(r))),
        values = rows.flatMap(r => [pick(r), log ? pick(r) : tail(r)]).filter(v => !log || v > 0);
  const x0 = Math.min(...xs) - 0.12, x1 = Math.max(...xs) + 0.12;
  let y0 = Math.min(...values), y1 = Math.max(...values);
  const scale = log ? Math.log10 : v => v;
  if (log) {
    y0 = scale(y0) - 0.08;
    y1 = scale(y1) + 0.08;
  } else {
    y0 = y0 < 0.5 ? 0 : Math.floor(y0 * 10) / 10;
    y1 = 1;
  }
  const X = v => left + (v - x0) / (x1 - x0) * (W - left - right),
        Y = v => H - bottom - (scale(v) - y0) / (y1 - y0 || 1) * (H - top - bottom);

  let ticks = [];
  if (log) {
    const steps = y1 - y0 > 2.2 ? [1] : y1 - y0 > 0.9 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
    for (let e = Math.floor(y0); e <= y1; ++e) ticks.push(...steps.map(s => s * 10 ** e));
    ticks = ticks.filter(t => scale(t) >= y0 && scale(t) <= y1);
  } else {
    for (let t = y0, s = y1 - y0 > 0.5 ? 0.2 : y1 - y0 > 0.2 ? 0.1 : 0.05; t < y1 + 1e-9; t += s) ticks.push(t);
  }
  for (const t of ticks) {
    svg.append(
        make("line", {class: "grid", x1: left, x2: W - right, y1: Y(t), y2: Y(t)}),
        make("text", {x: left - 8, y: Y(t) + 4, "text-anchor": "end"}, String(+t.toPrecision(2))));
  }
  // A tick at each share that was run, as far as their texts have room, the largest first.
  let free = Infinity;
  for (const e of [...new Set(xs)].sort((a, b) => b - a)) {
    if (X(e) > free) continue;
    free = X(e) - 46;
    svg.append(
        make("line", {class: "grid", x1: X(e), x2: X(e), y1: top, y2: H - bottom}),
        make("line", {class: "axis", x1: X(e), x2: X(e), y1: H - bottom, y2: H - bottom + 5}),
        make("text", {x: X(e), y: H - bottom + 20, "text-anchor": "middle"}, percent(2 ** e)));
  }
  svg.append(
      make("line", {class: "axis", x1: left, x2: W - right, y1: H - bottom, y2: H - bottom}),
      make("text", {x: (left + W - right) / 2, y: H - 6, "text-anchor": "middle"}, "share of the cache’s bytes kept"));

  // The frontier: where no other run is better with as many bytes, to a hundredth, or fewer.
  const better = (a, b) => log ? pick(a) < pick(b) : pick(a) > pick(b);
  const frontier = rows.filter(r => !rows.some(other => share(other) <= 1.01 * share(r) && better(other, r)))
                       .sort((a, b) => share(a) - share(b));
  if (names.length > 1)
    svg.append(make("path", {
      class: "frontier",
      d: "M" + frontier.map(r => [X(Math.log2(share(r))), Y(pick(r))].join()).join("L"),
      fill: "none"
    }));

  for (const name of names) {
    const own = rows.filter(r => r.strategy === name).sort((a, b) => share(a) - share(b));
    if (!own.length) continue;
    const at = own.map(r => [X(Math.log2(share(r))), Y(pick(r))]), path = "M" + at.map(p => p.join()).join("L");
    const g = make("g", {
      class: "series",
      "data-name": name,
      onpointerenter: () => raise(name),
      onpointerleave: () => {
        raise(null);
        hide_tip();
      }
    });
    g.append(make("path", {d: path, fill: "none", stroke: "transparent", "stroke-width": 12}), make("path", {
               d: path,
               fill: "none",
               style: `stroke:${colour(name)}`,
               "stroke-width": 1.9,
               "stroke-dasharray": dash(name),
               "stroke-linejoin": "round"
             }));
    own.forEach((r, i) => {
      const end = Math.max(top, Math.min(H - bottom, tail(r) > 0 || !log ? Y(tail(r)) : H - bottom));
      g.append(
          make("line", {
            class: "whisker",
            x1: at[i][0],
            x2: at[i][0],
            y1: at[i][1],
            y2: end,
            style: `stroke:${colour(name)}`,
            "stroke-width": 1.2
          }),
          make("path", {
            d: marker(name, 4),
            transform: `translate(${at[i].join()})`,
            style: `fill:${colour(name)};stroke:var(--paper)`,
            "stroke-width": 1
          }),
          make("circle", {
            cx: at[i][0],
            cy: at[i][1],
            r: 12,
            fill: "transparent",
            onpointermove: e => show_tip(e, name, lines_of(r))
          }));
    });
    svg.append(g);
  }
  by(where).replaceChildren(svg);
}
function draw_charts() {
  draw("error", r => r.error.mean, r => r.error.p99, true, "error");
  draw("mass", r => r.mass.mean, r => r.mass.p1, false, "mass");
}

function fill_legend() {
  by("legend").replaceChildren(...names.map(name => {
    const sign = make(
        "svg", {width: 26, height: 12, viewBox: "-13 -6 26 12", "aria-hidden": "true"}, make("line", {
          x1: -13,
          x2: 13,
          y1: 0,
          y2: 0,
          style: `stroke:${colour(name)}`,
          "stroke-width": 2,
          "stroke-dasharray": dash(name)
        }),
        make("path", {d: marker(name, 3.6), style: `fill:${colour(name)}`}));
    return make(
        "button", {
          type: "button",
          "aria-pressed": !hidden.has(name),
          onpointerenter: () => raise(name),
          onpointerleave: () => raise(null),
          onclick: e => {
            hidden.has(name) ? hidden.delete(name) : hidden.add(name);
            e.currentTarget.setAttribute("aria-pressed", !hidden.has(name));
            draw_charts();
          }
        },
        sign, name);
  }));
}

)js";

}  // namespace kvsieve::tool
