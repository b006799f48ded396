// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "html_page.hpp"

namespace kvsieve::tool {

char const page_style[] = R"css(
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 "Inter", "Source Sans 3", system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
  font-feature-settings: "kern", "tnum"; }
main { max-width: 1120px; margin: 0 auto; padding: 56px 32px 72px; }
header .kicker { margin: 0 0 6px; color: var(--accent); font-size: 13px; font-weight: 600; letter-spacing: .04em; }
h1 { margin: 0 0 10px; font-size: 28px; line-height: 1.2; font-weight: 650; letter-spacing: -.015em; }
h2 { margin: 56px 0 4px; font-size: 20px; font-weight: 650; letter-spacing: -.005em; }
p { margin: 0 0 14px; max-width: 84ch; }
.lead, .note { color: var(--soft); }
.note { font-size: 14px; max-width: none; }
.facts { display: flex; flex-wrap: wrap; gap: 12px 30px; margin: 22px 0 0; padding: 16px 0 0;
  border-top: 1px solid var(--rule); }
.facts div { min-width: 0; }
.facts dt { color: var(--soft); font-size: 12.5px; }
.facts dd { margin: 0; font-size: 15px; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 6px; margin: 14px 0 10px; }
.legend button { display: inline-flex; align-items: center; gap: 7px; padding: 3px 11px 3px 8px; font: inherit;
  font-size: 13.5px;
  color: var(--ink); background: none; border: 1px solid var(--rule); border-radius: 999px; cursor: pointer; }
.legend button:hover { background: var(--raised); }
.legend button[aria-pressed="false"] { color: var(--soft); opacity: .55; text-decoration: line-through; }
.legend svg { flex: none; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 32px; }
@media (max-width: 860px) { .charts { grid-template-columns: 1fr; } main { padding: 32px 18px 48px; } }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 14.5px; font-weight: 600; margin-bottom: 2px; }
figcaption span { font-weight: 400; color: var(--soft); }
.plot { width: 100%; height: auto; display: block; overflow: visible; }
.plot text { font-size: 12px; fill: var(--soft); }
.plot .grid { stroke: var(--grid); }
.plot .axis { stroke: var(--soft); }
.plot .series { transition: opacity .12s; }
.plot .series.faded { opacity: .13; }
.plot .frontier { stroke: var(--soft); stroke-width: 7; stroke-linejoin: round; stroke-linecap: round; opacity: .25; }
.plot .whisker { visibility: hidden; }
.plot .series.raised .whisker { visibility: visible; }
.controls { display: flex; flex-wrap: wrap; align-items: end; gap: 18px; margin: 14px 0 18px; }
.controls label { display: grid; gap: 3px; font-size: 12.5px; color: var(--soft); }
select { font: inherit; font-size: 15px; color: var(--ink); background: var(--raised); border: 1px solid var(--rule);
  border-radius: 6px; padding: 5px 10px; min-width: 190px; }
select, .keeps { height: 36px; }
.keeps { display: inline-flex; border: 1px solid var(--rule); border-radius: 6px; overflow: hidden; }
.keeps button { font: inherit; font-size: 15px; padding: 5px 14px; border: 0; background: var(--raised);
  color: var(--ink); cursor: pointer; }
.keeps button + button { border-left: 1px solid var(--rule); }
.keeps button[aria-pressed="true"] { background: var(--accent); color: var(--paper); }
.keeps button:disabled { color: var(--soft); opacity: .5; cursor: not-allowed; }
#strips { display: grid; grid-template-columns: max-content 1fr max-content; column-gap: 14px; row-gap: 4px;
  align-items: center;
  font-size: 13px; }
#strips .name, #strips .figure { color: var(--soft); white-space: nowrap; }
#strips .figure { text-align: right; }
#strips .head { font-size: 12.5px; color: var(--soft); }
#strips .gap { grid-column: 1 / -1; height: 6px; }
#strips canvas { width: 100%; height: 18px; display: block; border-radius: 2px;
  background: var(--dropped); }
#strips canvas.all { height: 26px; }
#strips.dense canvas { height: 9px; }
#strips.dense { row-gap: 1px; font-size: 11px; line-height: 1.15; }
#ruler { position: relative; height: 30px; font-size: 12px; color: var(--soft); }
#ruler span { position: absolute; top: 7px; transform: translateX(-50%); }
#ruler i { position: absolute; top: 0; width: 1px; height: 5px; background: var(--soft); }
.scroll { overflow-x: auto; margin-top: 14px; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; padding: 0 0 8px 18px; border-bottom: 1.5px solid var(--ink);
  vertical-align: bottom; white-space: nowrap; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
th small { display: block; font-weight: 400; color: var(--soft); }
th[aria-sort="ascending"] button::after { content: " \2191"; }
th[aria-sort="descending"] button::after { content: " \2193"; }
td { text-align: right; padding: 6px 0 6px 18px; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.why { text-align: left; color: var(--bad); white-space: normal; }
td b { font-weight: 700; color: var(--accent); }
tbody tr:hover { background: var(--raised); }
.swatch { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 9px; }
@media (max-width: 860px) { table { font-size: 13px; } th, td { padding-left: 10px; } th small { font-size: 11.5px; }
  .swatch { margin-right: 6px; } }
#tip { position: fixed; z-index: 2; pointer-events: none; padding: 8px 12px; font-size: 13px; line-height: 1.45;
  white-space: pre;
  background: var(--paper); border: 1px solid var(--rule); border-radius: 7px;
    box-shadow: 0 4px 18px rgb(0 0 0 / .14); visibility: hidden; }
#tip strong { font-weight: 650; }
footer { margin-top: 56px; padding-top: 18px; border-top: 1px solid var(--rule); color: var(--soft);
  font-size: 14px; }
@media print { .controls, .legend button[aria-pressed="false"] { display: none; } h2 { break-after: avoid; } }
)css";

char const page_body[] = R"html(<main>
<header>
  <p class="kicker">kvsieve comparison</p>
  <h1 id="title"></h1>
  <p class="lead" id="lead"></p>
  <dl class="facts" id="facts"></dl>
</header>
<noscript><p>The figures on this page are drawn by a script.</p></noscript>

<section aria-labelledby="curves">
  <h2 id="curves">Fidelity over bytes kept</h2>
  <p class="note">Point at a line for its values and its tail, choose a name to hide or show it. The broad line is
    the frontier: no other run shown is better with as many bytes or fewer.</p>
  <div class="legend" id="legend"></div>
  <div class="charts">
    <figure><figcaption>Attention-output error <span>relative, mean;
      lower is better</span></figcaption><div id="error"></div></figure>
    <figure><figcaption>Captured attention mass <span>mean;
      higher is better</span></figcaption><div id="mass"></div></figure>
  </div>
</section>

<section aria-labelledby="kept">
  <h2 id="kept">Tokens kept</h2>
  <p class="note">One strip for each layer and KV head, position from left to right;
    a filled column is kept. The top strip shows the share of all heads.</p>
  <div class="controls">
    <label>Strategy<select id="pick"></select></label>
    <label>Keep<span class="keeps" id="keeps" role="group" aria-label="Keep"></span></label>
  </div>
  <div id="strips"></div>
</section>

<section aria-labelledby="all">
  <h2 id="all">All figures</h2>
  <p class="note">The lowest error and the highest mass of each keep are set in bold. A column's title sorts by
    it.</p>
  <div class="scroll"><table id="table"></table></div>
</section>

<footer>
  <p id="how"></p>
  <p id="notes"></p>
</footer>
</main>
<div id="tip" role="status"></div>
)html";

}  // namespace kvsieve::tool
